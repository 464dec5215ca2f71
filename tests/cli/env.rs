use std::process::Command;

use rmachine_pki::{Authority, KeyType};

use crate::engine;
use crate::world::{Ran, World};

/// A world with the machine `n1`, whose engine answers behind a certificate for this address.
fn world(covers: &str) -> (World, String) {
    let world = World::new();
    let (authority, ca) = Authority::create("me", KeyType::Ecdsa).unwrap();
    let port = engine::over_tls(&authority, &ca, covers);
    let url = format!("tcp://127.0.0.1:{port}");
    world.machine("n1", &url, |_| {});
    world.certificates("n1", &authority, &ca);
    (world, url)
}

#[test]
fn prints_what_docker_machine_prints() {
    let (world, url) = world("127.0.0.1");
    let program = env!("CARGO_BIN_EXE_rmachine");
    let dir = world.machine_dir("n1");
    assert_eq!(
        world.run(["env", "n1"]).data(),
        format!(
            "export DOCKER_TLS_VERIFY=\"1\"\n\
             export DOCKER_HOST=\"{url}\"\n\
             export DOCKER_CERT_PATH=\"{}\"\n\
             export DOCKER_MACHINE_NAME=\"n1\"\n\
             # Run this command to configure your shell: \n\
             # eval $({program} env n1)\n",
            dir.display()
        )
    );
    let fish = world.run(["env", "--shell", "fish", "--no-proxy", "n1"]);
    assert_eq!(
        fish.data(),
        format!(
            "set -gx DOCKER_TLS_VERIFY \"1\";\n\
             set -gx DOCKER_HOST \"{url}\";\n\
             set -gx DOCKER_CERT_PATH \"{}\";\n\
             set -gx DOCKER_MACHINE_NAME \"n1\";\n\
             set -gx NO_PROXY \"127.0.0.1\";\n\
             # Run this command to configure your shell: \n\
             # eval ({program} env --shell fish --no-proxy n1)\n",
            dir.display()
        )
    );
}

#[test]
fn flags_stand_before_or_after_the_name() {
    let (world, _) = world("127.0.0.1");
    let before = world.run(["env", "--shell", "cmd", "n1"]).data();
    let after = world.run(["env", "n1", "--shell", "cmd"]).data();
    let first = |text: &str| text.lines().take(4).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(first(&before), first(&after));
    assert_eq!(first(&before)[0], "SET DOCKER_TLS_VERIFY=1");
}

#[test]
fn config_prints_flags_for_docker() {
    let (world, url) = world("127.0.0.1");
    let dir = world.machine_dir("n1");
    let dir = dir.display();
    assert_eq!(
        world.run(["config", "n1"]).data(),
        format!(
            "--tlsverify\n--tlscacert={dir}/ca.pem\n--tlscert={dir}/cert.pem\n\
             --tlskey={dir}/key.pem\n-H={url}\n"
        )
    );
}

#[test]
fn a_certificate_for_another_address_is_told_with_its_remedy() {
    let (world, url) = world("10.99.0.1");
    for command in ["env", "config"] {
        let text = world.run([command, "n1"]).failure(8);
        let expected = format!("error: the engine of n1 does not answer at {url}\n");
        assert!(text.starts_with(&expected), "{text}");
        assert!(
            text.ends_with("hint: rmachine regenerate-certs n1\n"),
            "{text}"
        );
    }
}

#[test]
fn a_client_of_another_authority_is_refused() {
    let (world, _) = world("127.0.0.1");
    let (other, _) = Authority::create("other", KeyType::Ecdsa).unwrap();
    let client = other.issue_client("me", KeyType::Ecdsa).unwrap();
    let dir = world.machine_dir("n1");
    std::fs::write(dir.join("cert.pem"), &client.certificate).unwrap();
    std::fs::write(dir.join("key.pem"), client.key.expose()).unwrap();
    let text = world.run(["env", "n1"]).failure(8);
    assert!(text.contains("hint: rmachine regenerate-certs"), "{text}");
}

#[test]
fn an_engine_that_is_not_there_is_told() {
    let (world, _) = world("127.0.0.1");
    // Bound, it is nobody else's; the kernel refuses who connects, as nothing listens.
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = silent.local_addr().unwrap().port();
    world.machine("n2", &format!("tcp://127.0.0.1:{port}"), |_| {});
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        let from = world.machine_dir("n1").join(file);
        std::fs::copy(from, world.machine_dir("n2").join(file)).unwrap();
    }
    let text = world.run(["env", "n2"]).failure(8);
    assert!(text.contains("hint: rmachine status n2\n"), "{text}");
}

