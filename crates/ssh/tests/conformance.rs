//! What both backends must do, on real sshds.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod lab;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use lab::{Answers, Lab, PASSPHRASE, Wire, eventually, free_port, user};
use rmachine_driver::{NoSecrets, SshEndpoint};
use rmachine_ssh::{
    Backend, HostKey, Output, Privilege, Run, Ssh, SshError, UnreachableReason, Upload, connect,
    pin, pinned, wait_until_reachable,
};

const LIMIT: Duration = Duration::from_secs(60);

macro_rules! conformance {
    ($($name:ident)*) => {
        mod system {
            $(#[test] fn $name() { super::block_on(super::$name(super::Backend::System)); })*
        }
        mod native {
            $(#[test] fn $name() { super::block_on(super::$name(super::Backend::Native)); })*
        }
    };
}

conformance! {
    a_script_gives_its_status_and_bytes
    a_script_reads_nothing_and_says_much
    a_file_arrives_whole_with_its_mode
    a_file_that_cannot_be_written_says_why
    many_commands_share_one_connection
    one_session_at_a_time_is_enough
    a_command_that_takes_too_long_is_ended_on_the_host
    a_command_that_nobody_waits_for_is_ended_on_the_host
    a_lost_connection_is_noticed
    closing_leaves_nothing_behind
    every_type_of_key_logs_in
    a_key_that_the_host_does_not_know_is_refused
    an_unknown_user_is_refused
    a_key_file_that_ssh_would_not_use_is_named
    a_locked_key_needs_its_passphrase_or_the_agent
    the_agent_alone_is_enough
    the_first_host_key_is_pinned_and_another_refused
    a_host_with_several_keys_shows_the_pinned_one
    an_unreachable_host_says_why
    a_booting_host_is_waited_for
    ssh_config_applies_where_it_should
    root_without_a_password
    root_with_a_password
    root_that_is_refused
}

fn block_on(test: impl Future<Output = Option<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

async fn open<'a>(lab: &Lab, backend: Backend) -> Box<dyn Ssh + 'a> {
    connect(&lab.endpoint(), &lab.options(backend), &NoSecrets)
        .await
        .unwrap()
}

async fn refusal(lab: &Lab, endpoint: &SshEndpoint, backend: Backend) -> SshError {
    match connect(endpoint, &lab.options(backend), &NoSecrets).await {
        Err(error) => error,
        Ok(_) => panic!("connected"),
    }
}

async fn run(ssh: &dyn Ssh, script: &str) -> Output {
    try_run(ssh, script, Privilege::Login).await.unwrap()
}

async fn try_run(ssh: &dyn Ssh, script: &str, privilege: Privilege) -> Result<Output, SshError> {
    ssh.run(&Run {
        step: "testing",
        script,
        privilege,
        limit: LIMIT,
    })
    .await
}

async fn upload(ssh: &dyn Ssh, path: &Path, mode: u32, content: &[u8]) -> Result<(), SshError> {
    ssh.upload(&Upload {
        path,
        mode,
        content,
        privilege: Privilege::Login,
        limit: LIMIT,
    })
    .await
}

async fn a_script_gives_its_status_and_bytes(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    for status in [0, 1, 7, 126, 254, 255] {
        let output = run(
            &*ssh,
            &format!("printf 'a\\000\\377b'; printf 'c\\n\\001' >&2; exit {status}"),
        )
        .await;
        assert_eq!(output.status, status);
        assert_eq!(output.stdout, b"a\0\xffb");
        assert_eq!(output.stderr, b"c\n\x01");
    }
    assert_eq!(run(&*ssh, "sh -c 'kill -KILL $$'").await.status, 137);
    assert_eq!(run(&*ssh, "").await, Output::default());
    assert_eq!(run(&*ssh, "# only a comment").await, Output::default());
    Some(())
}

async fn a_script_reads_nothing_and_says_much(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    let output = run(
        &*ssh,
        "cat; echo begin; head -c 20000000 /dev/zero; head -c 9000000 /dev/zero >&2; printf end",
    )
    .await;
    assert_eq!(output.stdout.len(), 6 + 20_000_000 + 3);
    assert!(output.stdout.starts_with(b"begin\n\0"));
    assert!(output.stdout.ends_with(b"\0end"));
    assert_eq!(output.stderr, vec![0; 9_000_000]);

    let long = format!("{}\necho done", "# filler\n".repeat(100_000));
    assert_eq!(run(&*ssh, &long).await.text(), "done");
    Some(())
}

async fn a_file_arrives_whole_with_its_mode(backend: Backend) -> Option<()> {
    use std::os::unix::fs::MetadataExt;
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    let path = lab.path("it's a \"file\"; $(touch no) & %h");
    let big: Vec<u8> = (0..20_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (content, mode) in [(&b""[..], 0o600), (b"a\0\nb", 0o644), (&big, 0o755)] {
        upload(&*ssh, &path, mode, content).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, mode);
    }
    Some(())
}

async fn a_file_that_cannot_be_written_says_why(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    let big = vec![b'x'; 5_000_000];
    for (path, words) in [
        (lab.path("absent/file"), "absent/file"),
        (lab.path("bin"), "is a directory"),
    ] {
        let error = upload(&*ssh, &path, 0o600, &big).await.unwrap_err();
        let SshError::UploadFailed { stderr, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(stderr.contains(words), "{stderr}");
    }
    assert_eq!(run(&*ssh, "echo still here").await.text(), "still here");
    Some(())
}

async fn many_commands_share_one_connection(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let wire = Wire::to(lab.port());
    let endpoint = SshEndpoint {
        port: Some(wire.port),
        ..lab.endpoint()
    };
    let ssh = connect(&endpoint, &lab.options(backend), &NoSecrets)
        .await
        .unwrap();
    let scripts: Vec<String> = (0..24).map(|n| format!("echo {n}; exit {n}")).collect();
    let outputs = futures_util::future::join_all(scripts.iter().map(|s| run(&*ssh, s))).await;
    for (n, output) in outputs.iter().enumerate() {
        assert_eq!((output.status, output.text()), (n as i32, n.to_string()));
    }
    assert_eq!(wire.connections(), 1);
    Some(())
}

async fn one_session_at_a_time_is_enough(backend: Backend) -> Option<()> {
    let lab = Lab::start("MaxSessions 1")?;
    let wire = Wire::to(lab.port());
    let endpoint = SshEndpoint {
        port: Some(wire.port),
        ..lab.endpoint()
    };
    let ssh = connect(&endpoint, &lab.options(backend), &NoSecrets)
        .await
        .unwrap();
    let scripts: Vec<String> = (0..6).map(|n| format!("sleep 0.1; echo {n}")).collect();
    let outputs = futures_util::future::join_all(scripts.iter().map(|s| run(&*ssh, s))).await;
    for (n, output) in outputs.iter().enumerate() {
        assert_eq!((output.status, output.text()), (0, n.to_string()));
    }
    assert_eq!(wire.connections(), 1);
    Some(())
}

/// A script that leaves its process's number in a file and then sleeps, with a child that does so
/// too and ignores being hung up on.
fn sleeping(lab: &Lab) -> String {
    let file = lab.path("pids");
    let file = file.display();
    format!(
        "(trap '' HUP; sleep 1001) & echo $! >>'{file}'; sleep 1000 & echo $! >>'{file}'; echo ready >>'{file}'; wait"
    )
}

fn sleeping_has_begun(lab: &Lab) -> bool {
    std::fs::read_to_string(lab.path("pids")).is_ok_and(|text| text.contains("ready"))
}

fn sleeping_has_ended(lab: &Lab) -> bool {
    let text = std::fs::read_to_string(lab.path("pids")).unwrap();
    let alive = |pid: i32| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok();
    !text.lines().filter_map(|l| l.parse().ok()).any(alive)
}

async fn a_command_that_takes_too_long_is_ended_on_the_host(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    let script = sleeping(&lab);
    let limit = Duration::from_secs(2);
    let late = Run {
        step: "sleeping",
        script: &script,
        privilege: Privilege::Login,
        limit,
    };
    let error = ssh.run(&late).await.unwrap_err();
    assert_eq!(error.to_string(), "sleeping: not done after 2 s");
    assert!(sleeping_has_begun(&lab));
    eventually("the sleeping ends", || sleeping_has_ended(&lab));
    assert_eq!(run(&*ssh, "echo still here").await.text(), "still here");
    Some(())
}

async fn a_command_that_nobody_waits_for_is_ended_on_the_host(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    let script = sleeping(&lab);
    let begun = async {
        while !sleeping_has_begun(&lab) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        output = run(&*ssh, &script) => panic!("{output:?}"),
        () = begun => {}
    }
    eventually("the sleeping ends", || sleeping_has_ended(&lab));
    assert_eq!(run(&*ssh, "echo still here").await.text(), "still here");
    Some(())
}

async fn a_lost_connection_is_noticed(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let wire = Wire::to(lab.port());
    let endpoint = SshEndpoint {
        port: Some(wire.port),
        ..lab.endpoint()
    };
    let options = lab.options(backend);
    let ssh = connect(&endpoint, &options, &NoSecrets).await.unwrap();
    let script = format!("echo half-way >&2; sleep 0.5; {}", sleeping(&lab));
    let cut = async {
        while !sleeping_has_begun(&lab) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        wire.cut();
    };
    let (outcome, ()) = tokio::join!(try_run(&*ssh, &script, Privilege::Login), cut);
    let error = outcome.unwrap_err();
    let SshError::ConnectionLost { step, stderr } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(step, "testing");
    assert!(stderr.contains("half-way"), "{stderr}");
    assert!(error.is_transient());
    eventually("the sleeping ends", || sleeping_has_ended(&lab));

    let next = try_run(&*ssh, "echo", Privilege::Login).await.unwrap_err();
    assert!(matches!(next, SshError::ConnectionLost { .. }), "{next:?}");
    let again = connect(&endpoint, &options, &NoSecrets).await.unwrap();
    assert_eq!(run(&*again, "echo back").await.text(), "back");
    Some(())
}

async fn closing_leaves_nothing_behind(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let left = || std::fs::read_dir(lab.path("tmp")).unwrap().count();
    let ssh = open(&lab, backend).await;
    run(&*ssh, ":").await;
    ssh.close().await;
    let after = try_run(&*ssh, ":", Privilege::Login).await.unwrap_err();
    assert!(
        matches!(after, SshError::ConnectionLost { .. }),
        "{after:?}"
    );
    drop(ssh);
    assert_eq!(left(), 0);

    drop(open(&lab, backend).await);
    assert_eq!(left(), 0);
    eventually("the sessions end", || {
        let log = std::fs::read_to_string(lab.path("sshd.log")).unwrap();
        log.matches("Disconnected from user").count() == 2
    });
    Some(())
}

async fn every_type_of_key_logs_in(backend: Backend) -> Option<()> {
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

async fn a_key_that_the_host_does_not_know_is_refused(backend: Backend) -> Option<()> {
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

async fn an_unknown_user_is_refused(backend: Backend) -> Option<()> {
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

async fn a_key_file_that_ssh_would_not_use_is_named(backend: Backend) -> Option<()> {
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

async fn a_locked_key_needs_its_passphrase_or_the_agent(backend: Backend) -> Option<()> {
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

async fn the_agent_alone_is_enough(backend: Backend) -> Option<()> {
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

async fn the_first_host_key_is_pinned_and_another_refused(backend: Backend) -> Option<()> {
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

async fn a_host_with_several_keys_shows_the_pinned_one(backend: Backend) -> Option<()> {
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

async fn an_unreachable_host_says_why(backend: Backend) -> Option<()> {
    let lab = Lab::without_sshd()?;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rude = Wire::to(free_port());
    let table = [
        ("127.0.0.1", lab.port(), UnreachableReason::Refused),
        ("nowhere.invalid", 22, UnreachableReason::NameUnknown),
        (
            "127.0.0.1",
            silent.local_addr().unwrap().port(),
            UnreachableReason::TimedOut,
        ),
        ("127.0.0.1", rude.port, UnreachableReason::Closed),
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

async fn a_booting_host_is_waited_for(backend: Backend) -> Option<()> {
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

async fn ssh_config_applies_where_it_should(backend: Backend) -> Option<()> {
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
    lab.write_program("sudo", &sudo.replace("KIND", kind));
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

async fn root_without_a_password(backend: Backend) -> Option<()> {
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

async fn root_with_a_password(backend: Backend) -> Option<()> {
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

async fn root_that_is_refused(backend: Backend) -> Option<()> {
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
