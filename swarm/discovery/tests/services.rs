//! The services of this package, asked by its own clients over loopback.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot set up its case has failed"
)]

mod hosted;
mod servers;
mod walks;

macro_rules! walk {
    ($scheme:literal, $server:expr, [$($walk:ident),* $(,)?]) => {
        $(#[tokio::test] async fn $walk() {
            let server = $server.await;
            Walk { scheme: $scheme, server }.$walk().await;
        })*
    };
}

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
