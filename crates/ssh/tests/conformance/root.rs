//! Becoming root.

use rmachine_driver::{NoSecrets, SshEndpoint};
use rmachine_ssh::{Backend, Privilege, SshError, Upload, connect};

use crate::lab::{Answers, Lab};
use crate::{LIMIT, run, try_run};

/// A host whose login user is not root, with a sudo of this kind.
///
/// The words are those of sudo 1.9.13 on Debian 12 and of 1.9.16 on Debian 13.
fn with_sudo(kind: &str) -> Option<Lab> {
    let mut lab = Lab::without_sshd()?;
    let sudo = r#"#!/bin/sh
case "$1" in
-n)
    if [ KIND = free ]; then shift; exec env FAKE_ROOT=1 "$@"; fi
    echo 'sudo: a password is required' >&2; exit 1 ;;
-k)
    shift 4
    if [ KIND = lapsed ]; then
        # It asks at the trial only: someone adds a NOPASSWD rule after it.
        if [ -e "TRIED" ]; then exec env FAKE_ROOT=1 "$@"; fi
        : > "TRIED"
        IFS= read -r given
        exec env FAKE_ROOT=1 "$@"
    fi
    IFS= read -r given
    if [ "$given" != 'correct horse' ]; then
        read -r again && echo 'Sorry, try again.' >&2
        printf 'Sorry, try again.\n\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n' >&2; exit 1
    elif [ KIND = stranger ]; then
        echo 'stranger is not in the sudoers file.' >&2; exit 1
    fi
    exec env FAKE_ROOT=1 "$@" ;;
esac
echo "unexpected: $*" >&2; exit 2
"#;
    lab.write_program(
        "id",
        "#!/bin/sh\n[ -n \"$FAKE_ROOT\" ] && echo 0 || echo 1000\n",
    );
    let tried = lab.path("sudo-tried").display().to_string();
    let sudo = sudo.replace("KIND", kind).replace("TRIED", &tried);
    lab.write_program("sudo", &sudo);
    let config = lab.search_programs_first();
    lab.start_sshd(&config);
    Some(lab)
}

/// The login name is left to ssh: whoever runs the tests.
fn somebody(lab: &Lab) -> SshEndpoint {
    SshEndpoint {
        user: None,
        ..lab.endpoint()
    }
}

pub async fn root_without_a_password(backend: Backend) -> Option<()> {
    let lab = with_sudo("free")?;
    let ssh = connect(&somebody(&lab), &lab.options(backend), &NoSecrets)
        .await
        .unwrap();
    for (privilege, uid) in [(Privilege::Login, "1000"), (Privilege::Root, "0")] {
        let output = try_run(&*ssh, "id -u; exit 3", privilege).await.unwrap();
        assert_eq!((output.status, output.text().as_str()), (3, uid));
        assert_eq!(output.error_text(), "");
    }
    Some(())
}

pub async fn root_with_a_password(backend: Backend) -> Option<()> {
    use std::os::unix::fs::PermissionsExt;
    let lab = with_sudo("locked")?;
    let options = lab.options(backend);

    let nobody = connect(&somebody(&lab), &options, &NoSecrets)
        .await
        .unwrap();
    let error = try_run(&*nobody, ":", Privilege::Root).await.unwrap_err();
    assert!(
        matches!(error, SshError::SudoPasswordNeeded { .. }),
        "{error:?}"
    );
    assert_eq!(run(&*nobody, "id -u").await.text(), "1000");

    let person = Answers::new("correct horse");
    let ssh = connect(&somebody(&lab), &options, &person).await.unwrap();
    for _ in 0..2 {
        let output = try_run(&*ssh, "id -u; cat", Privilege::Root).await.unwrap();
        assert_eq!(
            (output.text().as_str(), output.error_text().as_str()),
            ("0", "")
        );
    }
    let content = b"first line\nsecond";
    ssh.upload(&Upload {
        path: &lab.path("as root"),
        mode: 0o600,
        content,
        privilege: Privilege::Root,
        limit: LIMIT,
    })
    .await
    .unwrap();
    assert_eq!(std::fs::read(lab.path("as root")).unwrap(), content);
    let asked = person.questions.lock().unwrap().clone();
    assert_eq!(asked, ["sudo password on 127.0.0.1"]);

    let file = lab.path("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let from_file = SshEndpoint {
        sudo_password_file: Some(file.clone()),
        ..somebody(&lab)
    };
    for (mode, works) in [(0o600, true), (0o644, false)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let ssh = connect(&from_file, &options, &NoSecrets).await.unwrap();
        let outcome = try_run(&*ssh, "id -u", Privilege::Root).await;
        match outcome {
            Ok(output) if works => assert_eq!(output.text(), "0"),
            Err(SshError::SudoPasswordFile { .. }) if !works => {}
            other => panic!("{other:?}"),
        }
    }
    Some(())
}

pub async fn root_that_is_refused(backend: Backend) -> Option<()> {
    for (kind, password, words) in [
        (
            "locked",
            "wrong horse",
            "sudo: 1 incorrect password attempt",
        ),
        ("stranger", "correct horse", "not in the sudoers file"),
    ] {
        let lab = with_sudo(kind)?;
        let person = Answers::new(password);
        let ssh = connect(&somebody(&lab), &lab.options(backend), &person)
            .await
            .unwrap();
        let error = try_run(&*ssh, ":", Privilege::Root).await.unwrap_err();
        let SshError::SudoRefused { stderr, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(stderr.contains(words), "{stderr}");
        assert!(stderr.matches("Sorry").count() <= 1, "{stderr}");
        assert!(!format!("{error:?}{error}").contains(password));
    }
    Some(())
}

pub async fn password_that_sudo_does_not_read_is_not_executed(backend: Backend) -> Option<()> {
    let lab = with_sudo("lapsed")?;
    let executed = lab.path("executed");
    let password = format!("touch '{}'", executed.display());
    let person = Answers::new(&password);
    let ssh = connect(&somebody(&lab), &lab.options(backend), &person)
        .await
        .unwrap();
    for _ in 0..2 {
        let output = try_run(&*ssh, "id -u; cat; exit 3", Privilege::Root)
            .await
            .unwrap();
        assert_eq!((output.status, output.text().as_str()), (3, "0"));
        assert_eq!(output.error_text(), "");
    }
    ssh.upload(&Upload {
        path: &lab.path("uploaded"),
        mode: 0o600,
        content: b"content",
        privilege: Privilege::Root,
        limit: LIMIT,
    })
    .await
    .unwrap();
    assert_eq!(std::fs::read(lab.path("uploaded")).unwrap(), b"content");
    assert!(!executed.exists(), "the password was executed as root");
    Some(())
}
