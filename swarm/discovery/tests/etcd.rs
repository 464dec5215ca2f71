//! Discovery and election in a real etcd, with its API of version 2 and of version 3.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod servers;
mod walks;

use servers::Server;

macro_rules! on_both {
    ($($walk:ident),* $(,)?) => {
        mod v2 {
            $(#[tokio::test] async fn $walk() { super::on(true, super::walks::Walk::$walk).await; })*
        }
        mod v3 {
            $(#[tokio::test] async fn $walk() { super::on(false, super::walks::Walk::$walk).await; })*
        }
    };
}

on_both!(
    members_come_and_go,
    refreshing_wakes_nobody,
    an_outage_is_outlived,
    a_wiped_store_is_filled_again,
    another_server_is_asked,
    one_of_two_leads,
    one_of_two_with_the_same_candidate_leads,
    who_resigns_is_followed_at_once,
    a_leader_without_its_store_leads_no_more,
);

async fn on<F: Future<Output = ()>>(v2: bool, walk: impl FnOnce(walks::Walk) -> F) {
    let Some(server) = Server::etcd(v2) else {
        return;
    };
    walk(walks::Walk {
        scheme: "etcd",
        server,
    })
    .await;
}
