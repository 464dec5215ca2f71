//! Agents that register nodes with the manager itself.

use rmachine_pki::CertifiedPem;

use crate::peers::{Kind, Party};
use crate::process::{Rswarm, free_port};

struct Service {
    party: Party,
    port: u16,
    _manager: Rswarm,
}

impl Service {
    fn start() -> Self {
        let (party, port) = (Party::new(), free_port());
        let files = party.flags(Kind::Manager);
        let flags: Vec<&str> = files.iter().map(String::as_str).collect();
        let address = format!("tcp://127.0.0.1:{port}");
        let args = [&["manage", "-H", &address][..], &flags, &["embedded://"]].concat();
        let manager = Rswarm::start(&args);
        Self {
            party,
            port,
            _manager: manager,
        }
    }

    /// Sends a request as an agent, or without one as the owner; returns the status.
    async fn ask(&self, agent: Option<&CertifiedPem>, method: &str, rest: &str) -> String {
        let answer = self.answer(agent, method, rest).await;
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    async fn answer(&self, agent: Option<&CertifiedPem>, method: &str, rest: &str) -> String {
        let request = format!(
            "{method} /rswarm/v1/members{rest} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        match agent {
            Some(agent) => self.party.ask_with(self.port, agent, &request).await,
            None => self.party.ask(self.port, Kind::Client, &request).await,
        }
    }

    async fn members(&self) -> String {
        let answer = self.answer(None, "GET", "").await;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let listed: serde_json::Value = serde_json::from_str(body).unwrap();
        listed["members"].to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_changes_only_the_entry_that_its_certificate_names() {
    let service = Service::start();
    let victim = service.party.agent("n1", &["10.0.0.1"]);
    let attacker = service.party.agent("n2", &["10.0.0.2"]);
    let (own, foreign) = ("/10.0.0.2:2376?ttl=60", "/10.0.0.1:2376?ttl=60");
    assert_eq!(service.ask(Some(&victim), "PUT", foreign).await, "204");
    assert_eq!(service.ask(Some(&attacker), "PUT", own).await, "204");
    for (method, rest) in [
        ("DELETE", "/10.0.0.1:2376"),
        ("PUT", "/10.0.0.1:2376?ttl=1"),
        ("PUT", "/10.0.0.9:2376?ttl=60"),
    ] {
        let status = service.ask(Some(&attacker), method, rest).await;
        assert_eq!(status, "403", "{method} {rest}");
    }
    let both = r#"["10.0.0.1:2376","10.0.0.2:2376"]"#;
    assert_eq!(service.members().await, both);
    // The node's certificate was renewed.
    let renewed = service.party.agent("n1", &["10.0.0.1"]);
    assert_eq!(service.ask(Some(&renewed), "PUT", foreign).await, "204");
    assert_eq!(
        service
            .ask(Some(&renewed), "DELETE", "/10.0.0.1:2376")
            .await,
        "204"
    );
    assert_eq!(service.ask(None, "DELETE", "/10.0.0.2:2376").await, "204");
    assert_eq!(service.members().await, "[]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agent_without_sans_has_one_entry_and_takes_none_of_others() {
    let service = Service::start();
    let (victim, attacker) = (
        service.party.agent("n1", &[]),
        service.party.agent("n2", &[]),
    );
    let foreign = "/10.0.0.1:2376?ttl=60";
    assert_eq!(service.ask(Some(&victim), "PUT", foreign).await, "204");
    for number in 10..30 {
        let rest = format!("/10.0.0.{number}:2376?ttl=60");
        assert_eq!(service.ask(Some(&attacker), "PUT", &rest).await, "204");
    }
    assert_eq!(service.ask(Some(&attacker), "PUT", foreign).await, "403");
    assert_eq!(
        service
            .ask(Some(&attacker), "DELETE", "/10.0.0.1:2376")
            .await,
        "403"
    );
    let two = r#"["10.0.0.1:2376","10.0.0.29:2376"]"#;
    assert_eq!(service.members().await, two);
}
