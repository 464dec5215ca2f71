//! Hosts that do not let us in, or not far enough.

use crate::adoption::configuration;
use crate::lab::{Host, Image};
use crate::person::{CHECK_FAILED, CONNECTION, Person, Said as _};

#[test]
fn a_wrong_key_is_named() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let key = me.unknown_key("other");
    let args = me.create_args("n1", &host, "root", &["--generic-ssh-key", &key]);
    // The lab's key comes first on the line; the later flag is the one that counts.
    let refused = me.rmachine(without_first(args, "--generic-ssh-key"));
    refused.fails(CHECK_FAILED, &["root", &host.ip(), &key]);
    assert!(!me.machine_dir("n1").exists());
}

#[test]
fn a_wrong_user_is_named() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "nobody-here", &[])
        .fails(CHECK_FAILED, &["nobody-here", &host.ip()]);
    assert!(!me.machine_dir("n1").exists());
}

#[test]
fn sudo_that_wants_a_password_is_said_before_anything_is_touched() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let before = configuration(&host);
    let me = Person::new();
    me.create("n1", &host, "careful", &[]).fails(
        CHECK_FAILED,
        &["sudo", "password", "--generic-sudo-password-file"],
    );
    me.create("n1", &host, "guest", &[])
        .fails(CHECK_FAILED, &["sudo"]);
    let wrong = me.private_file("wrong", "sesame open\n");
    me.create(
        "n1",
        &host,
        "careful",
        &["--generic-sudo-password-file", &wrong],
    )
    .fails(CHECK_FAILED, &["sudo", "password"]);
    assert_eq!(configuration(&host), before);
    assert!(!me.machine_dir("n1").exists());

    let password = me.private_file("password", &format!("{}\n", Host::PASSWORD));
    let created = me.create(
        "n1",
        &host,
        "careful",
        &["--generic-sudo-password-file", &password],
    );
    assert!(!created.err.contains(Host::PASSWORD), "{created:?}");
    created.ok();
    me.docker("n1", "version").ok();
    let record = me.record("n1").to_string();
    assert!(!record.contains(Host::PASSWORD), "{record}");
}

#[test]
fn on_a_terminal_the_password_for_sudo_is_asked_for() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let mut create = me.command(me.create_args("n1", &host, "careful", &[]));
    create.stdin(std::process::Stdio::inherit());
    let mut terminal = rexpect::session::spawn_command(create, Some(60_000)).unwrap();
    terminal.exp_regex("(?i)password").unwrap();
    terminal.send_line(Host::PASSWORD).unwrap();
    let rest = terminal.exp_eof().unwrap();
    assert!(!rest.contains(Host::PASSWORD), "{rest}");
    me.docker("n1", "version").ok();
    // The password is not kept: without a terminal there is nobody to ask.
    me.rmachine(["provision", "n1"])
        .fails(CONNECTION, &["sudo", "password"]);
}

#[test]
fn a_key_with_a_passphrase_comes_from_the_agent() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let key = me.unknown_key("locked");
    host.authorize(&std::fs::read_to_string(format!("{key}.pub")).unwrap());
    me.shell(&format!(
        "ssh-keygen -q -p -P '' -N 'far too long' -f {key}"
    ))
    .ok();
    let args = me.create_args("n1", &host, "root", &["--generic-ssh-key", &key]);
    let args = without_first(args, "--generic-ssh-key");
    me.rmachine(&args)
        .fails(CHECK_FAILED, &["passphrase", "ssh-add"]);

    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let line = shlex(&words);
    me.private_file("answer", "#!/bin/sh\necho far too long\n");
    me.shell(&format!(
        "chmod 700 answer; eval \"$(ssh-agent)\" >agent; trap 'kill $SSH_AGENT_PID' EXIT
         SSH_ASKPASS=$PWD/answer SSH_ASKPASS_REQUIRE=force ssh-add -q {key}
         rmachine {line}; rmachine ssh n1 id -un"
    ))
    .ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_changed_host_key_is_an_error_that_says_what_to_do() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    host.sh(
        "cd /etc/ssh && rm ssh_host_*_key* && ssh-keygen -q -N '' -t ed25519 -f ssh_host_ed25519_key && \
         systemctl restart ssh",
    );
    let known_hosts = me
        .machine_dir("n1")
        .join("known_hosts")
        .display()
        .to_string();
    let refused = me.rmachine(["provision", "n1"]);
    refused.fails(CONNECTION, &["host key", &known_hosts, "rmachine trust n1"]);
    assert_ne!(me.rmachine(["ssh", "n1", "true"]).code, 0);

    // Without a terminal the hint names the key to accept, and is a command that helps.
    let asked = me.rmachine(["trust", "n1"]);
    let key = host.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2");
    asked.fails(CONNECTION, &[key.trim()]);
    let hint = asked
        .err
        .lines()
        .find_map(|line| line.strip_prefix("hint: "));
    let hint = hint.filter(|hint| hint.contains("--host-key")).unwrap();
    me.shell(hint).ok();
    me.rmachine(["provision", "n1"]).ok();
    assert_eq!(me.rmachine(["ssh", "n1", "id", "-un"]).ok(), "root");
}

#[test]
fn a_host_behind_a_jump_host_and_an_alias_is_adopted() {
    let Some(inner) = Host::start(Image::Bookworm) else {
        return;
    };
    let Some(jump) = Host::start(Image::Bare) else {
        return;
    };
    let me = Person::new();
    let key = inner.lab().key();
    me.ssh_config(&format!(
        "Host inner\n  HostName {}\n  User admin\n  ProxyJump jump\n\
             Host jump\n  HostName {}\n  User guest\n\
             Host *\n  IdentityFile {}\n  StrictHostKeyChecking accept-new\n",
        inner.ip(),
        jump.ip(),
        key.display()
    ));
    me.rmachine([
        "create",
        "-d",
        "generic",
        "--generic-ip-address",
        "inner",
        "n1",
    ])
    .ok();
    assert_eq!(me.rmachine(["ssh", "n1", "id", "-un"]).ok(), "admin");
    let through = jump.sh("journalctl -u ssh --no-pager | grep -c 'Accepted publickey for guest'");
    assert_ne!(through, "0");
}

/// The words without a flag's first appearance, and its value.
fn without_first(mut words: Vec<String>, flag: &str) -> Vec<String> {
    let at = words.iter().position(|word| word == flag).unwrap();
    words.drain(at..at + 2);
    words
}

/// Words of the lab's own making, which hold no quotes.
fn shlex(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}' ")).collect()
}
