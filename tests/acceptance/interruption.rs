//! Work that is cut off: by Ctrl-C, by SIGKILL at every step, by a host that goes away.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::adoption::configuration;
use crate::lab::{Host, Image, lab};
use crate::person::{FAILED, Person, Said as _};

/// What Ctrl-C exits with.
const INTERRUPTED: i32 = 130;

/// How long a step may take to be reached, or a program to end; the longest is the making of the
/// image for containers, on a loaded machine.
const STEP_LIMIT: Duration = Duration::from_secs(600);

/// The program at work, with the steps it tells about.
pub struct Work {
    child: Child,
    steps: mpsc::Receiver<String>,
}

impl Work {
    /// Starts the program, which tells of each step before it takes it.
    pub fn start(me: &Person, args: &[String]) -> Self {
        let json = ["--progress", "json"].into_iter();
        let mut command = me.command(json.chain(args.iter().map(String::as_str)));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (tell, steps) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event: Value = serde_json::from_str(&line).unwrap_or_default();
                if event["event"] == "step" {
                    let _ = tell.send(event["text"].as_str().unwrap_or_default().to_owned());
                }
            }
        });
        Self { child, steps }
    }

    /// The next step, or nothing when the program has ended.
    pub fn next_step(&self) -> Option<String> {
        match self.steps.recv_timeout(STEP_LIMIT) {
            Ok(step) => Some(step),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("no step within {STEP_LIMIT:?}"),
        }
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Every step of a run that goes well.
    pub fn all_steps(self) -> Vec<String> {
        let steps = std::iter::from_fn(|| self.next_step()).collect();
        assert_eq!(self.end(), 0);
        steps
    }

    /// Waits for the step whose text has this word; the program must not end before.
    pub fn reach(&self, word: &str) {
        let mut seen = Vec::new();
        while let Some(step) = self.next_step() {
            if step.contains(word) {
                return;
            }
            seen.push(step);
        }
        panic!("no step has {word:?} in it: {seen:?}");
    }

    /// Waits until the engine of a [`slow_host`] is being restarted.
    fn reach_restart(&self, host: &Host) {
        self.reach("configuring");
        host.sh(
            "timeout 60 sh -c 'until [ \"$(systemctl show -p SubState --value docker)\" = start-pre ]; do
                sleep 0.1
             done'",
        );
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// The exit code; -1 after a signal.
    pub fn end(mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < STEP_LIMIT, "the program does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A host whose engine takes some seconds to start, so that what happens then can be met.
pub fn slow_host() -> Option<Host> {
    let host = Host::start(Image::Bookworm)?;
    host.write(
        "/etc/systemd/system/docker.service.d/slow.conf",
        "[Service]\nExecStartPre=/bin/sleep 5\n",
    );
    host.sh("systemctl daemon-reload");
    Some(host)
}

/// What counts of a machine: the host's configuration without what is new each time, and the
/// record without times.
fn result(me: &Person, host: &Host) -> BTreeMap<&'static str, String> {
    let configured = configuration(host);
    let lasting: Vec<&str> = configured
        .lines()
        // Certificates are new with every machine, and so are notes that hold their hashes.
        .filter(|line| !line.contains(".pem") && !line.contains("/var/lib/rmachine"))
        .filter(|line| !line.contains("var/lib/rmachine"))
        .collect();
    let mut record = me.record("n1");
    record["Rmachine"]["Phases"] = me.phases("n1").into();
    let mut files: Vec<String> = fs::read_dir(me.machine_dir("n1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let pems = host.sh("cd /etc/docker && stat -c '%A %n' *.pem");
    BTreeMap::from([
        ("host", lasting.join("\n")),
        ("certificates", pems),
        ("record", format!("{record:#}")),
        ("files", files.join("\n")),
    ])
}

/// On a busy machine a kill may come too late: there is nothing to go on with then.
fn is_ready(me: &Person, machine: &str) -> bool {
    let phases = me.phases(machine);
    phases.last().is_some_and(|phase| phase == "Ready")
}

#[test]
fn a_run_that_was_killed_at_any_step_is_made_good_by_the_next() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    host.write("/etc/docker/daemon.json", "{\"labels\": [\"owner=me\"]}\n");
    host.sh("systemctl restart docker");
    let before = configuration(&host);
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &["--engine-label", "a=b"]);
    let remove = ["rm", "-y", "--restore", "n1"];

    let steps = Work::start(&me, &args).all_steps();
    let expected = result(&me, &host);
    me.rmachine(remove).ok();
    assert_eq!(configuration(&host), before);
    assert!(steps.len() >= 4, "{steps:?}");

    // At once when a step is told of, and some way into the long one.
    let at_once = (0..steps.len()).map(|step| (step, Duration::ZERO));
    let configuring = steps
        .iter()
        .position(|step| step.contains("configuring"))
        .unwrap();
    let later = [60, 150, 300, 600, 1200, 1800].map(|ms| (configuring, Duration::from_millis(ms)));
    for (step, delay) in at_once.chain(later) {
        let when = format!("after a kill {delay:?} into {:?}", steps[step]);
        let work = Work::start(&me, &args);
        for _ in 0..=step {
            work.next_step();
        }
        thread::sleep(delay);
        work.signal(Signal::SIGKILL);
        work.end();
        if !is_ready(&me, "n1") {
            let again = me.rmachine(&args);
            assert_eq!(again.code, 0, "{when}: {again:?}");
        }
        assert_eq!(result(&me, &host), expected, "{when}");
        me.docker("n1", "version").ok();
        me.rmachine(remove).ok();
        assert_eq!(configuration(&host), before, "{when}");
    }
}

#[test]
fn a_container_whose_making_was_killed_at_any_step_is_finished_or_removed() {
    let Some(lab) = lab() else { return };
    let me = Person::new();
    let name = format!("cut{}", std::process::id());
    let create = ["create", "-d", "docker", "--docker-host", lab.url(), &name];
    let create: Vec<String> = create.into_iter().map(str::to_owned).collect();
    let made = || {
        let filter = format!("name={name}");
        let containers = lab.engine_ok(20, ["ps", "-aq", "--filter", &filter]);
        let volumes = lab.engine_ok(20, ["volume", "ls", "-q", "--filter", &filter]);
        containers.lines().count() + volumes.lines().count()
    };

    let steps = Work::start(&me, &create).all_steps();
    me.rmachine(["rm", "--force", &name]).ok();
    assert!(steps.len() >= 5 && made() == 0, "{steps:?}");
    for (n, step) in steps.iter().enumerate() {
        let work = Work::start(&me, &create);
        for _ in 0..=n {
            work.next_step();
        }
        work.signal(Signal::SIGKILL);
        work.end();
        // By turns: what was begun is finished, or goes without a trace.
        if n % 2 == 0 {
            if !is_ready(&me, &name) {
                let again = me.rmachine(&create);
                assert_eq!(again.code, 0, "after a kill at {step:?}: {again:?}");
            }
            me.docker(&name, "version").ok();
        }
        me.rmachine(["rm", "--force", &name]).ok();
        assert_eq!(made(), 0, "after a kill at {step:?}");
    }
}

#[test]
fn a_run_that_was_killed_can_be_removed_instead() {
    let Some(host) = slow_host() else {
        return;
    };
    let before = configuration(&host);
    let me = Person::new();
    let work = Work::start(&me, &me.create_args("n1", &host, "root", &[]));
    work.reach_restart(&host);
    work.signal(Signal::SIGKILL);
    work.end();
    let listed = me.rmachine(["ls"]).ok();
    assert!(listed.contains("n1"), "{listed}");
    me.rmachine(["rm", "-y", "--restore", "n1"]).ok();
    assert_eq!(configuration(&host), before);
    host.sh("docker version");
}

#[test]
fn ctrl_c_ends_at_once_and_the_same_command_goes_on() {
    let Some(host) = slow_host() else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &[]);
    let work = Work::start(&me, &args);
    work.reach_restart(&host);
    work.signal(Signal::SIGINT);
    assert_eq!(work.end(), INTERRUPTED);
    assert_ne!(me.phases("n1").last().map(String::as_str), Some("Ready"));
    me.rmachine(&args).ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_host_that_freezes_is_given_up_in_time_and_taken_up_again() {
    let Some(host) = slow_host() else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &[]);
    let work = Work::start(&me, &args);
    work.reach_restart(&host);
    host.pause();
    let code = work.end();
    host.unpause();
    assert!(code > 0, "{code}");
    let listed = me.rmachine(["ls"]).ok();
    assert!(listed.contains("n1"), "{listed}");
    me.rmachine(&args).ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_host_that_is_cut_off_is_given_up_in_time_and_taken_up_again() {
    let Some(host) = slow_host() else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &[]);
    let work = Work::start(&me, &args);
    work.reach_restart(&host);
    host.cut_off();
    let code = work.end();
    assert!(code > 0, "{code}");
    host.reconnect();
    me.rmachine(&args).ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_host_that_loses_its_power_is_taken_up_again() {
    let Some(host) = slow_host() else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &[]);
    let address = host.ip();
    let work = Work::start(&me, &args);
    work.reach_restart(&host);
    host.kill();
    let code = work.end();
    assert!(code > 0, "{code}");
    // While it is off, that is what is said, and not for ever.
    let off = me.rmachine(&args);
    off.fails(off.code, &[&address]);
    host.power_on();
    me.rmachine(&args).ok();
    me.docker("n1", "version").ok();
}

#[test]
fn a_failed_machine_is_rolled_back_on_request() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let before = configuration(&host);
    let me = Person::new();
    let bad = [
        "--rollback",
        "--engine-storage-driver",
        "devicemapper",
        "--engine-opt",
        "storage-opt=dm.nonsense=1",
    ];
    me.create("n1", &host, "root", &bad)
        .fails(FAILED, &["graphdriver"]);
    assert!(!me.machine_dir("n1").exists());
    assert_eq!(configuration(&host), before);
    host.sh("docker version");
}

#[test]
fn a_dry_run_leaves_the_host_and_the_store_alone() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let before = configuration(&host);
    let me = Person::new();
    let dry_run = ["--dry-run", "--engine-label", "zone=a"];
    let plan = me.create("n1", &host, "root", &dry_run).ok();
    assert!(plan.contains("/etc/docker/daemon.json"), "{plan}");
    assert!(!me.machine_dir("n1").exists());
    assert_eq!(configuration(&host), before);

    // Nor does it change what a half-made machine was asked to be.
    let work = Work::start(&me, &me.create_args("n1", &host, "root", &[]));
    work.reach("configuring");
    work.signal(Signal::SIGKILL);
    work.end();
    if !is_ready(&me, "n1") {
        let record = me.record("n1");
        me.create("n1", &host, "root", &dry_run).ok();
        assert_eq!(me.record("n1"), record);
    }
}
