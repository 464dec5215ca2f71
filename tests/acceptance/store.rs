//! Many processes on one store, and a store that is broken.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::thread;

use crate::lab::{Host, Image, Ran};
use crate::person::{BUSY, FAILED, Person, Said as _, UNKNOWN_MACHINE};

#[test]
fn two_that_make_the_same_machine_do_not_meet() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let args = me.create_args("n1", &host, "root", &[]);
    let ran: Vec<Ran> = thread::scope(|scope| {
        let runs: Vec<_> = (0..2).map(|_| scope.spawn(|| me.rmachine(&args))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let won = ran.iter().filter(|ran| ran.code == 0).count();
    assert_eq!(won, 1, "{ran:?}");
    let lost = ran.iter().find(|ran| ran.code != 0).unwrap();
    assert!([BUSY, FAILED].contains(&lost.code), "{lost:?}");
    lost.fails(lost.code, &["n1"]);
    me.docker("n1", "version").ok();
}

#[test]
fn twenty_at_once_on_an_empty_store_agree_on_one_ca() {
    let hosts: Option<Vec<Host>> = (0..3).map(|_| Host::start(Image::Bookworm)).collect();
    let Some(hosts) = hosts else { return };
    let me = Person::new();
    let creates = hosts.iter().enumerate();
    let creates = creates.map(|(n, host)| me.create_args(&format!("n{n}"), host, "root", &[]));
    let words = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let none = |n: usize| {
        let name = format!("none{n}");
        words(&["create", "-d", "none", "--url", "tcp://127.0.0.1:1", &name])
    };
    let runs: Vec<Vec<String>> = creates
        .chain((0..5).map(none))
        .chain((0..6).map(|_| words(&["ls", "--timeout", "5"])))
        .chain((0..6).map(|n| words(&["env", &format!("n{}", n % 3)])))
        .collect();
    assert_eq!(runs.len(), 20);
    let ran: Vec<Ran> = thread::scope(|scope| {
        let me = &me;
        let start = |args| scope.spawn(move || me.rmachine(args));
        let runs: Vec<_> = runs.iter().map(start).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for (args, ran) in runs.iter().zip(&ran) {
        match args[0].as_str() {
            // Too early for an environment, perhaps; but never a broken one.
            "env" => assert!(
                !ran.err.contains("panicked") && (ran.code == 0) == (ran.err.is_empty()),
                "{ran:?}"
            ),
            _ => assert_eq!(ran.code, 0, "{args:?}: {ran:?}"),
        }
    }
    let authorities: BTreeSet<String> = (0..3)
        .map(|n| fs::read_to_string(me.machine_dir(&format!("n{n}")).join("ca.pem")).unwrap())
        .collect();
    assert_eq!(authorities.len(), 1, "several CAs were made");
    for n in 0..3 {
        me.docker(&format!("n{n}"), "version").ok();
    }
}

#[test]
fn a_corrupt_record_is_named_and_the_others_are_listed() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    fs::create_dir_all(me.machine_dir("broken")).unwrap();
    let record = me.machine_dir("broken").join("config.json");
    fs::write(&record, "{\"ConfigVersion\": 3, ").unwrap();

    let listed = me.rmachine(["ls"]).ok();
    let row = |name: &str| {
        listed
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    assert!(row("n1").contains("Running"), "{listed}");
    assert!(row("broken").contains("Error"), "{listed}");
    me.rmachine(["env", "broken"]).fails(
        FAILED,
        &["broken", &record.display().to_string(), "rm --force broken"],
    );
    me.docker("n1", "version").ok();
    me.rmachine(["rm", "--force", "broken"]).ok();
    me.rmachine(["env", "broken"])
        .fails(UNKNOWN_MACHINE, &["broken"]);
}

#[test]
fn several_hosts_are_listed_and_worked_on_together() {
    let hosts: Option<Vec<Host>> = [Image::Bookworm, Image::Trixie]
        .into_iter()
        .map(Host::start)
        .collect();
    let Some(hosts) = hosts else { return };
    let me = Person::new();
    thread::scope(|scope| {
        for (n, host) in hosts.iter().enumerate() {
            let me = &me;
            scope.spawn(move || me.create(&format!("n{n}"), host, "root", &[]).ok());
        }
    });
    assert_eq!(
        me.rmachine(["ip", "n0", "n1"]).ok(),
        format!("{}\n{}", hosts[0].ip(), hosts[1].ip())
    );
    me.rmachine(["provision", "n0", "n1"]).ok();
    let names = me.rmachine(["ls", "-q", "--filter", "state=Running"]).ok();
    assert_eq!(names, "n0\nn1");

    // From one machine to the other, each with its own key and user.
    me.rmachine(["ssh", "n0", "echo hello >/tmp/letter"]).ok();
    me.rmachine(["scp", "n0:/tmp/letter", "n1:/tmp/"]).ok();
    assert_eq!(hosts[1].sh("cat /tmp/letter"), "hello");

    hosts[1].pause();
    let listed = me
        .rmachine(["ls", "--timeout", "2", "--format", "{{.Name}} {{.State}}"])
        .ok();
    hosts[1].unpause();
    assert_eq!(listed, "n0 Running\nn1 Timeout");
    me.rmachine(["rm", "-y", "--restore", "n0", "n1"]).ok();
    assert_eq!(me.rmachine(["ls", "-q"]).ok(), "");
}

#[test]
fn an_answer_of_no_removes_nothing() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    let mut rm = me.command(["rm", "n1"]);
    rm.stdin(Stdio::piped());
    let asked = Ran::with_input(&mut rm, "n\n");
    assert_eq!(asked.code, 0, "{asked:?}");
    me.docker("n1", "version").ok();
}
