//! Two deviations from the original: ports of different protocols do not clash, nor do ports on
//! addresses of different families (see [`PublishedPort::clashes_with`]); and what a container on
//! the host's network wishes to publish is not counted, as engines do not publish it.
//!
//! [`PublishedPort::clashes_with`]: crate::PublishedPort::clashes_with

use super::View;
use crate::node::Held;
use crate::{Blocker, Holds, Request};

pub(super) fn accepts(view: &View<'_>, request: &Request) -> bool {
    wanted(request).all(|wanted| {
        view.node
            .ports()
            .holders(wanted)
            .all(|holder| view.is_absent(holder))
    })
}

pub(super) fn conditions(request: &Request) -> Vec<String> {
    wanted(request)
        .map(|wanted| match wanted {
            Held::Published(published) => {
                format!("port {} (Bridge mode)", published.port.number)
            }
            Held::OnHost(port) => format!("port {port} (Host mode)"),
        })
        .collect()
}

pub(super) fn blockers(view: &View<'_>, request: &Request) -> Vec<Blocker> {
    wanted(request)
        .flat_map(|wanted| {
            let holds = match wanted {
                Held::Published(published) => Holds::Port(published),
                Held::OnHost(port) => Holds::HostPort(port),
            };
            view.node
                .ports()
                .holders(wanted)
                .filter(|holder| !view.is_absent(holder))
                .filter_map(|holder| view.node.resident(holder))
                .map(move |resident| Blocker::new(view.node, resident, holds))
        })
        .collect()
}

fn wanted(request: &Request) -> impl Iterator<Item = Held> {
    let published = request.published.iter().copied().map(Held::Published);
    let on_host = request.host_ports.iter().copied().map(Held::OnHost);
    published.chain(on_host)
}
