//! How commands and connections end before their time.

use std::time::Duration;

use rmachine_driver::{NoSecrets, SshEndpoint};
use rmachine_ssh::{Backend, Privilege, Run, SshError, connect};

use crate::lab::{Lab, Wire, eventually};
use crate::{open, run, try_run};

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

pub async fn a_command_that_takes_too_long_is_ended_on_the_host(backend: Backend) -> Option<()> {
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

pub async fn a_command_that_nobody_waits_for_is_ended_on_the_host(backend: Backend) -> Option<()> {
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

pub async fn a_lost_connection_is_noticed(backend: Backend) -> Option<()> {
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

pub async fn closing_leaves_nothing_behind(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let wire = Wire::to(lab.port());
    let endpoint = SshEndpoint {
        port: Some(wire.port),
        ..lab.endpoint()
    };
    let options = lab.options(backend);
    let left = || std::fs::read_dir(lab.path("tmp")).unwrap().count();

    let closed = connect(&endpoint, &options, &NoSecrets).await.unwrap();
    run(&*closed, ":").await;
    closed.close().await;
    eventually("the connection ends", || wire.hung_up() == 1);
    let after = try_run(&*closed, ":", Privilege::Login).await.unwrap_err();
    assert!(
        matches!(after, SshError::ConnectionLost { .. }),
        "{after:?}"
    );
    drop(closed);
    assert_eq!(left(), 0);

    let dropped = connect(&endpoint, &options, &NoSecrets).await.unwrap();
    drop(dropped);
    eventually("the connection ends", || wire.hung_up() == 2);
    assert_eq!(left(), 0);
    Some(())
}
