//! The services of this package, asked by its own clients over loopback.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod hosted;
mod hostile;
mod servers;
mod walks;

use std::time::Duration;

use futures_util::StreamExt as _;
macro_rules! walk {
    ($scheme:literal, $server:expr, [$($walk:ident),* $(,)?]) => {
        $(#[tokio::test] async fn $walk() {
            let server = $server.await;
            Walk { scheme: $scheme, server }.$walk().await;
        })*
    };
}

use rswarm_discovery::{Discovery, DiscoveryError, StoreOptions, discovery};

use hosted::{Hosted, Tls};
use walks::Store as _;

mod embedded {
    use std::future::ready;

    use crate::hosted::Hosted;
    use crate::walks::Walk;

    walk!(
        "embedded",
        ready(Hosted::membership()),
        [
            members_come_and_go,
            refreshing_wakes_nobody,
            an_outage_is_outlived,
            a_wiped_store_is_filled_again,
            another_server_is_asked,
        ]
    );
}

mod token {
    use crate::hosted::Hosted;
    use crate::walks::Walk;

    walk!(
        "token",
        Hosted::tokens(),
        [
            members_come_and_go,
            refreshing_wakes_nobody,
            an_outage_is_outlived,
            a_wiped_store_is_filled_again,
        ]
    );
}

fn client(scheme: &str, server: &Hosted, options: StoreOptions) -> Box<dyn Discovery> {
    let url = server.url(scheme, &server.address());
    discovery(&url.parse().unwrap(), options).unwrap()
}

#[tokio::test]
async fn who_is_registered_stays_over_a_restart() {
    let hosted = [
        ("embedded", Hosted::membership()),
        ("token", Hosted::tokens().await),
    ];
    for (scheme, mut server) in hosted {
        let store = client(scheme, &server, server.options());
        let minute = Duration::from_secs(60);
        let mut rounds = store.register("10.0.0.1:2376".parse().unwrap(), minute, 3 * minute);
        rounds.next().await.unwrap().unwrap();
        let before = store.list().await.unwrap();
        assert_eq!(before.len(), 1);
        server.stop();
        server.start();
        let store = client(scheme, &server, server.options());
        assert_eq!(store.list().await.unwrap(), before, "{scheme}");
    }
}

#[tokio::test]
async fn only_the_clusters_own_are_let_in() {
    let server = Hosted::membership();
    let own = client("embedded", &server, server.options());
    own.list().await.unwrap();
    for tls in [None, Some(Tls::new().client)] {
        let options = StoreOptions {
            tls,
            ..server.options()
        };
        let stranger = client("embedded", &server, options);
        let listed = stranger.list().await;
        assert!(
            matches!(listed, Err(DiscoveryError::Unreachable { .. })),
            "{listed:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_nobody_knows_is_told() {
    let server = Hosted::tokens().await;
    let url = "token://typo".parse().unwrap();
    let store = discovery(&url, server.options()).unwrap();
    let error = store.list().await.unwrap_err().to_string();
    assert!(
        error.ends_with("answered 404: there is no such cluster"),
        "{error}"
    );
}
