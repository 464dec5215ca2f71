//! What every store must do.
#![allow(dead_code, reason = "not every store holds elections")]

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use rswarm_discovery::{
    Discovery, DiscoveryUrl, Election, Entry, Standing, StoreOptions, Update, discovery, election,
};
use tokio::task::JoinHandle;

use crate::servers::{Server, nobody};

/// How long anything may take that has to come, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long nothing may come where nothing has to.
const SILENCE: Duration = Duration::from_secs(4);

const HEARTBEAT: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(3);
const LEAD: Duration = Duration::from_secs(6);

/// What keeps the members.
pub trait Store {
    /// `127.0.0.1:port`
    fn address(&self) -> String;

    /// The URL, where these are the servers.
    fn url(&self, scheme: &str, servers: &str) -> String {
        format!("{scheme}://{servers}/lab")
    }

    fn options(&self) -> StoreOptions {
        StoreOptions::default()
    }

    /// Starts it, with the data from before if there are any, and waits until it listens.
    fn start(&mut self);

    /// Ends it as a power cut would.
    fn stop(&mut self);

    /// Takes all that it has kept away; it must be stopped.
    fn wipe(&mut self);
}

impl Store for Server {
    fn address(&self) -> String {
        self.address()
    }

    fn start(&mut self) {
        self.start();
    }

    fn stop(&mut self) {
        self.stop();
    }

    fn wipe(&mut self) {
        Server::wipe(self);
    }
}

/// A store to walk through.
pub struct Walk<S = Server> {
    pub scheme: &'static str,
    pub server: S,
}

