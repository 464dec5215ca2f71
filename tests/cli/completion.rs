use crate::world::{Ran, World};

#[test]
fn every_shell_has_a_script() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let out = world.run(["completion", shell]).data();
        assert!(out.contains("rmachine"), "{shell}: {out}");
    }
    world.run(["completion", "nosuch"]).failure(2);
}

#[test]
fn completes_commands_flags_and_machines() {
    let world = World::new();
    world.machine("node1", "tcp://10.0.0.1:2376", |_| {});
    world.machine("other", "tcp://10.0.0.2:2376", |_| {});
    for (words, expected) in [
        (&["rmachine", "insp"][..], "inspect"),
        (&["rmachine", "ip", "no"], "node1"),
        (&["rmachine", "env", "--she"], "--shell"),
        (
            &["rmachine", "create", "-d", "generic", "--generic-ip"],
            "--generic-ip-address",
        ),
    ] {
        let mut command = world.command(["--"].iter().chain(words));
        command
            .env("RMACHINE_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
        let out = Ran::of(&mut command).data();
        assert!(out.split_whitespace().eq([expected]), "{words:?}: {out}");
    }
}

#[test]
fn bash_completes_with_the_script() {
    let world = World::new();
    world.machine("node1", "tcp://10.0.0.1:2376", |_| {});
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_rmachine"))
        .parent()
        .unwrap()
        .to_owned();
    let mut command = std::process::Command::new("bash");
    let script = "source <(rmachine completion bash); COMP_WORDS=(rmachine ip n); COMP_CWORD=2; \
                  complete -p rmachine >/dev/null && _clap_complete_rmachine rmachine n ip; \
                  echo ${COMPREPLY[@]}";
    command.args(["--norc", "-c", script]);
    command.env(
        "PATH",
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()),
    );
    command.env("MACHINE_STORAGE_PATH", world.root());
    assert_eq!(Ran::of(&mut command).data().trim(), "node1");
}
