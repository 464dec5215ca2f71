//! Machines of the docker driver: hosts that rmachine makes itself.

use crate::lab::{Ran, lab};
use crate::person::{NOT_RUNNING, Person, Said as _};

/// Machines that the test made, by names that no other run has. They go when it ends.
struct Machines {
    me: Person,
    names: Vec<String>,
}

impl Machines {
    fn create(count: usize) -> Option<Self> {
        let engine = lab()?.url();
        let name = |n| format!("acc{}-{n}", std::process::id());
        let names: Vec<String> = (0..count).map(name).collect();
        let machines = Self {
            me: Person::new(),
            names,
        };
        let create = ["create", "-d", "docker", "--docker-host", engine];
        let words = create
            .into_iter()
            .chain(machines.names.iter().map(String::as_str));
        machines.me.rmachine(words).ok();
        Some(machines)
    }

    fn run(&self, command: &str) -> Ran {
        let words = [command]
            .into_iter()
            .chain(self.names.iter().map(String::as_str));
        self.me.rmachine(words)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        let force = ["rm", "--force"].into_iter();
        self.me
            .rmachine(force.chain(self.names.iter().map(String::as_str)));
    }
}

#[test]
fn containers_live_and_go_like_machines() {
    let Some(machines) = Machines::create(2) else {
        return;
    };
    let [one, two] = machines.names.as_slice() else {
        unreachable!()
    };
    let me = &machines.me;
    assert_eq!(me.docker(one, "info -f '{{.Name}}'").ok(), *one);
    assert_eq!(me.docker(two, "info -f '{{.Name}}'").ok(), *two);
    assert_eq!(me.rmachine(["ssh", one, "sudo", "id", "-u"]).ok(), "0");
    me.docker(one, "volume create kept").ok();

    let address = machines.run("ip").ok();
    machines.run("stop").ok();
    assert_eq!(machines.run("status").ok(), "Stopped\nStopped");
    me.rmachine(["env", one])
        .fails(NOT_RUNNING, &[one, "start"]);
    // What holds already is made to hold once more.
    me.rmachine(["stop", one]).ok();
    machines.run("start").ok();
    assert_eq!(machines.run("ip").ok(), address);
    assert_eq!(me.docker(one, "volume ls -q").ok(), "kept");

    machines.run("restart").ok();
    me.docker(one, "version").ok();
    me.rmachine(["kill", two]).ok();
    assert_eq!(me.rmachine(["status", two]).ok(), "Stopped");
    me.rmachine(["start", two]).ok();
    me.docker(two, "version").ok();

    me.rmachine(["rm", "-y", one, two]).ok();
    assert_eq!(me.rmachine(["ls", "-q"]).ok(), "");
    let left = lab()
        .unwrap()
        .engine_ok(20, ["ps", "-aq", "--filter", &format!("name={one}")]);
    assert_eq!(left, "");
}
