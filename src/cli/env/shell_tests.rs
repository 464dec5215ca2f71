use std::io::Write;
use std::process::Command;

use proptest::prelude::*;

use super::shell::{Shell, UnknownShell, Unspeakable};

const ALL: [Shell; 7] = [
    Shell::Bash,
    Shell::Cmd,
    Shell::Emacs,
    Shell::Fish,
    Shell::Powershell,
    Shell::Posix,
    Shell::Tcsh,
];

/// What people's paths, host names and proxies hold at worst.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "/home/a b/.docker/machine/machines/n1",
    "/home/a  b\tc",
    " leading and trailing ",
    "it's \"quoted\"",
    "$HOME ${HOME} $(id) `id` $$",
    "C:\\Users\\me\\",
    "trailing\\",
    "100% %PATH% %s %n",
    "semi;colon & amp | pipe > out < in",
    "# comment",
    "!! !id !$",
    "~ ~root {a,b} (x)",
    "* ? [a-z] /etc/*",
    "a\\*b",
    "line\nbreak",
    "two\n\nbreaks  and blanks",
    "\nfirst",
    "carriage\rreturn",
    "\u{1}\u{7}\u{1b}[31m\u{7f}",
    "日本語 ünï “quotes” \u{a0}",
    "-n",
    "--option",
    "=",
    "a=b",
    "'",
    "\"",
    "\\",
    "`",
    "$",
    "\\'",
    "'\\''",
    "\\n \\t \\0 \\x41 \\u0041",
    "$'x'",
];

#[test]
fn sets_as_docker_machine_does() {
    for (shell, line) in [
        (Shell::Bash, "export DOCKER_HOST=\"tcp://10.0.0.1:2376\"\n"),
        (Shell::Posix, "export DOCKER_HOST=\"tcp://10.0.0.1:2376\"\n"),
        (
            Shell::Fish,
            "set -gx DOCKER_HOST \"tcp://10.0.0.1:2376\";\n",
        ),
        (Shell::Tcsh, "setenv DOCKER_HOST \"tcp://10.0.0.1:2376\";\n"),
        (Shell::Cmd, "SET DOCKER_HOST=tcp://10.0.0.1:2376\n"),
        (
            Shell::Powershell,
            "$Env:DOCKER_HOST = \"tcp://10.0.0.1:2376\"\n",
        ),
        (
            Shell::Emacs,
            "(setenv \"DOCKER_HOST\" \"tcp://10.0.0.1:2376\")\n",
        ),
    ] {
        assert_eq!(
            shell.set("DOCKER_HOST", "tcp://10.0.0.1:2376").unwrap(),
            line
        );
    }
}

#[test]
fn unsets_as_docker_machine_does() {
    for (shell, line) in [
        (Shell::Bash, "unset K\n"),
        (Shell::Posix, "unset K\n"),
        (Shell::Fish, "set -e K;\n"),
        (Shell::Tcsh, "unsetenv K;\n"),
        (Shell::Cmd, "SET K=\n"),
        (Shell::Powershell, "Remove-Item Env:\\\\K\n"),
        (Shell::Emacs, "(setenv \"K\" nil)\n"),
    ] {
        assert_eq!(shell.unset("K"), line);
    }
}

