//! What commands and uploads give back.

use std::path::Path;

use rmachine_driver::{NoSecrets, SshEndpoint};
use rmachine_ssh::{Backend, Output, Privilege, Ssh, SshError, Upload, connect};

use crate::lab::{Lab, Wire};
use crate::{LIMIT, open, run, try_run};

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

pub async fn a_script_gives_its_status_and_bytes(backend: Backend) -> Option<()> {
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

pub async fn a_script_reads_nothing_and_says_much(backend: Backend) -> Option<()> {
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

pub async fn endless_output_is_an_error_and_ends_the_command(backend: Backend) -> Option<()> {
    let lab = Lab::start("")?;
    let ssh = open(&lab, backend).await;
    for script in ["cat /dev/zero", "cat /dev/zero >&2"] {
        let run = try_run(&*ssh, script, Privilege::Login).await;
        let error = run.unwrap_err();
        assert!(matches!(error, SshError::TooMuchOutput { .. }), "{error:?}");
    }
    assert_eq!(run(&*ssh, "echo done").await.text(), "done");
    Some(())
}

pub async fn a_file_arrives_whole_with_its_mode(backend: Backend) -> Option<()> {
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

pub async fn a_file_that_cannot_be_written_says_why(backend: Backend) -> Option<()> {
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

pub async fn many_commands_share_one_connection(backend: Backend) -> Option<()> {
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

pub async fn one_session_at_a_time_is_enough(backend: Backend) -> Option<()> {
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
