//! Which host it is, and whether it is there.

use std::io::{Read, Write};
use std::time::Duration;

use rmachine_driver::{FirstContact, NoSecrets, SshEndpoint};
use rmachine_ssh::{
    Backend, HostKey, SshError, UnreachableReason, connect, offered_host_key, pin, pinned,
    replace_pin, wait_until_reachable,
};

use crate::lab::{Lab, Wire, free_port, user};
use crate::{LIMIT, open, refusal, run};

pub async fn the_first_host_key_is_pinned_and_another_refused(backend: Backend) -> Option<()> {
    let mut lab = Lab::start("")?;
    drop(open(&lab, backend).await);
    let known_hosts = lab.path("known_hosts");
    let first: HostKey = lab.public_key("host_ed25519").parse().unwrap();
    assert_eq!(pinned(&known_hosts, "box").unwrap(), [first]);
    let before = std::fs::read_to_string(&known_hosts).unwrap();
    drop(open(&lab, backend).await);

    lab.stop_sshd();
    lab.make_key("host_ed25519", "ed25519", "");
    lab.start_sshd("");
    let error = refusal(&lab, &lab.endpoint(), backend).await;
    let SshError::HostKeyChanged {
        known_hosts: file,
        fingerprint,
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    let second: HostKey = lab.public_key("host_ed25519").parse().unwrap();
    assert_eq!(*fingerprint, Some(second.fingerprint()));
    assert_eq!(*file, known_hosts);
    assert_eq!(std::fs::read_to_string(&known_hosts).unwrap(), before);
    Some(())
}

pub async fn lost_pin_rejects_the_host_until_its_key_is_accepted(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let known_hosts = lab.path("known_hosts");
    let contacted = SshEndpoint {
        first_contact: FirstContact::Reject,
        ..lab.endpoint()
    };
    for emptied in [false, true] {
        if emptied {
            std::fs::write(&known_hosts, "").unwrap();
        }
        let error = refusal(&lab, &contacted, backend).await;
        assert!(
            matches!(error, SshError::HostKeyNotPinned { .. }),
            "{error:?}"
        );
        assert!(!error.is_transient());
        assert_eq!(pinned(&known_hosts, "box").unwrap(), []);
    }
    let options = lab.options(backend);
    let offered = offered_host_key(&contacted, &options).await.unwrap();
    assert_eq!(offered, lab.public_key("host_ed25519").parse().unwrap());
    assert_eq!(pinned(&known_hosts, "box").unwrap(), []);

    // A host that turns the login away shows its key, too.
    let stranger = SshEndpoint {
        user: Some("nobody-of-that-name".to_owned()),
        ..contacted.clone()
    };
    assert_eq!(
        offered_host_key(&stranger, &options).await.unwrap(),
        offered
    );

    replace_pin(&known_hosts, "box", &offered).unwrap();
    connect(&contacted, &options, &NoSecrets).await.unwrap();
    Some(())
}

pub async fn dry_contact_pins_nothing(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let known_hosts = lab.path("known_hosts");
    let dry = SshEndpoint {
        first_contact: FirstContact::Accept,
        ..lab.endpoint()
    };
    let ssh = connect(&dry, &lab.options(backend), &NoSecrets)
        .await
        .unwrap();
    assert_eq!(run(&*ssh, "echo in").await.text(), "in");
    drop(ssh);
    assert!(!known_hosts.exists());

    let other: HostKey = "ssh-rsa AAAAB3NzaC1yc2E=".parse().unwrap();
    pin(&known_hosts, "box", &other).unwrap();
    let error = refusal(&lab, &dry, backend).await;
    assert!(
        matches!(error, SshError::HostKeyChanged { .. }),
        "{error:?}"
    );
    Some(())
}

pub async fn a_host_with_several_keys_shows_the_pinned_one(backend: Backend) -> Option<()> {
    let mut lab = Lab::without_sshd()?;
    let mut config = String::new();
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let name = format!("host_{kind}");
        lab.make_key(&name, kind, "");
        config.push_str(&format!("HostKey \"{}\"\n", lab.path(&name).display()));
    }
    lab.start_sshd(&config);
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let _ = std::fs::remove_file(lab.path("known_hosts"));
        let key = lab.public_key(&format!("host_{kind}")).parse().unwrap();
        pin(&lab.path("known_hosts"), "box", &key).unwrap();
        drop(open(&lab, backend).await);
    }
    Some(())
}

