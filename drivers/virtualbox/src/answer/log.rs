use crate::said::Trouble;

/// The words of all versions for a host port that could not be forwarded.
const REFUSED: &[&str] = &[
    "failed to redirect",
    "failed to set up redirection",
    "nat_redir_setup",
    "port forward modify fail",
];

/// Whether VBox.log tells that this port of the host could not be forwarded to the VM.
///
/// A line that names no port counts, too: a VM of ours has no more than one rule.
pub fn refused_port(log: &str, port: u16) -> bool {
    let port = port.to_string();
    log.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        let refused = REFUSED.iter().any(|words| line.contains(words));
        refused && (names(&line, &port) || !line.contains("redirect"))
    })
}

/// Whether a number stands in the line, and not as a part of another one.
fn names(line: &str, number: &str) -> bool {
    line.split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits == number)
}

/// The last thing that VBox.log complains of, and its line.
pub fn last_trouble(log: &str) -> Option<(Trouble, &str)> {
    log.lines().rev().find_map(|line| {
        let trouble = Trouble::find(line)?;
        let told = line.split_once(' ').map_or(line, |(_, rest)| rest);
        trouble.sentence().map(|_| (trouble, told.trim()))
    })
}

/// Why VirtualBox itself stopped a VM that ran.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RuntimeError<'a> {
    /// VirtualBox's name for it.
    pub id: &'a str,
    /// What it says about it.
    pub message: &'a str,
}

/// The last runtime error of VBox.log: `VM runtime error: fatal=false, errorID=ID message="TEXT"`.
pub fn runtime_error(log: &str) -> Option<RuntimeError<'_>> {
    log.lines().rev().find_map(|line| {
        let (_, told) = line.split_once("VM runtime error: ")?;
        let (_, told) = told.split_once("errorID=")?;
        let (id, message) = told.split_once(" message=")?;
        Some(RuntimeError {
            id,
            message: message.trim().trim_matches('"'),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_found_in_the_words_of_every_version() {
        for line in [
            "00:00:01.072530 NAT: Failed to redirect TCP 127.0.0.1:2222 -> 0.0.0.0:22 (Unknown error)",
            "00:00:00.9 NAT#0: configuration error: failed to set up redirection of 2222 to 22. Probably a conflict",
            "00:00:01 Port forward modify FAIL! Details: fRemove=0, u16HostPort=2222",
        ] {
            assert!(refused_port(line, 2222), "{line}");
        }
        let other = "00:00:01 NAT: Failed to redirect TCP 127.0.0.1:22222 -> 0.0.0.0:22";
        assert!(!refused_port(other, 2222));
        assert!(!refused_port("00:00:01 NAT: Link up", 2222));
    }

    #[test]
    fn why_virtualbox_stopped_a_vm_is_found() {
        let log = "00:00:09 Console: VM runtime error: fatal=false, errorID=DrvVD_DISKFULL message=\"Host system reported disk full. VM execution is suspended. You can resume after freeing some space\"\n00:00:09 Changing the VM state from 'RUNNING' to 'SUSPENDING'\n";
        let error = runtime_error(log).unwrap();
        assert_eq!(Trouble::find(error.id), Some(Trouble::DiskFull));
        assert!(error.message.starts_with("Host system") && error.message.ends_with("space"));
        assert_eq!(runtime_error("00:00:01 VM runtime error: none"), None);
    }

    #[test]
    fn the_last_complaint_counts() {
        let log = "00:00:01 HM: VERR_VMX_NO_VMX\n00:00:02 x: (VERR_SVM_NO_SVM)\n00:00:03 Console: Machine state changed to 'PoweredOff'\n";
        assert_eq!(
            last_trouble(log),
            Some((Trouble::NoAmdV, "x: (VERR_SVM_NO_SVM)"))
        );
        assert_eq!(last_trouble(""), None);
    }
}
