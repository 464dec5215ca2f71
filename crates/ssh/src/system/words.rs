//! What OpenSSH's words mean. They are not translated, so they can be read.

use rmachine_driver::SshEndpoint;

use crate::{SshError, UnreachableReason};

/// What ssh said without what is no complaint: that a key was pinned.
pub(super) fn complaints(words: &str) -> String {
    let is_complaint = |line: &&str| !line.starts_with("Warning: Permanently added ");
    words.split_inclusive('\n').filter(is_complaint).collect()
}

/// The error behind a connection that ssh could not make.
pub(super) fn connect_error(endpoint: &SshEndpoint, login: &str, words: &str) -> SshError {
    let host = endpoint.host.to_string();
    let has = |part: &str| words.contains(part);
    if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Host key verification failed") {
        return SshError::HostKeyChanged {
            host,
            known_hosts: endpoint.known_hosts.clone(),
            fingerprint: fingerprint(words),
        };
    }
    if let Some(line) = line_with(words, &["Permission denied (", "Too many authentication"]) {
        return SshError::AuthRefused {
            host,
            user: user_in(line).unwrap_or(login).to_owned(),
            identity: endpoint.identity.clone(),
            methods: methods_in(line),
            detail: line.to_owned(),
        };
    }
    let (reason, line) = unreachable_reason(words);
    SshError::Unreachable {
        host,
        reason,
        detail: line.to_owned(),
    }
}

/// Whether a multiplexed command was not run because the host allows no further session.
pub(super) fn session_was_refused(words: &str) -> bool {
    words.contains("session request failed")
}

fn unreachable_reason(words: &str) -> (UnreachableReason, &str) {
    use UnreachableReason::{Closed, NameUnknown, NoRoute, Other, Refused, TimedOut};
    let table: [(&[&str], UnreachableReason); 5] = [
        (&["Could not resolve hostname"], NameUnknown),
        (&["Connection refused"], Refused),
        (&["timed out", "not responding"], TimedOut),
        (
            &["No route to host", "Network is unreachable", "Host is down"],
            NoRoute,
        ),
        (
            &[
                "Connection closed by",
                "Connection reset by",
                "closed by remote host",
                "kex_exchange_identification",
                "Broken pipe",
            ],
            Closed,
        ),
    ];
    for (parts, reason) in table {
        if let Some(line) = line_with(words, parts) {
            return (reason, line);
        }
    }
    (Other, words.trim())
}

fn line_with<'a>(words: &'a str, parts: &[&str]) -> Option<&'a str> {
    words
        .lines()
        .map(str::trim)
        .rfind(|line| parts.iter().any(|part| line.contains(part)))
}

/// `user` of `user@host: Permission denied (…).`
fn user_in(line: &str) -> Option<&str> {
    let (before, _) = line.split_once(": Permission denied (")?;
    let (user, _) = before.rsplit_once('@')?;
    Some(user).filter(|user| !user.contains(' '))
}

/// `a`, `b` of `… Permission denied (a,b).`
fn methods_in(line: &str) -> Vec<String> {
    let inside = line
        .split_once("Permission denied (")
        .and_then(|(_, rest)| rest.split_once(')'));
    inside
        .map(|(methods, _)| methods.split(',').map(str::to_owned).collect())
        .unwrap_or_default()
}

fn fingerprint(words: &str) -> Option<String> {
    let start = words.find("SHA256:")?;
    let text = &words[start..];
    let end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
    Some(text[..end].trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rmachine_driver::FirstContact;

    use super::*;

    fn error(words: &str) -> SshError {
        let endpoint = SshEndpoint {
            host: "h".parse().unwrap(),
            port: None,
            user: None,
            identity: None,
            known_hosts: PathBuf::from("/store/known_hosts"),
            host_key_alias: "n1".to_owned(),
            first_contact: FirstContact::Pin,
            use_ssh_config: false,
            sudo_password_file: None,
        };
        connect_error(&endpoint, "me", words)
    }

    #[test]
    fn an_unreachable_host_says_why() {
        use UnreachableReason::{Closed, NameUnknown, NoRoute, Other, Refused, TimedOut};
        let table = [
            (
                "ssh: connect to host h port 22: Connection refused\r\n",
                Refused,
                true,
            ),
            (
                "ssh: connect to host h port 22: Connection timed out\r\n",
                TimedOut,
                true,
            ),
            (
                "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out\n",
                TimedOut,
                true,
            ),
            (
                "ssh: connect to host h port 22: No route to host\r\n",
                NoRoute,
                true,
            ),
            (
                "ssh: Could not resolve hostname h: Name or service not known\r\n",
                NameUnknown,
                false,
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 10.0.0.1 port 22\r\n",
                Closed,
                true,
            ),
            ("Connection closed by 10.0.0.1 port 22\r\n", Closed, true),
            (
                "/x/config: line 3: Bad configuration option: nonsense\n",
                Other,
                false,
            ),
        ];
        for (words, expected, transient) in table {
            let error = error(words);
            let SshError::Unreachable { reason, .. } = &error else {
                panic!("{words}: {error:?}");
            };
            assert_eq!(*reason, expected, "{words}");
            assert_eq!(error.is_transient(), transient, "{words}");
        }
    }

    #[test]
    fn a_pinned_key_is_no_complaint() {
        let words = "Warning: Permanently added 'h' (ED25519) to the list of known hosts.\r\n\
                     Connection closed by 10.0.0.1 port 22\r\n";
        assert_eq!(
            complaints(words),
            "Connection closed by 10.0.0.1 port 22\r\n"
        );
    }

    #[test]
    fn a_refused_login_names_the_user_and_the_methods() {
        let table = [
            (
                "root@10.0.0.1: Permission denied (publickey,password).\r\n",
                "root",
                &["publickey", "password"][..],
            ),
            (
                "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n",
                "me",
                &[],
            ),
        ];
        for (words, expected_user, expected_methods) in table {
            let error = error(words);
            let SshError::AuthRefused { user, methods, .. } = &error else {
                panic!("{words}: {error:?}");
            };
            assert_eq!(user, expected_user);
            assert_eq!(methods, expected_methods);
            assert!(!error.is_transient());
        }
    }

    #[test]
    fn a_changed_host_key_shows_the_offered_one() {
        let changed = "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n\
            The fingerprint for the ED25519 key sent by the remote host is\n\
            SHA256:0Pv+abc.\r\nHost key verification failed.\r\n";
        let other_type = "No ED25519 host key is known for n1 and you have requested strict checking.\r\n\
            Host key verification failed.\r\n";
        for (words, expected) in [(changed, Some("SHA256:0Pv+abc")), (other_type, None)] {
            let error = error(words);
            let SshError::HostKeyChanged { fingerprint, .. } = &error else {
                panic!("{words}: {error:?}");
            };
            assert_eq!(fingerprint.as_deref(), expected);
        }
    }
}
