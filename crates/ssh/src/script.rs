//! What travels to the host: command lines that any login shell takes alike, and what is fed to
//! them.
//!
//! The command line is a constant, whatever runs. It may contain no character that sh, csh or fish
//! read differently inside single quotes (`'`, `\`, `!`, a line end); all that varies goes over
//! standard input, where only POSIX sh reads it.

use std::path::Path;

use crate::SshError;

/// Reads one line and does what it says; the rest of standard input belongs to that line.
const LOADER: &str = r#"/bin/sh -c 'IFS= read -r line || exit 97; eval "$line"'"#;

/// The loader's status when it is fed nothing: whatever came before let it run.
pub(crate) const FED_NOTHING: i32 = 97;

/// Through what a command becomes root.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Elevation {
    /// It runs as the login user, which may be root already.
    None,
    /// sudo that asks for nothing.
    Sudo,
    /// sudo that reads the password from the first line of standard input.
    SudoWithPassword,
}

/// The remote command line.
pub(crate) fn command_line(elevation: Elevation) -> String {
    match elevation {
        Elevation::None => LOADER.to_owned(),
        Elevation::Sudo => format!("sudo -n {LOADER}"),
        // -k: with a cached approval sudo would leave the password for the loader to execute.
        Elevation::SudoWithPassword => format!("sudo -k -S -p '' {LOADER}"),
    }
}

/// What to feed the command line so that it runs a script.
///
/// The script is a function that the last line calls, so that a script that arrives only in part
/// does nothing. Standard input stays open while it runs: its end means that the connection is
/// gone or the caller gave up, and then the whole process group is ended, which sshd alone would
/// leave running.
pub(crate) fn feed_script(script: &str) -> Vec<u8> {
    let watch = concat!(
        "{ while read -r _; do :; done; trap '' TERM; kill -TERM 0; sleep 3; kill -KILL 0; }",
        " <&3 >/dev/null 2>&1 &"
    );
    // A function must not be empty; a script may be, or all comment.
    // One line, in braces: sh must have read all of itself before the watch reads along, and a
    // part of it must mean nothing.
    format!(
        "exec /bin/sh -s\nmain() {{\n:\n{script}\n}}\n{{ exec 3<&0; {watch} watch=$!; \
         (main) </dev/null 3<&-; status=$?; exec 2>/dev/null; kill \"$watch\"; exit \"$status\"; }}\n"
    )
    .into_bytes()
}

/// What to feed the command line so that it writes a file.
///
/// # Errors
/// [`SshError::Unusable`] for a path that cannot be said in one line.
pub(crate) fn feed_upload(path: &Path, mode: u32, content: &[u8]) -> Result<Vec<u8>, SshError> {
    let unusable = |reason| SshError::Unusable {
        value: path.display().to_string(),
        reason,
    };
    let text = path
        .to_str()
        .ok_or_else(|| unusable("the path is not UTF-8"))?;
    if text.is_empty() || text.contains(['\n', '\0']) {
        return Err(unusable("it is empty or has a line end in it"));
    }
    let target = if path.is_absolute() {
        text.to_owned()
    } else {
        format!("./{text}")
    };
    let quoted = shlex::try_quote(&target).map_err(|_| unusable("it cannot be quoted"))?;
    // The length is compared because a connection that breaks looks like the end of the file.
    let line = format!(
        "to={quoted}; new=\"$to.$$.new\"; umask 077; trap 'rm -f \"$new\"' EXIT; \
         if [ -d \"$to\" ]; then echo \"$to is a directory\" >&2; exit 1; fi; \
         cat >\"$new\" || exit 1; \
         if [ \"$(wc -c <\"$new\")\" -ne {length} ]; then echo \"the upload was cut\" >&2; exit 1; fi; \
         chmod {mode:o} \"$new\" && mv -f \"$new\" \"$to\"\n",
        length = content.len(),
        mode = mode & 0o7777,
    );
    Ok([line.as_bytes(), content].concat())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Output, Stdio};

    use super::*;

    /// Runs a command line as sshd has a login shell run it: in a process group of its own.
    fn login_shell(shell: &str, input: &[u8], end: End) -> Option<Output> {
        let mut child = Command::new(shell)
            .args(["-c", &command_line(Elevation::None)])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut stdin = child.stdin.take();
        stdin.as_mut().unwrap().write_all(input).unwrap();
        if end == End::AtOnce {
            stdin = None;
        }
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        Some(output)
    }

    /// When standard input ends.
    #[derive(Clone, Copy, Eq, PartialEq)]
    enum End {
        AtOnce,
        AfterTheCommand,
    }

    #[test]
    fn every_login_shell_runs_a_script_alike() {
        let script = "printf '%s|' \"it's $((6 * 7))!\" 'a\\b'\ncat\nexit 7";
        for shell in ["sh", "bash", "dash", "zsh", "fish", "csh", "tcsh"] {
            let Some(output) = login_shell(shell, &feed_script(script), End::AfterTheCommand)
            else {
                rmachine_test_support::skip(&format!("there is no {shell} program"));
                continue;
            };
            assert_eq!(output.status.code(), Some(7), "{shell}: {output:?}");
            assert_eq!(output.stdout, b"it's 42!|a\\b|", "{shell}");
            assert_eq!(output.stderr, b"", "{shell}");
        }
    }

    #[test]
    fn a_script_that_arrives_in_part_does_nothing() {
        let whole = feed_script("echo one\necho two");
        for cut in (0..whole.len() - 1).step_by(5) {
            let output = login_shell("sh", &whole[..cut], End::AtOnce).unwrap();
            assert_eq!(output.stdout, b"", "cut at {cut}");
        }
    }

    #[test]
    fn nothing_to_do_has_a_status_of_its_own() {
        let output = login_shell("sh", b"", End::AtOnce).unwrap();
        assert_eq!(output.status.code(), Some(FED_NOTHING));
    }

    #[test]
    fn the_command_line_means_the_same_to_every_shell() {
        for elevation in [
            Elevation::None,
            Elevation::Sudo,
            Elevation::SudoWithPassword,
        ] {
            let line = command_line(elevation);
            assert!(!line.contains(['\\', '!', '\n']), "{line}");
            assert_eq!(line.matches('\'').count() % 2, 0, "{line}");
        }
    }

    #[test]
    fn an_upload_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's a \"file\"");
        let content = b"a\0b\nc".repeat(1000);
        let whole = feed_upload(&path, 0o640, &content).unwrap();

        let cut = login_shell("sh", &whole[..whole.len() - 1], End::AtOnce).unwrap();
        assert_eq!(cut.status.code(), Some(1));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let done = login_shell("sh", &whole, End::AtOnce).unwrap();
        assert!(done.status.success(), "{done:?}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
        let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
        assert_eq!(mode & 0o7777, 0o640);
    }

    #[test]
    fn a_path_that_would_break_the_line_is_refused() {
        for bad in ["", "/a\nb"] {
            let refused = feed_upload(Path::new(bad), 0o600, b"");
            assert!(matches!(refused, Err(SshError::Unusable { .. })), "{bad:?}");
        }
        let relative = feed_upload(Path::new("-f"), 0o600, b"").unwrap();
        assert!(relative.starts_with(b"to=./-f;"));
    }
}
