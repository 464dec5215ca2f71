//! What certificates name and permit, who has their keys, and which authority issues them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rmachine_pki::{
    Authority, CertificateInfo, CertifiedPem, KeyType, Purpose, San, ServerRequest,
};

use crate::adoption::incarnation;
use crate::cluster::nodes;
use crate::lab::{Host, Image, Ran};
use crate::person::{CHECK_FAILED, Person, Said as _};

fn info(pem: &str) -> CertificateInfo {
    CertificateInfo::read(pem).unwrap()
}

fn of_machine(me: &Person, name: &str, file: &str) -> String {
    fs::read_to_string(me.machine_dir(name).join(file)).unwrap()
}

fn has(info: &CertificateInfo, name: &str) -> bool {
    info.covers(&[San::from(name.to_owned())])
}

/// The files of a container's volume with its certificates.
fn tls_files(host: &Host, container: &str) -> String {
    host.sh(&format!(
        "docker inspect -f '{{{{range .Mounts}}}}{{{{if eq .Destination \"/tls\"}}}}{{{{.Source}}}}\
         {{{{end}}}}{{{{end}}}}' {container}"
    ))
}

fn read(host: &Host, path: &str) -> String {
    host.read(path).unwrap_or_default()
}

/// The files with private keys in the volumes of a host's containers.
fn keys_of_roles(host: &Host) -> String {
    host.sh("grep -rl 'PRIVATE KEY' /var/lib/docker/volumes || true")
}