#[test]
fn missing_certificates_are_named() {
    let (world, _) = world("127.0.0.1");
    std::fs::remove_file(world.machine_dir("n1").join("key.pem")).unwrap();
    let text = world.run(["env", "n1"]).failure(8);
    let path = world.machine_dir("n1").join("key.pem");
    assert!(text.contains(&path.display().to_string()), "{text}");
}

#[test]
fn a_socket_needs_no_certificates() {
    let world = World::new();
    let socket = world.path().join("docker.sock");
    engine::on_socket(&socket);
    world.machine("local", &format!("unix://{}", socket.display()), |_| {});
    let script = format!(
        "DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=x; eval $({} env local); \
         echo \"${{DOCKER_TLS_VERIFY-none}} ${{DOCKER_CERT_PATH-none}} $DOCKER_HOST\"",
        env!("CARGO_BIN_EXE_rmachine")
    );
    for shell in ["bash", "dash"] {
        let mut command = Command::new(shell);
        command.args(["-c", &script]);
        command.env("MACHINE_STORAGE_PATH", world.root());
        command.env("SHELL", shell);
        let out = Ran::of(&mut command).data();
        assert_eq!(
            out,
            format!("none none unix://{}\n", socket.display()),
            "{shell}"
        );
    }
    let version = world.run(["version", "local"]).data();
    assert_eq!(version, "26.1.5\n");
}

#[test]
fn only_a_master_has_a_cluster() {
    let (world, url) = world("127.0.0.1");
    let text = world.run(["env", "--swarm", "n1"]).failure(1);
    let expected = "error: \"n1\" is not a swarm master; the --swarm flag is intended for use \
                    with swarm masters\n";
    assert!(text.starts_with(expected), "{text}");

    let port = url.rsplit(':').next().unwrap().to_owned();
    world.machine("m0", "tcp://127.0.0.1:1", |record| {
        record.swarm.is_swarm = true;
        record.swarm.master = true;
        record.swarm.host = format!("tcp://0.0.0.0:{port}");
    });
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        let from = world.machine_dir("n1").join(file);
        std::fs::copy(from, world.machine_dir("m0").join(file)).unwrap();
    }
    let out = world.run(["env", "--swarm", "m0"]).data();
    assert!(
        out.contains(&format!("export DOCKER_HOST=\"{url}\"\n")),
        "{out}"
    );
}

#[test]
fn takes_the_variables_away_again() {
    let world = World::new();
    let out = world.run(["env", "-u"]).data();
    assert!(
        out.starts_with(
            "unset DOCKER_TLS_VERIFY\nunset DOCKER_HOST\nunset DOCKER_CERT_PATH\n\
             unset DOCKER_MACHINE_NAME\n# Run this command"
        ),
        "{out}"
    );
    world.run(["env", "-u", "n1"]).failure(2);
}

#[test]
fn a_shell_that_is_not_known_is_refused() {
    let world = World::new();
    let text = world.run(["env", "-u", "--shell", "nu"]).failure(2);
    assert!(text.contains("\"nu\" is not a known shell"), "{text}");
    let mut command = world.command(["env", "-u"]);
    command.env_remove("SHELL");
    let text = Ran::of(&mut command).failure(2);
    assert!(text.contains("$SHELL is not set"), "{text}");
}

#[test]
fn a_store_with_an_odd_path_comes_out_byte_for_byte() {
    let (world, url) = world("127.0.0.1");
    let odd = world.path().join("it's  a \"store\" $HOME `id` *");
    std::fs::rename(world.root(), &odd).unwrap();
    for shell in ["bash", "dash", "zsh"] {
        let mut command = Command::new(shell);
        command.args([
            "-c",
            "eval $(\"$RMACHINE\" env n1); printf '%s\\n' \"$DOCKER_CERT_PATH\" \"$DOCKER_HOST\"",
        ]);
        command.env("RMACHINE", env!("CARGO_BIN_EXE_rmachine"));
        command.env("MACHINE_STORAGE_PATH", &odd);
        command.env("SHELL", shell);
        let Ok(output) = command.output() else {
            rmachine_test_support::skip(&format!("{shell} is not installed"));
            continue;
        };
        let out = String::from_utf8(output.stdout).unwrap();
        let dir = odd.join("machines/n1");
        assert_eq!(out, format!("{}\n{url}\n", dir.display()), "{shell}");
    }
}
