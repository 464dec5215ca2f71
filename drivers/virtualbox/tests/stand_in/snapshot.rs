use crate::answer::{Answer, NOT_FOUND, WRONG_STATE, usage};
use crate::state::{Snapshot, Store, Vm};
use crate::vm::{MACHINE, SESSION, is_on, unknown};

pub fn snapshot(store: &mut Store, name: &str, rest: &[&str]) -> Answer {
    store.all.made += 1;
    let id = format!("00000000-0000-4000-9000-{:012}", store.all.made);
    let Some(vm) = store.vm(name) else {
        return unknown(name);
    };
    match *rest {
        ["list", "--machinereadable"] => list(vm),
        _ if vm.busy.is_some() => Answer::refused(
            "The machine is not mutable or its state is not right",
            WRONG_STATE,
            SESSION,
        ),
        ["take", name] => take(vm, name, id),
        ["restore", name] => restore(vm, name),
        ["delete", name] => delete(vm, name),
        _ => usage(2, "Invalid parameter"),
    }
}

/// Each after the one before it: no branches.
fn list(vm: &Vm) -> Answer {
    if vm.snapshots.is_empty() {
        return Answer {
            exit: 1,
            ..Answer::said("This machine does not have any snapshots\n".to_owned())
        };
    }
    let mut out = String::new();
    let mut last = String::new();
    for (number, snapshot) in vm.snapshots.iter().enumerate() {
        let place = "-1".repeat(number);
        let (name, id) = (&snapshot.name, &snapshot.id);
        out += &format!("SnapshotName{place}=\"{name}\"\nSnapshotUUID{place}=\"{id}\"\n");
        if snapshot.current {
            last = format!(
                "CurrentSnapshotName=\"{name}\"\nCurrentSnapshotUUID=\"{id}\"\n\
                 CurrentSnapshotNode=\"SnapshotName{place}\"\n"
            );
        }
    }
    Answer::said(out + &last)
}

pub fn take(vm: &mut Vm, name: &str, id: String) -> Answer {
    for other in &mut vm.snapshots {
        other.current = false;
    }
    let state = match vm.state.as_str() {
        "running" | "paused" | "saved" => "saved",
        _ => "poweroff",
    };
    let answer = Answer::said(format!("Snapshot taken. UUID: {id}\n"));
    vm.snapshots.push(Snapshot {
        id,
        name: name.to_owned(),
        current: true,
        state: state.to_owned(),
        settings: vm.settings.clone(),
        rules: vm.rules.clone(),
    });
    answer.with_progress()
}

fn restore(vm: &mut Vm, name: &str) -> Answer {
    let Some(place) = place(vm, name) else {
        return not_found(name);
    };
    if is_on(vm) {
        let words =
            "Cannot delete the current state of the running machine (machine state: Running)";
        return Answer::refused(words, WRONG_STATE, SESSION);
    }
    for (number, other) in vm.snapshots.iter_mut().enumerate() {
        other.current = number == place;
    }
    let snapshot = vm.snapshots[place].clone();
    vm.state = snapshot.state;
    vm.settings = snapshot.settings;
    vm.rules = snapshot.rules;
    let (name, id) = (snapshot.name, snapshot.id);
    Answer::said(format!("Restoring snapshot '{name}' ({id})\n")).with_progress()
}

fn delete(vm: &mut Vm, name: &str) -> Answer {
    let Some(place) = place(vm, name) else {
        return not_found(name);
    };
    let gone = vm.snapshots.remove(place);
    if gone.current
        && let Some(before) = place.checked_sub(1)
    {
        vm.snapshots[before].current = true;
    }
    let (name, id) = (gone.name, gone.id);
    Answer::said(format!("Deleting snapshot '{name}' ({id})\n")).with_progress()
}

fn place(vm: &Vm, name: &str) -> Option<usize> {
    let by_id = vm.snapshots.iter().position(|s| s.id == name);
    by_id.or_else(|| vm.snapshots.iter().position(|s| s.name == name))
}

fn not_found(name: &str) -> Answer {
    let words = format!("Could not find a snapshot named '{name}'");
    Answer::refused(&words, NOT_FOUND, MACHINE)
}
