//! Discovery and election in a real consul.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod servers;
mod walks;

use servers::Server;
use walks::Walk;

macro_rules! on_consul {
    ($($walk:ident),* $(,)?) => {
        $(#[tokio::test] async fn $walk() { on(Walk::$walk).await; })*
    };
}

on_consul!(
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

async fn on<F: Future<Output = ()>>(walk: impl FnOnce(Walk) -> F) {
    let Some(server) = Server::consul() else {
        return;
    };
    walk(Walk {
        scheme: "consul",
        server,
    })
    .await;
}
