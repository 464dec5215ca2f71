//! The commands that a person's terminal is handed to, on real sshds.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

#[allow(dead_code, reason = "the other test binary uses the rest")]
mod lab;

use std::ffi::OsString;
use std::fs;
use std::process::Output;

use lab::{Lab, user};
use rmachine_driver::{FirstContact, SshEndpoint};
use rmachine_ssh::{Backend, CopyEnd, CopyFlags, copy_command, interactive_command, pinned};

fn ssh(lab: &Lab, arguments: &[&str]) -> Output {
    let environment = lab.options(Backend::System).environment;
    let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
    let command = interactive_command(&lab.endpoint(), &environment, &arguments);
    let mut command = command.unwrap();
    command.stdin(std::process::Stdio::null());
    command.output().unwrap()
}

#[test]
fn the_remote_status_and_arguments_pass_through() {
    let Some(lab) = Lab::start("") else { return };
    let table: [(&[&str], i32, &str); 5] = [
        (&["echo", "a  b"], 0, "a b\n"),
        (&["--", "echo", "-n", "x"], 0, "x"),
        (&["exit", "42"], 42, ""),
        (&["-T", "--", "exit 7"], 7, ""),
        (
            &["-tt", "tty >/dev/null && echo a terminal"],
            0,
            "a terminal\r\n",
        ),
    ];
    for (arguments, status, stdout) in table {
        let output = ssh(&lab, arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            stdout,
            "{arguments:?}"
        );
    }
    assert_eq!(pinned(&lab.path("known_hosts"), "box").unwrap().len(), 1);
}

fn end(lab: &Lab, name: &str, path: &str) -> CopyEnd {
    CopyEnd::Machine {
        name: name.parse().unwrap(),
        endpoint: Box::new(SshEndpoint {
            host_key_alias: name.to_owned(),
            first_contact: FirstContact::Pin,
            ..lab.endpoint()
        }),
        user: None,
        path: path.to_owned(),
    }
}

async fn copy(lab: &Lab, from: &CopyEnd, to: &CopyEnd, recursive: bool) -> Output {
    let flags = CopyFlags {
        recursive,
        quiet: true,
    };
    let environment = lab.options(Backend::System).environment;
    let mut copy = copy_command(from, to, flags, &environment).await.unwrap();
    copy.command.output().unwrap()
}

#[tokio::test]
async fn files_go_between_machines_with_their_own_ports_and_keys() {
    let (Some(one), Some(two)) = (Lab::start(""), Lab::start("")) else {
        return;
    };
    let here = one.path("a file");
    fs::write(&here, "content").unwrap();
    let local = CopyEnd::Local(here.to_str().unwrap().to_owned());

    let there = two.path("there");
    let up = copy(
        &one,
        &local,
        &end(&two, "two", there.to_str().unwrap()),
        false,
    )
    .await;
    assert!(up.status.success(), "{up:?}");
    assert_eq!(fs::read_to_string(&there).unwrap(), "content");

    let tree = one.path("tree");
    fs::create_dir_all(tree.join("deep")).unwrap();
    fs::write(tree.join("deep/leaf"), "leaf").unwrap();
    let copied = two.path("copied");
    let across = copy(
        &one,
        &end(&one, "one", tree.to_str().unwrap()),
        &end(&two, "two", copied.to_str().unwrap()),
        true,
    )
    .await;
    assert!(across.status.success(), "{across:?}");
    assert_eq!(
        fs::read_to_string(copied.join("deep/leaf")).unwrap(),
        "leaf"
    );

    for (lab, name) in [(&one, "one"), (&two, "two")] {
        assert_eq!(pinned(&lab.path("known_hosts"), name).unwrap().len(), 1);
    }
    assert_eq!(fs::read_dir(one.path("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_copy_through_ssh_config_keeps_machines_of_our_own_out_of_it() {
    let (Some(adopted), Some(ours)) = (Lab::start(""), Lab::start("")) else {
        return;
    };
    let config = format!(
        "Host box\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile \"{}\"\n\
         Match originalhost ours\n  Port 1\n  ProxyCommand false\n",
        adopted.port(),
        user(),
        adopted.path("id_ed25519").display()
    );
    fs::write(adopted.ssh_config(), config).unwrap();
    let file = adopted.path("file");
    fs::write(&file, "through").unwrap();
    let CopyEnd::Machine { endpoint, .. } = end(&adopted, "far", "") else {
        return;
    };
    let from = CopyEnd::Machine {
        name: "far".parse().unwrap(),
        endpoint: Box::new(SshEndpoint {
            host: "box".parse().unwrap(),
            port: None,
            user: None,
            identity: None,
            use_ssh_config: true,
            ..*endpoint
        }),
        user: None,
        path: file.to_str().unwrap().to_owned(),
    };
    let to = end(&ours, "ours", ours.path("file").to_str().unwrap());
    let output = copy(&adopted, &from, &to, false).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(ours.path("file")).unwrap(), "through");
}
