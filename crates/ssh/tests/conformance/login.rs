//! Who is let in, with which key.

use rmachine_driver::{NoSecrets, SshEndpoint};
use rmachine_ssh::{Backend, SshError, connect};

use crate::lab::{Answers, Lab, PASSPHRASE, user};
use crate::{refusal, run};

pub async fn every_type_of_key_logs_in(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    for (name, kind) in [
        ("id_rsa", "rsa"),
        ("id_ecdsa", "ecdsa"),
        ("id_ed25519", "ed25519"),
    ] {
        lab.make_key(name, kind, "");
        lab.authorize(name);
        let endpoint = SshEndpoint {
            identity: Some(lab.path(name)),
            ..lab.endpoint()
        };
        let ssh = connect(&endpoint, &lab.options(backend), &NoSecrets)
            .await
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!(run(&*ssh, "echo in").await.text(), "in");
    }
    Some(())
}

pub async fn a_key_that_the_host_does_not_know_is_refused(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    lab.make_key("id_other", "ed25519", "");
    let endpoint = SshEndpoint {
        identity: Some(lab.path("id_other")),
        ..lab.endpoint()
    };
    let error = refusal(&lab, &endpoint, backend).await;
    let SshError::AuthRefused {
        user: who, methods, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(*who, user());
    assert_eq!(methods, &["publickey"]);
    assert!(!error.is_transient());
    Some(())
}

pub async fn an_unknown_user_is_refused(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let endpoint = SshEndpoint {
        user: Some("nobody-of-that-name".to_owned()),
        ..lab.endpoint()
    };
    let error = refusal(&lab, &endpoint, backend).await;
    let SshError::AuthRefused { user, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(user, "nobody-of-that-name");
    Some(())
}

pub async fn a_key_file_that_ssh_would_not_use_is_named(backend: Backend) -> Option<()> {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::start("")?;
    let absent = SshEndpoint {
        identity: Some(lab.path("absent")),
        ..lab.endpoint()
    };
    let error = refusal(&lab, &absent, backend).await;
    assert!(matches!(error, SshError::KeyUnreadable { .. }), "{error:?}");

    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(lab.path("id_ed25519"), open).unwrap();
    let error = refusal(&lab, &lab.endpoint(), backend).await;
    assert!(
        matches!(error, SshError::KeyTooOpen { mode: 0o640, .. }),
        "{error:?}"
    );
    Some(())
}

pub async fn a_locked_key_needs_its_passphrase_or_the_agent(backend: Backend) -> Option<()> {
    let mut lab = Lab::start("")?;
    for kind in ["ed25519", "rsa"] {
        lab.make_key("id_locked", kind, PASSPHRASE);
        lab.authorize("id_locked");
        let endpoint = SshEndpoint {
            identity: Some(lab.path("id_locked")),
            ..lab.endpoint()
        };
        let error = refusal(&lab, &endpoint, backend).await;
        let SshError::PassphraseNeeded { key } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*key, lab.path("id_locked"));

        if backend == Backend::Native {
            // The system's ssh asks by itself, at a terminal.
            let wrong = Answers::new("wrong");
            let Err(error) = connect(&endpoint, &lab.options(backend), &wrong).await else {
                panic!("connected");
            };
            assert!(
                matches!(error, SshError::PassphraseNeeded { .. }),
                "{error:?}"
            );
            let right = Answers::new(PASSPHRASE);
            connect(&endpoint, &lab.options(backend), &right)
                .await
                .unwrap();
            let asked = right.questions.lock().unwrap().clone();
            let expected = format!("passphrase of the key {}", lab.path("id_locked").display());
            assert_eq!(asked, [expected]);
        }
    }
    lab.start_agent("id_locked");
    let endpoint = SshEndpoint {
        identity: Some(lab.path("id_locked")),
        ..lab.endpoint()
    };
    let ssh = connect(&endpoint, &lab.options(backend), &NoSecrets)
        .await
        .unwrap();
    assert_eq!(run(&*ssh, "echo in").await.text(), "in");
    Some(())
}

pub async fn the_agent_alone_is_enough(backend: Backend) -> Option<()> {
    let mut lab = Lab::start("")?;
    lab.start_agent("id_ed25519");
    let endpoint = SshEndpoint {
        identity: None,
        ..lab.endpoint()
    };
    let ssh = connect(&endpoint, &lab.options(backend), &NoSecrets)
        .await
        .unwrap();
    assert_eq!(run(&*ssh, "echo in").await.text(), "in");
    Some(())
}
