//! `--no-proxy`: the machine's address in `NO_PROXY`.

use crate::Process;

/// The variable that holds the list now: `no_proxy` where that one is in use, else `NO_PROXY`.
fn current(process: &Process) -> (&'static str, &str) {
    match process.var("no_proxy") {
        Some(list) => ("no_proxy", list),
        None => ("NO_PROXY", process.var("NO_PROXY").unwrap_or_default()),
    }
}

/// The variable and its value with the host in it.
pub fn with_host(process: &Process, host: &str) -> (&'static str, String) {
    let (name, list) = current(process);
    let value = match hosts(list).any(|listed| listed == host) {
        true => list.to_owned(),
        false if list.is_empty() => host.to_owned(),
        false => format!("{list},{host}"),
    };
    (name, value)
}

/// The variable and its value without the host; `None` when nothing else is in it.
pub fn without_host(process: &Process, host: Option<&str>) -> (&'static str, Option<String>) {
    let (name, list) = current(process);
    let rest: Vec<&str> = hosts(list)
        .filter(|listed| !listed.is_empty() && Some(*listed) != host)
        .collect();
    (name, (!rest.is_empty()).then(|| rest.join(",")))
}

fn hosts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_host_once_to_the_variable_in_use() {
        for (env, name, value) in [
            (&[][..], "NO_PROXY", "10.0.0.1"),
            (&[("NO_PROXY", "a,b")], "NO_PROXY", "a,b,10.0.0.1"),
            (&[("NO_PROXY", "a, 10.0.0.1")], "NO_PROXY", "a, 10.0.0.1"),
            (
                &[("NO_PROXY", "10.0.0.12")],
                "NO_PROXY",
                "10.0.0.12,10.0.0.1",
            ),
            (
                &[("no_proxy", "a"), ("NO_PROXY", "b")],
                "no_proxy",
                "a,10.0.0.1",
            ),
            (
                &[("no_proxy", ""), ("NO_PROXY", "b")],
                "NO_PROXY",
                "b,10.0.0.1",
            ),
        ] {
            let got = with_host(&Process::of(&[], env), "10.0.0.1");
            assert_eq!(got, (name, value.to_owned()), "{env:?}");
        }
    }

    #[test]
    fn takes_only_the_host_out_again() {
        let process = Process::of(&[], &[("NO_PROXY", "a,10.0.0.1,b")]);
        assert_eq!(
            without_host(&process, Some("10.0.0.1")),
            ("NO_PROXY", Some("a,b".to_owned()))
        );
        let process = Process::of(&[], &[("no_proxy", "10.0.0.1")]);
        assert_eq!(without_host(&process, Some("10.0.0.1")), ("no_proxy", None));
        assert_eq!(
            without_host(&Process::of(&[], &[]), None),
            ("NO_PROXY", None)
        );
    }
}