#[test]
fn escapes_in_each_language() {
    let cases: &[(Shell, &str, &str)] = &[
        (Shell::Bash, "a b", r#""a b""#),
        (Shell::Bash, r#"$`"\"#, r#""\$\`\"\\""#),
        (Shell::Bash, "a  b", r"$'a\040\040b'"),
        (Shell::Bash, "a\nb'*", r"$'a\012b\'\052'"),
        (Shell::Posix, "a\tb", r#""$(printf 'a\011b')""#),
        (Shell::Posix, "%*", r#""$(printf '\045\052')""#),
        (Shell::Posix, "x\n", "\"x\n\""),
        (Shell::Fish, r#"$`"\'"#, r#""\$`\"\\'""#),
        (Shell::Fish, "a\nb", r#""a"\n"b""#),
        (Shell::Tcsh, "a b-c", r#""a b-c""#),
        (Shell::Tcsh, "it's!", r#""`printf 'it\047s\041'`""#),
        (Shell::Tcsh, "$H-1", r#""`printf '\044H\0551'`""#),
        (Shell::Tcsh, "a  b", r#""`printf 'a\040\040b'`""#),
        (Shell::Cmd, "a & %b%", "a & %b%"),
        (
            Shell::Powershell,
            "$a`\"\u{201c}\n",
            "\"`$a```\"`\u{201c}`n\"",
        ),
        (Shell::Emacs, r#"a\"b"#, r#""a\\\"b""#),
    ];
    for (shell, value, written) in cases {
        let line = shell.set("K", value).unwrap();
        let expected = match shell {
            Shell::Bash | Shell::Posix => format!("export K={written}\n"),
            Shell::Fish => format!("set -gx K {written};\n"),
            Shell::Tcsh => format!("setenv K {written};\n"),
            Shell::Cmd => format!("SET K={written}\n"),
            Shell::Powershell => format!("$Env:K = {written}\n"),
            Shell::Emacs => format!("(setenv \"K\" {written})\n"),
        };
        assert_eq!(line, expected, "{shell:?} {value:?}");
    }
}

#[test]
fn a_line_break_is_refused_where_it_cannot_be_written() {
    for shell in ALL {
        let refused = shell.set("K", "a\nb") == Err(Unspeakable { shell });
        assert_eq!(
            refused,
            matches!(shell, Shell::Tcsh | Shell::Cmd),
            "{shell:?}"
        );
    }
}

#[test]
fn hints_how_to_run_it() {
    let command = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let plain = command(&["rmachine", "env", "n1"]);
    let first = "Run this command to configure your shell: ";
    for (shell, text) in [
        (
            Shell::Bash,
            format!("# {first}\n# eval $(rmachine env n1)\n"),
        ),
        (
            Shell::Posix,
            format!("# {first}\n# eval $(rmachine env n1)\n"),
        ),
        (
            Shell::Fish,
            format!("# {first}\n# eval (rmachine env n1)\n"),
        ),
        (
            Shell::Tcsh,
            format!(": {first}\n: 'eval `rmachine env n1`'\n"),
        ),
        (
            Shell::Cmd,
            format!("REM {first}\nREM \t@FOR /f \"tokens=*\" %i IN ('rmachine env n1') DO @%i\n"),
        ),
        (
            Shell::Powershell,
            format!("# {first}\n# & rmachine env n1 | Invoke-Expression\n"),
        ),
        (
            Shell::Emacs,
            format!(
                ";; {first}\n;; (with-temp-buffer (shell-command \"rmachine env n1\" \
                 (current-buffer)) (eval-buffer))\n"
            ),
        ),
    ] {
        assert_eq!(shell.hint(&plain), text);
    }
    let spaced = command(&["C:\\Program Files\\rmachine.exe", "env", "n1"]);
    assert!(
        Shell::Powershell
            .hint(&spaced)
            .contains("& \"C:\\Program Files\\rmachine.exe\" env n1 |")
    );
    assert!(
        Shell::Bash
            .hint(&command(&["a b", "env"]))
            .contains("$('a b' env)")
    );
}

#[test]
fn no_argument_ends_the_comment() {
    for shell in ALL {
        let command = ["rmachine".to_owned(), "x\nid".to_owned()];
        assert_eq!(shell.hint(&command), "", "{shell:?}");
    }
}

#[test]
fn knows_shells_by_their_programs() {
    for (name, shell) in [
        ("bash", Shell::Bash),
        ("zsh", Shell::Bash),
        ("sh", Shell::Posix),
        ("dash", Shell::Posix),
        ("ksh", Shell::Posix),
        ("fish", Shell::Fish),
        ("csh", Shell::Tcsh),
        ("cmd.exe", Shell::Cmd),
        ("pwsh", Shell::Powershell),
        ("emacs", Shell::Emacs),
    ] {
        assert_eq!(name.parse(), Ok(shell), "{name}");
    }
    assert_eq!("nu".parse::<Shell>(), Err(UnknownShell("nu".to_owned())));
}

/// How a shell reads a file of ours, in the ways that people use.
fn readings() -> Vec<(Shell, &'static str, Vec<&'static str>, &'static str)> {
    vec![
        (
            Shell::Bash,
            "bash",
            vec!["--norc", "-c"],
            "eval $(cat \"$F\"); exec env -0",
        ),
        (
            Shell::Bash,
            "bash",
            vec!["--norc", "-c"],
            "eval \"$(cat \"$F\")\"; exec env -0",
        ),
        (
            Shell::Bash,
            "zsh",
            vec!["-f", "-c"],
            "eval $(cat \"$F\"); exec env -0",
        ),
        (
            Shell::Bash,
            "zsh",
            vec!["-f", "-c"],
            "eval \"$(cat \"$F\")\"; exec env -0",
        ),
        (
            Shell::Posix,
            "dash",
            vec!["-c"],
            "eval $(cat \"$F\"); exec env -0",
        ),
        (
            Shell::Posix,
            "dash",
            vec!["-c"],
            "eval \"$(cat \"$F\")\"; exec env -0",
        ),
        (
            Shell::Posix,
            "bash",
            vec!["--posix", "-c"],
            "eval $(cat \"$F\"); exec env -0",
        ),
        (
            Shell::Posix,
            "busybox",
            vec!["sh", "-c"],
            "eval $(cat \"$F\"); exec env -0",
        ),
        (
            Shell::Fish,
            "fish",
            vec!["--no-config", "-c"],
            "eval (cat $F); exec env -0",
        ),
        (
            Shell::Fish,
            "fish",
            vec!["--no-config", "-c"],
            "cat $F | source; exec env -0",
        ),
        (
            Shell::Tcsh,
            "tcsh",
            vec!["-f", "-c"],
            "eval `cat $F`; exec env -0",
        ),
        (
            Shell::Tcsh,
            "tcsh",
            vec!["-f", "-c"],
            "source $F; exec env -0",
        ),
        (
            Shell::Powershell,
            "pwsh",
            vec!["-NoProfile", "-Command"],
            "cat $Env:F | Invoke-Expression; env -0",
        ),
        (
            Shell::Emacs,
            "emacs",
            vec!["--batch", "--eval"],
            "(progn (load-file (getenv \"F\")) (call-process \"env\" nil (list :file (getenv \
             \"OUT\")) nil \"-0\"))",
        ),
    ]
}

/// Lets a real shell read the lines that set these values, and compares what its children get.
fn check_in_real_shells(values: &[String]) {
    for (shell, program, args, script) in readings() {
        let Ok(found) = which(program) else {
            rmachine_test_support::skip(&format!("{program} is not installed"));
            continue;
        };
        // A trailing line break is lost by `eval $(…)` in shells that have no `$'…'`.
        let split = shell == Shell::Posix && script.contains("eval $(");
        let kept: Vec<(String, &String)> = values
            .iter()
            .filter(|value| !(split && value.ends_with('\n')))
            .filter(|value| shell.set("K", value).is_ok())
            .enumerate()
            .map(|(at, value)| (format!("K{at}"), value))
            .collect();
        let mut text: String = kept
            .iter()
            .map(|(name, value)| shell.set(name, value).unwrap())
            .collect();
        text.push_str(&shell.hint(&["rmachine".to_owned(), "env".to_owned()]));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lines");
        let out = dir.path().join("out");
        // Names that a pattern would match, where the shell runs.
        for name in ["a", "export", "K0=x"] {
            std::fs::File::create(dir.path().join(name)).unwrap();
        }
        std::fs::File::create(&file)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .unwrap();
        let output = Command::new(found)
            .args(&args)
            .arg(script)
            .env("F", &file)
            .env("OUT", &out)
            .env("HOME", dir.path())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(dir.path())
            .output()
            .unwrap();
        let mut shown = output.stdout;
        shown.extend(std::fs::read(&out).unwrap_or_default());
        let variables: Vec<&[u8]> = shown.split(|byte| *byte == 0).collect();
        for (name, value) in kept {
            let expected = format!("{name}={value}").into_bytes();
            assert!(
                variables.contains(&expected.as_slice()),
                "{program}: {script}\n{value:?} was written\n{}and read as {:?}\n{}",
                shell.set(&name, value).unwrap(),
                variables
                    .iter()
                    .find(|v| v.starts_with(format!("{name}=").as_bytes()))
                    .map(|v| String::from_utf8_lossy(v)),
                String::from_utf8_lossy(&output.stderr),
            );
        }
    }
}

fn which(program: &str) -> Result<std::path::PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{program} is not installed"))
}

#[test]
fn real_shells_read_hostile_values_byte_for_byte() {
    let values: Vec<String> = HOSTILE.iter().map(ToString::to_string).collect();
    check_in_real_shells(&values);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    #[test]
    fn real_shells_read_any_value_byte_for_byte(
        values in proptest::collection::vec("[ -~\t\n\r\u{80}-\u{2fff}]{0,24}", 40)
    ) {
        check_in_real_shells(&values);
    }
}

proptest! {
    #[test]
    fn what_is_written_survives_splitting(value in "[ -~\t\n]{0,40}") {
        for shell in [Shell::Bash, Shell::Posix, Shell::Tcsh] {
            let Ok(line) = shell.set("K", &value) else { continue };
            if shell == Shell::Posix && value.ends_with('\n') {
                continue;
            }
            let line = line.trim_end();
            let joined = line.split([' ', '\t', '\n']).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(line, joined);
            prop_assert!(!line.contains("  "));
            prop_assert!(!line.contains(['*', '?', '[']));
        }
    }
}
