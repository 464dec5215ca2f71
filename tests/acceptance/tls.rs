//! Who may talk to the engine, and clocks that disagree.

use std::path::Path;
use std::process::Command;

use crate::lab::{Host, Image, Ran};
use crate::person::{CHECK_FAILED, Person, Said as _};

/// The engine's client with these certificates, and nothing that `rmachine env` said.
fn docker(host: &Host, tls: &[&str]) -> Ran {
    let url = format!("tcp://{}:2376", host.ip());
    let mut command = Command::new("timeout");
    command
        .args(["30", "docker", "-H", &url])
        .args(tls)
        .args(["version", "-f", "{{.Server.Version}}"])
        .env_remove("DOCKER_CERT_PATH")
        .env_remove("DOCKER_TLS_VERIFY");
    Ran::of(&mut command)
}

fn option(name: &str, directory: &Path, file: &str) -> String {
    format!("--{name}={}", directory.join(file).display())
}

#[test]
fn only_the_owners_client_gets_in() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let Some(other) = Host::start(Image::Trixie) else {
        return;
    };
    let me = Person::new();
    let stranger = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    stranger.create("n1", &other, "root", &[]).ok();

    let mine = me.machine_dir("n1");
    let theirs = stranger.machine_dir("n1");
    let ca = option("tlscacert", &mine, "ca.pem");
    let with = |directory: &Path| {
        [
            option("tlscert", directory, "cert.pem"),
            option("tlskey", directory, "key.pem"),
        ]
    };
    let [cert, key] = with(&mine);
    docker(&host, &["--tlsverify", &ca, &cert, &key]).ok();

    // No certificate; somebody else's; no TLS; and a client that trusts another CA.
    assert_turned_away(&host, &["--tls", &ca], "certificate");
    let [cert, key] = with(&theirs);
    assert_turned_away(&host, &["--tlsverify", &ca, &cert, &key], "tls");
    assert_ne!(docker(&host, &[]).code, 0);
    let [cert, key] = with(&mine);
    let ca = option("tlscacert", &theirs, "ca.pem");
    let refused = docker(&host, &["--tlsverify", &ca, &cert, &key]);
    assert!(
        refused.code != 0 && refused.err.contains("x509"),
        "{refused:?}"
    );
    // It was for them alone that the engine did not answer.
    let ca = option("tlscacert", &mine, "ca.pem");
    docker(&host, &["--tlsverify", &ca, &cert, &key]).ok();
}

/// That the engine lets a client go, in these words. With TLS 1.3 the client's own part of the
/// handshake is over by then, and its request may meet the closed connection before it reads them:
/// such a client asks again.
#[track_caller]
fn assert_turned_away(host: &Host, tls: &[&str], words: &str) {
    let unread = |client: &Ran| client.err.contains("connection reset by peer");
    let client = (0..20)
        .map(|_| docker(host, tls))
        .find(|client| !unread(client))
        .expect("the engine's words are read once");
    assert!(client.code != 0 && client.err.contains(words), "{client:?}");
}

#[test]
fn env_says_which_certificate_is_wrong() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    let stranger = Person::new();
    stranger.create("n1", &host, "root", &[]).ok();
    // The host is the stranger's now.
    let refused = me.rmachine(["env", "n1"]);
    refused.fails(
        crate::person::CONNECTION,
        &["certificate", "regenerate-certs"],
    );
    assert_eq!(refused.out, "");
    me.rmachine(["regenerate-certs", "-f", "n1"]).ok();
    me.docker("n1", "version").ok();
    assert_ne!(stranger.rmachine(["env", "n1"]).code, 0);
}

/// The program, started with a clock that is off by this much (`faketime`'s words).
fn rmachine_at(me: &Person, offset: &str, args: &[String]) -> Ran {
    let mut line = format!("exec faketime -f '{offset}' rmachine");
    for arg in args {
        line.push_str(&format!(" '{arg}'"));
    }
    me.shell(&line)
}

#[test]
fn a_clock_that_makes_certificates_not_yet_valid_is_found_beforehand() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &[]);
    // Two hours ahead: what is made here is from the host's future.
    rmachine_at(&me, "+7200s", &args).fails(CHECK_FAILED, &["clock", "behind"]);
    assert!(!me.machine_dir("n1").exists());
    // Half an hour is within what certificates are dated back by.
    let created = rmachine_at(&me, "+1800s", &args);
    created.ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_certificate_from_the_future_is_named_as_such() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    let args = ["env".to_owned(), "n1".to_owned()];
    let refused = rmachine_at(&me, "-7200s", &args);
    refused.fails(crate::person::CONNECTION, &["not valid yet"]);
}