/// Gives a machine what an earlier version gave it: an engine's certificate that is a client's as
/// well and names all that the host reports, and no certificate of a manager.
fn age(me: &Person, host: &Host, name: &str) {
    let shared = |file: &str| fs::read_to_string(me.store().join("certs").join(file)).unwrap();
    let authority = Authority::load(&shared("ca.pem"), &shared("ca-key.pem")).unwrap();
    let mut sans = info(&of_machine(me, name, "server.pem")).sans;
    sans.push(San::from("192.0.2.77".to_owned()));
    let request = ServerRequest {
        name: name.to_owned(),
        organization: "me".to_owned(),
        sans,
        client_auth: true,
        key: KeyType::Ecdsa,
    };
    let CertifiedPem { certificate, key } = authority.issue_server(&request).unwrap();
    let dir = me.machine_dir(name);
    fs::write(dir.join("server.pem"), &certificate).unwrap();
    fs::write(dir.join("server-key.pem"), key.expose()).unwrap();
    for file in ["manager.pem", "manager-key.pem"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    host.write(
        "/etc/docker/server.pem",
        &format!("{}\n", certificate.trim_end()),
    );
    host.write(
        "/etc/docker/server-key.pem",
        &format!("{}\n", key.expose().trim_end()),
    );
    host.sh("chmod 644 /etc/docker/server.pem && chmod 600 /etc/docker/server-key.pem");
    host.sh(
        "systemctl reset-failed docker.service docker.socket; systemctl restart docker.service",
    );
}

/// What the engine answers to a client with these files of a machine's directory.
fn ask_engine(me: &Person, host: &Host, name: &str, [certificate, key]: [&str; 2]) -> Ran {
    let (dir, ip) = (me.machine_dir(name), host.ip());
    let dir = dir.display();
    me.shell(&format!(
        "curl --silent --show-error --max-time 20 --cacert {dir}/ca.pem --cert {dir}/{certificate} \
         --key {dir}/{key} https://{ip}:2376/version"
    ))
}

#[test]
fn manager_and_agent_have_certificates_of_their_own() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &["--swarm", "--swarm-master"])
        .ok();
    let manager = of_machine(&me, "n1", "manager.pem");
    let key = fs::metadata(me.machine_dir("n1").join("manager-key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let volume = tls_files(&host, "swarm-agent-master");
    assert_eq!(
        read(&host, &format!("{volume}/cert.pem")).trim(),
        manager.trim()
    );
    let manager = info(&manager);
    assert_eq!(manager.purpose, Some(Purpose::Manager));
    assert!(has(&manager, &host.ip()) && has(&manager, "n1"));
    let server = info(&of_machine(&me, "n1", "server.pem"));
    assert!(!server.client_auth && server.purpose.is_none());
    let agent = info(&of_machine(&me, "n1", "agent.pem"));
    assert_eq!(agent.purpose, Some(Purpose::Agent));
    assert_eq!(agent.sans, [San::from(host.ip())]);
    // The manager is a client of the engine; the engine's own certificate is not.
    ask_engine(&me, &host, "n1", ["manager.pem", "manager-key.pem"]).ok();
    let refused = ask_engine(&me, &host, "n1", ["server.pem", "server-key.pem"]);
    assert_ne!(refused.code, 0, "{refused:?}");

    // All of them are renewed, and the containers have the new ones.
    let files = ["server.pem", "manager.pem", "agent.pem"];
    let before = files.map(|file| of_machine(&me, "n1", file));
    me.rmachine(["regenerate-certs", "-f", "n1"]).ok();
    for (file, before) in files.iter().zip(&before) {
        assert_ne!(&of_machine(&me, "n1", file), before, "{file}");
    }
    let volume = tls_files(&host, "swarm-agent");
    let agent = of_machine(&me, "n1", "agent.pem");
    assert_eq!(
        read(&host, &format!("{volume}/cert.pem")).trim(),
        agent.trim()
    );
    assert_eq!(nodes(&me, "n1"), [("n1".to_owned(), true)]);

    // An adopted host keeps its engine's key, and no other.
    assert_ne!(keys_of_roles(&host), "");
    let removed = me.rmachine(["rm", "-y", "n1"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    for word in ["server-key.pem", "--restore"] {
        assert!(removed.err.contains(word), "{removed:?}");
    }
    assert_eq!(keys_of_roles(&host), "");
    host.sh("test -f /etc/docker/server-key.pem");
}

#[test]
fn provision_migrates_managers_of_earlier_versions_without_engine_restart() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &["--swarm", "--swarm-master"])
        .ok();
    age(&me, &host, "n1");
    ask_engine(&me, &host, "n1", ["server.pem", "server-key.pem"]).ok();
    let running = incarnation(&host);
    let provisioned = me.rmachine(["provision", "n1"]);
    assert_eq!(provisioned.code, 0, "{provisioned:?}");
    assert!(
        provisioned.err.contains("until its next restart"),
        "{provisioned:?}"
    );
    assert_eq!(incarnation(&host), running);
    let server = info(&read(&host, "/etc/docker/server.pem"));
    assert!(!server.client_auth && !has(&server, "192.0.2.77"));
    assert!(has(&server, &host.ip()));
    let volume = tls_files(&host, "swarm-agent-master");
    let manager = info(&read(&host, &format!("{volume}/cert.pem")));
    assert_eq!(manager.purpose, Some(Purpose::Manager));
    assert_eq!(nodes(&me, "n1"), [("n1".to_owned(), true)]);
    // The engine starts with what was written.
    host.sh("systemctl restart docker.service");
    me.docker("n1", "version").ok();

    // One that was never migrated loses the key with the machine.
    age(&me, &host, "n1");
    me.rmachine(["rm", "-y", "n1"]).ok();
    assert!(!info(&read(&host, "/etc/docker/server.pem")).client_auth);
}

#[test]
fn hosts_obtain_no_certificates_for_addresses_of_other_machines() {
    let Some(victim) = Host::start(Image::Bookworm) else {
        return;
    };
    let Some(hostile) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &victim, "root", &[]).ok();
    let stolen = victim.ip();
    hostile.sh(&format!("ip addr add {stolen}/32 dev lo"));
    let before = incarnation(&hostile);
    let advertise = [
        "--engine-opt=cluster-store=etcd://127.0.0.1:2379",
        "--engine-opt=cluster-advertise=lo:2376",
    ];
    me.create("n2", &hostile, "root", &advertise)
        .fails(CHECK_FAILED, &[&stolen, "n1"]);
    assert!(!me.machine_dir("n2").exists());
    assert_eq!(incarnation(&hostile), before);
    // Nobody named the interface: its address is in no certificate.
    me.create("n2", &hostile, "root", &[]).ok();
    let server = info(&read(&hostile, "/etc/docker/server.pem"));
    assert!(!has(&server, &stolen) && has(&server, &hostile.ip()));
}

#[test]
fn create_rejects_the_host_of_another_machine() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &[]).ok();
    let address = format!("{}:2376", host.ip());
    me.create("n2", &host, "root", &[])
        .fails(CHECK_FAILED, &[&address, "n1", "rmachine rm n1"]);
    // Another port of the same host is the same host.
    me.create("n2", &host, "root", &["--generic-engine-port=2377"])
        .fails(CHECK_FAILED, &["host key SHA256:", "n1"]);
    assert!(!me.machine_dir("n2").exists());
    me.docker("n1", "version").ok();
}

