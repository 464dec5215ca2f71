//! The driver contract, on a host of the lab.

#![allow(
    clippy::unwrap_used,
    reason = "the set-up of a test may fail; so may the lab's, which is shared"
)]

#[allow(
    dead_code,
    unused_imports,
    reason = "the lab has more than this test needs"
)]
#[path = "../../../tests/lab/mod.rs"]
mod lab;

use std::time::Duration;

use rmachine_driver::FlagValue;
use rmachine_driver_conformance::{Subject, walk};
use rmachine_generic::Generic;
use rmachine_ssh::{ConnectOptions, Environment};

use lab::{Host, Image};

#[tokio::test]
async fn an_adopted_host_lives_the_life_of_a_machine() {
    // A container that reboots ends; its engine starts it again.
    let Some(host) = Host::start_with(Image::Bare, &["--restart=always"]) else {
        return;
    };
    let kind = Generic::new(ConnectOptions {
        limit: Duration::from_secs(30),
        environment: Environment {
            // Where the system's ssh is found.
            search_path: std::env::var_os("PATH"),
            ..Environment::default()
        },
        ..ConnectOptions::default()
    });
    let text = |value: String| FlagValue::Text(value);
    let key = host.lab().key().display().to_string();
    let given = [
        ("generic-ip-address", text(host.ip())),
        ("generic-ssh-user", text("admin".to_owned())),
        ("generic-ssh-key", text(key)),
    ];
    let subject = Subject::new(&kind, "adopted", given);
    walk(&subject).await;
    // Removing the machine leaves the host.
    assert_eq!(host.sh("cat /proc/1/comm").trim(), "systemd");
}