pub async fn an_unreachable_host_says_why(backend: Backend) -> Option<()> {
    let lab = Lab::without_sshd()?;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rude = Wire::to(free_port());
    let curt = greets_and_hangs_up();
    let table = [
        ("127.0.0.1", lab.port(), UnreachableReason::Refused),
        ("nowhere.invalid", 22, UnreachableReason::NameUnknown),
        (
            "127.0.0.1",
            silent.local_addr().unwrap().port(),
            UnreachableReason::TimedOut,
        ),
        ("127.0.0.1", rude.port, UnreachableReason::Closed),
        ("127.0.0.1", curt, UnreachableReason::Closed),
    ];
    for (host, port, expected) in table {
        let endpoint = SshEndpoint {
            host: host.parse().unwrap(),
            port: Some(port),
            ..lab.endpoint()
        };
        let mut options = lab.options(backend);
        options.limit = Duration::from_secs(2);
        let Err(error) = connect(&endpoint, &options, &NoSecrets).await else {
            panic!("connected");
        };
        let SshError::Unreachable { reason, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*reason, expected, "{error}");
    }
    Some(())
}

/// The port of a server that hangs up once it and its first caller have said which SSH they speak.
fn greets_and_hangs_up() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        caller.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
        let _ = caller.read(&mut [0; 4096]);
    });
    port
}

pub async fn a_booting_host_is_waited_for(backend: Backend) -> Option<()> {
    let mut lab = Lab::without_sshd()?;
    let (endpoint, options) = (lab.endpoint(), lab.options(backend));
    let short = Duration::from_secs(1);
    let Err(error) = wait_until_reachable(&endpoint, &options, &NoSecrets, short).await else {
        panic!("connected");
    };
    assert!(error.is_transient(), "{error:?}");

    let boot = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(500));
        lab.start_sshd("");
        lab
    });
    let ssh = wait_until_reachable(&endpoint, &options, &NoSecrets, LIMIT)
        .await
        .unwrap();
    let lab = boot.await.unwrap();
    assert_eq!(run(&*ssh, "echo up").await.text(), "up");
    // Before the lab, in whose directory its socket is.
    drop(ssh);

    let stranger = SshEndpoint {
        user: Some("nobody-of-that-name".to_owned()),
        ..lab.endpoint()
    };
    let Err(error) = wait_until_reachable(&stranger, &options, &NoSecrets, LIMIT).await else {
        panic!("connected");
    };
    assert!(matches!(error, SshError::AuthRefused { .. }), "{error:?}");
    Some(())
}

pub async fn ssh_config_applies_where_it_should(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let config = format!(
        "Host box\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile \"{}\"\n",
        lab.port(),
        user(),
        lab.path("id_ed25519").display()
    );
    let jump = "Host far\n  HostName 127.0.0.1\n  ProxyJump box\n";
    let trust = "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n";
    std::fs::write(lab.ssh_config(), format!("{config}{jump}{trust}")).unwrap();
    let alias = SshEndpoint {
        host: "box".parse().unwrap(),
        port: None,
        user: None,
        identity: None,
        use_ssh_config: true,
        ..lab.endpoint()
    };
    let options = lab.options(backend);
    let ssh = connect(&alias, &options, &NoSecrets).await.unwrap();
    assert_eq!(run(&*ssh, "id -un").await.text(), user());
    assert_eq!(pinned(&lab.path("known_hosts"), "box").unwrap().len(), 1);

    let behind = SshEndpoint {
        host: "far".parse().unwrap(),
        use_ssh_config: true,
        ..lab.endpoint()
    };
    let through = connect(&behind, &options, &NoSecrets).await;
    match (backend, through) {
        (Backend::System, Ok(ssh)) => assert_eq!(run(&*ssh, "echo far").await.text(), "far"),
        (Backend::Native, Err(SshError::NeedsSystemSsh { feature })) => {
            assert_eq!(feature, "ProxyJump");
        }
        (_, Err(error)) => panic!("{error}"),
        (_, Ok(_)) => panic!("connected"),
    }
    Some(())
}
