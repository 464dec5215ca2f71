//! `rmachine snapshot`, as a person types it, on a VirtualBox that starts nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::program::built;
use crate::world::{Ran, World};

/// The stand-in for VBoxManage of the driver's own tests, which hold it against recordings.
pub fn stand_in() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let program = ["-p", "rmachine-virtualbox", "--bin", "vboxmanage-stand-in"];
        built(&program, None)
    })
}

/// A store with two stopped machines of the virtualbox driver, which are the cluster `lab`.
struct Lab {
    world: World,
}

impl Lab {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir(world.path().join("box")).unwrap();
        let lab = Self { world };
        symlink(stand_in(), lab.program()).unwrap();
        for name in ["n1", "n2"] {
            let folder = lab.world.path().join(name);
            lab.box_does(&[
                "createvm",
                "--basefolder",
                folder.to_str().unwrap(),
                "--name",
                name,
            ]);
            let config = json!({"MachineName": name, "SSHPort": 1});
            lab.world.machine_of("virtualbox", name, &config, |_| {});
        }
        let owned = json!({"Group": "g", "Flags": {}, "Since": null});
        let journal = json!({
            "Version": 1, "File": "/lab.yml", "Digest": "", "Orchestrator": "none", "Lease": null,
            "Machines": {"n1": owned, "n2": owned},
        });
        let name = "lab".parse().unwrap();
        let path = lab.world.store.layout().cluster_journal(&name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, journal.to_string()).unwrap();
        lab
    }

    fn program(&self) -> PathBuf {
        self.world.path().join("box/VBoxManage")
    }

    fn box_does(&self, words: &[&str]) {
        assert!(Ran::of(Command::new(self.program()).args(words)).code == 0);
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.world.command(words);
        command.env("VBOX_MANAGE", self.program());
        command
    }

    fn snapshot(&self, words: &[&str]) -> Ran {
        Ran::of(&mut self.command(&[&["snapshot"], words].concat()))
    }

    /// Has VirtualBox behave otherwise from now on.
    fn wish(&self, wishes: &Value) {
        fs::write(
            self.world.path().join("box/wishes.json"),
            wishes.to_string(),
        )
        .unwrap();
    }

    /// Waits until VirtualBox is asked for this.
    fn awaits(&self, call: &str) {
        let began = Instant::now();
        let asked = || {
            let calls = fs::read_to_string(self.world.path().join("box/calls"));
            calls
                .unwrap_or_default()
                .replace('\u{1f}', " ")
                .contains(call)
        };
        while !asked() {
            assert!(began.elapsed() < Duration::from_secs(60), "no {call}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The names of a machine's snapshots.
    fn of(&self, name: &str) -> Vec<String> {
        let listed = self.snapshot(&["ls", "-q", name]).data();
        listed.lines().map(str::to_owned).collect()
    }
}

#[test]
fn of_one_machine() {
    let lab = Lab::new();
    assert!(lab.of("n1").is_empty());
    let ran = lab.snapshot(&["create", "n1", "clean"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("n1: snapshot clean taken"), "{ran:?}");
    assert_eq!(lab.snapshot(&["create", "n1"]).code, 0);
    let names = lab.of("n1");
    assert_eq!(names.len(), 2, "{names:?}");
    let ran = lab.snapshot(&["create", "n1", "clean"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("n1 has a snapshot clean already")
            && ran.err.contains("rmachine snapshot rm n1 clean"),
        "{ran:?}"
    );

    let listed = lab.snapshot(&["ls"]).data();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[1].starts_with("n1        clean"), "{listed}");
    let listed = lab.snapshot(&["ls", "-f", "json", "n1"]).data();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        listed[0],
        json!({"Machine": "n1", "Snapshot": "clean", "Current": false})
    );
    assert_eq!(listed[1]["Current"], true);

    let ran = lab.snapshot(&["restore", "n1", "clean"]);
    assert!(
        ran.code == 0 && ran.err.contains("back at the snapshot clean, Stopped"),
        "{ran:?}"
    );
    let ran = lab.snapshot(&["restore", "n1", "unknown"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("nothing was touched"), "{ran:?}");
    assert_eq!(lab.snapshot(&["rm", "n1", "clean"]).code, 0);
    assert_eq!(lab.snapshot(&["rm", "n1", "clean"]).code, 1);
    assert_eq!(lab.of("n1"), names[1..]);
}

#[test]
fn of_a_whole_cluster_or_of_none() {
    let lab = Lab::new();
    assert_eq!(lab.snapshot(&["create", "--cluster", "lab", "all"]).code, 0);
    assert_eq!(
        (lab.of("n1"), lab.of("n2")),
        (vec!["all".to_owned()], vec!["all".to_owned()])
    );
    // Without a name: what all of them go on from.
    let ran = lab.snapshot(&["restore", "--cluster", "lab"]);
    assert!(
        ran.code == 0 && ran.err.contains("n2: back at the snapshot all"),
        "{ran:?}"
    );

    // What one machine has already is taken of none.
    assert_eq!(lab.snapshot(&["create", "n2", "one"]).code, 0);
    let ran = lab.snapshot(&["create", "--cluster", "lab", "one"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("rmachine snapshot rm n2 one"), "{ran:?}");
    assert_eq!(lab.of("n1"), ["all"]);
    // What one machine has not is restored on none.
    let ran = lab.snapshot(&["restore", "--cluster", "lab", "one"]);
    assert!(
        ran.err.contains("there is no snapshot one of n1"),
        "{ran:?}"
    );

    // What fails on one machine is taken back on the other.
    let take = "snapshot n2 take";
    let failure =
        json!({"begins": take, "exit": 1, "err": "VBoxManage: error: (VERR_DISK_FULL)\n"});
    let wishes = json!({"failures": [failure]});
    lab.wish(&wishes);
    let ran = lab.snapshot(&["create", "--cluster", "lab", "half"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("n1: snapshot half taken back") && ran.err.contains("the disk is full"),
        "{ran:?}"
    );
    assert_eq!(lab.of("n1"), ["all"]);

    let ran = lab.snapshot(&["rm", "--cluster", "lab", "all"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        (lab.of("n1"), lab.of("n2")),
        (vec![], vec!["one".to_owned()])
    );
    let ran = lab.snapshot(&["ls", "--cluster", "nowhere"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("rmachine cluster ls"), "{ran:?}");
}

#[test]
fn of_a_cluster_is_taken_back_after_ctrl_c() {
    let lab = Lab::new();
    lab.wish(&json!({"slow": ["snapshot n2 take"]}));
    let mut command = lab.command(&["snapshot", "create", "--cluster", "lab", "half"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    lab.awaits("snapshot n1 take half");
    lab.awaits("snapshot n2 take half");
    while lab.of("n1").is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{err}");
    assert!(
        err.contains("half is taken back from n1, n2")
            && err.contains("no machine of lab has the snapshot half"),
        "{err}"
    );
    assert_eq!((lab.of("n1"), lab.of("n2")), (vec![], vec![]));
}

#[test]
fn of_a_machine_that_has_none() {
    let world = World::new();
    world.machine("bare", "tcp://192.0.2.1:2376", |_| {});
    let ran = world.run(["snapshot", "create", "bare"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            1,
            "error: the machine bare is of the none driver, which has no snapshots\n\
             hint: rmachine create -d virtualbox … (makes machines that have)\n"
        )
    );
    assert_eq!(world.run(["snapshot", "ls", "-f", "json"]).data(), "[]\n");
    assert_eq!(world.run(["snapshot", "ls", "nobody"]).code, 4);
}