impl<S: Store> Walk<S> {
    fn url(&self, servers: &str) -> DiscoveryUrl {
        self.server.url(self.scheme, servers).parse().unwrap()
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            heartbeat: HEARTBEAT,
            limit: Duration::from_secs(5),
            ..self.server.options()
        }
    }

    fn discovery(&self) -> Box<dyn Discovery> {
        discovery(&self.url(&self.server.address()), self.options()).unwrap()
    }

    fn election(&self) -> Box<dyn Election> {
        election(&self.url(&self.server.address()), self.options()).unwrap()
    }

    /// Registers an entry for as long as the task runs.
    fn member(&self, text: &str) -> JoinHandle<()> {
        let mut rounds = self.discovery().register(entry(text), HEARTBEAT, TTL);
        tokio::spawn(async move { while rounds.next().await.is_some() {} })
    }

    pub async fn members_come_and_go(self) {
        let store = self.discovery();
        assert_eq!(store.list().await.unwrap(), entries(&[]));
        let mut watch = store.watch();
        wait_for(&mut watch, &[]).await;
        let first = self.member("10.0.0.1:2376");
        wait_for(&mut watch, &["10.0.0.1:2376"]).await;
        let second = self.member("[fd00::1]:2376");
        wait_for(&mut watch, &["10.0.0.1:2376", "[fd00::1]:2376"]).await;
        let both = entries(&["10.0.0.1:2376", "[fd00::1]:2376"]);
        assert_eq!(store.list().await.unwrap(), both);

        // Who stops in order goes at once, who is silent when its time is over.
        second.abort();
        let _ = second.await;
        store.deregister(&entry("[fd00::1]:2376")).await.unwrap();
        wait_for(&mut watch, &["10.0.0.1:2376"]).await;
        store.deregister(&entry("10.9.9.9:1")).await.unwrap();
        first.abort();
        wait_for(&mut watch, &[]).await;
    }

    pub async fn refreshing_wakes_nobody(self) {
        let mut watch = self.discovery().watch();
        let members: Vec<JoinHandle<()>> = (0..20)
            .map(|number| self.member(&format!("10.0.0.{number}:2376")))
            .collect();
        loop {
            let Update::Members(told) = next(&mut watch).await else {
                continue;
            };
            if told.len() == members.len() {
                break;
            }
        }
        let told = tokio::time::timeout(SILENCE, watch.next()).await;
        assert!(told.is_err(), "{told:?}");
        members.iter().for_each(JoinHandle::abort);
    }

    pub async fn an_outage_is_outlived(mut self) {
        let _member = self.member("10.0.0.1:2376");
        let mut watch = self.discovery().watch();
        wait_for(&mut watch, &["10.0.0.1:2376"]).await;
        self.server.stop();
        wait_for_trouble(&mut watch).await;
        self.server.start();
        let _other = self.member("10.0.0.2:2376");
        wait_for(&mut watch, &["10.0.0.1:2376", "10.0.0.2:2376"]).await;
    }

    pub async fn a_wiped_store_is_filled_again(mut self) {
        let _member = self.member("10.0.0.1:2376");
        let mut watch = self.discovery().watch();
        wait_for(&mut watch, &["10.0.0.1:2376"]).await;
        self.server.stop();
        wait_for_trouble(&mut watch).await;
        self.server.wipe();
        self.server.start();
        let _other = self.member("10.0.0.2:2376");
        // Nobody is told to be gone on the way.
        let both = entries(&["10.0.0.1:2376", "10.0.0.2:2376"]);
        loop {
            match next(&mut watch).await {
                Update::Members(told) if told == both => break,
                Update::Members(told) => assert!(told.contains(&entry("10.0.0.1:2376"))),
                Update::Trouble(_) => {}
            }
        }
        let told = tokio::time::timeout(SILENCE, watch.next()).await;
        assert!(told.is_err(), "{told:?}");
    }

    pub async fn another_server_is_asked(self) {
        let _member = self.member("10.0.0.1:2376");
        let servers = format!("{},{}", nobody(), self.server.address());
        let store = discovery(&self.url(&servers), self.options()).unwrap();
        let mut watch = store.watch();
        wait_for(&mut watch, &["10.0.0.1:2376"]).await;
    }

    pub async fn one_of_two_leads(self) {
        let (one, two) = (self.election(), self.election());
        let mut first = one.campaign("10.0.0.1:3376".to_owned(), LEAD);
        primary(&mut first).await;
        let mut second = two.campaign("10.0.0.2:3376".to_owned(), LEAD);
        assert_eq!(replica(&mut second).await.as_deref(), Some("10.0.0.1:3376"));
        // It leads for as long as it asks.
        for _ in 0..4 {
            primary(&mut first).await;
        }
        // Nobody asks any more: its time passes, and not before that the second leads. ZooKeeper
        // hears that the session is over.
        let until = match next_standing(&mut first).await {
            Standing::Primary { until, .. } => until,
            other => panic!("{other:?}"),
        };
        drop(first);
        primary(&mut second).await;
        assert!(self.scheme == "zk" || tokio::time::Instant::now() >= until);
    }

    pub async fn one_of_two_with_the_same_candidate_leads(self) {
        let (one, two) = (self.election(), self.election());
        let candidate = "10.0.0.1:3376".to_owned();
        let mut first = one.campaign(candidate.clone(), LEAD);
        primary(&mut first).await;
        assert!(one.verify().await.unwrap());
        let mut second = two.campaign(candidate.clone(), LEAD);
        assert_eq!(replica(&mut second).await, Some(candidate));
        assert!(!two.verify().await.unwrap());
        // Who does not lead cannot end the lead, either.
        drop(second);
        two.resign().await.unwrap();
        primary(&mut first).await;
        assert!(one.verify().await.unwrap());
        one.resign().await.unwrap();
        assert!(!one.verify().await.unwrap());
    }

    pub async fn who_resigns_is_followed_at_once(self) {
        let (one, two) = (self.election(), self.election());
        // So long that only the resignation can end it.
        let long = Duration::from_secs(600);
        let mut first = one.campaign("10.0.0.1:3376".to_owned(), long);
        primary(&mut first).await;
        let mut second = two.campaign("10.0.0.2:3376".to_owned(), long);
        replica(&mut second).await;
        drop(first);
        let waiting = tokio::spawn(async move {
            primary(&mut second).await;
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        one.resign().await.unwrap();
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .unwrap()
            .unwrap();
    }

    pub async fn a_leader_without_its_store_leads_no_more(mut self) {
        let one = self.election();
        let mut first = one.campaign("10.0.0.1:3376".to_owned(), LEAD);
        primary(&mut first).await;
        self.server.stop();
        while matches!(next_standing(&mut first).await, Standing::Primary { .. }) {}
        self.server.start();
        primary(&mut first).await;
    }
}

fn entry(text: &str) -> Entry {
    text.parse().unwrap()
}

fn entries(texts: &[&str]) -> BTreeSet<Entry> {
    texts.iter().map(|text| entry(text)).collect()
}

async fn next(watch: &mut BoxStream<'static, Update>) -> Update {
    let next = tokio::time::timeout(PATIENCE, watch.next()).await;
    next.unwrap_or_else(|_| panic!("nothing was told for {PATIENCE:?}"))
        .unwrap()
}

async fn wait_for(watch: &mut BoxStream<'static, Update>, wanted: &[&str]) {
    let wanted = entries(wanted);
    loop {
        match next(watch).await {
            Update::Members(told) if told == wanted => return,
            Update::Members(_) | Update::Trouble(_) => {}
        }
    }
}

async fn wait_for_trouble(watch: &mut BoxStream<'static, Update>) {
    while !matches!(next(watch).await, Update::Trouble(_)) {}
}

async fn next_standing(campaign: &mut BoxStream<'static, Standing>) -> Standing {
    let next = tokio::time::timeout(PATIENCE, campaign.next()).await;
    next.unwrap_or_else(|_| panic!("nothing came of it for {PATIENCE:?}"))
        .unwrap()
}

async fn primary(campaign: &mut BoxStream<'static, Standing>) {
    while !matches!(next_standing(campaign).await, Standing::Primary { .. }) {}
}

async fn replica(campaign: &mut BoxStream<'static, Standing>) -> Option<String> {
    loop {
        match next_standing(campaign).await {
            Standing::Replica { primary } => return primary,
            Standing::Unknown(_) => {}
            Standing::Primary { .. } => panic!("two lead"),
        }
    }
}