#[test]
fn provision_keeps_the_authority_that_the_machine_was_created_with() {
    let Some(first) = Host::start(Image::Bookworm) else {
        return;
    };
    let Some(second) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    let (_, own) = Authority::create("me", KeyType::Ecdsa).unwrap();
    me.private_file("own-ca.pem", &own.certificate);
    let key = me.private_file("own-ca-key.pem", own.key.expose());
    let master = me.create_args("n1", &first, "root", &["--swarm", "--swarm-master"]);
    // Relative to the person's home, in which the program starts.
    let flags = ["--tls-ca-cert=own-ca.pem", "--tls-ca-key=own-ca-key.pem"];
    let client = ["--tls-client-cert=own.pem", "--tls-client-key=own-key.pem"];
    let flags = flags.iter().chain(&client).map(|flag| (*flag).to_owned());
    me.rmachine(flags.chain(master)).ok();
    let recorded = me.record("n1")["HostOptions"]["AuthOptions"]["CaPrivateKeyPath"].take();
    assert_eq!(recorded.as_str(), Some(key.as_str()));
    assert_eq!(
        of_machine(&me, "n1", "ca.pem").trim(),
        own.certificate.trim()
    );

    // Without the flags, from another directory.
    let running = incarnation(&first);
    me.shell("cd / && rmachine provision n1").ok();
    me.shell("cd / && rmachine regenerate-certs -f n1").ok();
    assert_ne!(incarnation(&first), running);
    assert_eq!(
        of_machine(&me, "n1", "ca.pem").trim(),
        own.certificate.trim()
    );
    me.docker("n1", "version").ok();
    assert_eq!(nodes(&me, "n1"), [("n1".to_owned(), true)]);

    // The store's own authority is another one, and one cluster has one authority.
    me.create("n2", &second, "root", &["--swarm", "--swarm-join=n1"])
        .fails(CHECK_FAILED, &["own-ca.pem", "n1"]);
    me.create("n2", &second, "root", &[]).ok();
    assert_ne!(
        of_machine(&me, "n2", "ca.pem").trim(),
        own.certificate.trim()
    );
    // Flags for other machines change nothing of one that exists.
    let kept = of_machine(&me, "n2", "ca.pem");
    let provisioned = me.rmachine(["--tls-ca-cert=own-ca.pem", "provision", "n2"]);
    assert_eq!(provisioned.code, 0, "{provisioned:?}");
    assert!(provisioned.err.contains("own-ca.pem"), "{provisioned:?}");
    assert_eq!(of_machine(&me, "n2", "ca.pem"), kept);

    // Without its key nothing can be issued, and nothing changes.
    let files = ["server.pem", "manager.pem", "agent.pem", "ca.pem"];
    let before = files.map(|file| of_machine(&me, "n1", file));
    fs::remove_file(&key).unwrap();
    for command in [&["provision", "n1"][..], &["regenerate-certs", "-f", "n1"]] {
        me.rmachine(command).fails(CHECK_FAILED, &[&key, "restore"]);
    }
    assert_eq!(files.map(|file| of_machine(&me, "n1", file)), before);
    me.docker("n1", "version").ok();
}

#[test]
fn machine_that_left_its_cluster_loses_the_keys_of_its_roles() {
    let Some(host) = Host::start(Image::Bookworm) else {
        return;
    };
    let me = Person::new();
    me.create("n1", &host, "root", &["--swarm", "--swarm-master"])
        .ok();
    let mut record = me.record("n1");
    let swarm = &mut record["HostOptions"]["SwarmOptions"];
    for role in ["IsSwarm", "Agent", "Master"] {
        swarm[role] = false.into();
    }
    swarm["Discovery"] = "".into();
    let path = me.machine_dir("n1").join("config.json");
    fs::write(path, record.to_string()).unwrap();
    let running = incarnation(&host);
    me.rmachine(["provision", "n1"]).ok();
    assert_eq!(incarnation(&host), running);
    assert_eq!(host.sh("docker ps -aq"), "");
    assert_eq!(keys_of_roles(&host), "");
    for file in [
        "manager.pem",
        "manager-key.pem",
        "agent.pem",
        "agent-key.pem",
    ] {
        assert!(!me.machine_dir("n1").join(file).exists(), "{file}");
    }
}
