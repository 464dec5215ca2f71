//! Fuzz targets: addresses to listen on and to advertise.
//!
//! Each is a test that takes random inputs for a second; `bolero` also runs it under libFuzzer.

use bolero::{ValueGenerator, check, produce};
use rswarm::advertise::Advertise;
use rswarm::listen::ListenAddress;

const PIECES: &[&str] = &[
    "tcp://",
    "unix://",
    "udp://",
    "://",
    "/",
    "/run/a.sock",
    ":",
    "[",
    "]",
    "::1",
    "[::]",
    "0.0.0.0",
    "127.0.0.1",
    "node-1.example",
    "eth9",
    "2375",
    ":2375",
    "65535",
    "65536",
    "0",
    "+",
    "-",
    " ",
    "é",
    "%",
];

fn texts() -> impl ValueGenerator<Output = String> {
    let picks = produce::<Vec<usize>>().with();
    let picks = picks.len(0..=6_usize).values(0..PIECES.len());
    picks.map_gen(|picks| picks.into_iter().map(|pick| PIECES[pick]).collect())
}

/// A host and a port: brackets are around all of the host or nowhere.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    is_number && port.parse::<u16>().is_ok() && (inside.is_some() || !host.contains(':'))
}

#[test]
fn an_address_to_listen_on_comes_back() {
    check!().with_generator(texts()).for_each(|text| {
        let (protocol, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let expected = match protocol {
            "tcp" => is_host_and_port(rest),
            "unix" => rest.starts_with('/'),
            _ => false,
        };
        let address = text.parse::<ListenAddress>();
        assert_eq!(address.is_ok(), expected, "{text:?}");
        if let Ok(address) = address {
            assert_eq!(address.to_string().parse(), Ok(address.clone()), "{text:?}");
            let local: Result<ListenAddress, _> = address.local_url().parse();
            assert!(local.is_ok(), "{text:?} is at {}", address.local_url());
        }
    });
}

#[test]
fn an_address_to_advertise_has_a_host_and_a_port() {
    check!().with_generator(texts()).for_each(|text| {
        if let Ok(address) = text.parse::<Advertise>() {
            assert!(is_host_and_port(text), "{text:?}");
            // A host that is no interface of this machine is told as it is.
            let told = address.resolved();
            let told = told.as_deref().unwrap_or(text);
            assert!(
                told.parse::<Advertise>().is_ok(),
                "{text:?} is told as {told:?}"
            );
        }
    });
}
