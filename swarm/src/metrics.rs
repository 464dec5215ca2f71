//! What a manager tells Prometheus, at `GET /metrics` on a listener of its own.

use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use rmachine_engine::full;

use crate::cluster::{Cluster, NodeStatus, NodeView};
use crate::listen::Served;
use crate::panics;

/// The format of the answer, as OpenMetrics 1.0 names it.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What is counted and shown.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    discovery_errors: Counter,
    panics: Counter,
    rescheduled: Family<ResultLabel, Counter>,
    primary: Gauge,
    nodes: Family<StatusLabel, Gauge>,
    containers: Family<StateLabel, Gauge>,
    cpus: Family<ShareLabel, Gauge>,
    memory: Family<ShareLabel, Gauge>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    method: String,
    code: u16,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ShareLabel {
    share: &'static str,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("rswarm");
        let metrics = Self {
            requests: Family::default(),
            // From half a millisecond to half a minute.
            durations: Histogram::new(exponential_buckets(0.0005, 2.0, 17)),
            discovery_errors: Counter::default(),
            panics: Counter::default(),
            rescheduled: Family::default(),
            primary: Gauge::default(),
            nodes: Family::default(),
            containers: Family::default(),
            cpus: Family::default(),
            memory: Family::default(),
            registry: Registry::default(),
        };
        registry.register(
            "requests",
            "Requests of clients that were answered",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time until an answer began",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        registry.register(
            "discovery_errors",
            "Failures of the discovery",
            metrics.discovery_errors.clone(),
        );
        registry.register(
            "panics",
            "Panics in requests, node tasks and other work of this manager",
            metrics.panics.clone(),
        );
        registry.register(
            "reschedules",
            "Attempts to create a container of a lost node on another one",
            metrics.rescheduled.clone(),
        );
        registry.register(
            "primary",
            "Whether this manager is the primary",
            metrics.primary.clone(),
        );
        registry.register("nodes", "Nodes by status", metrics.nodes.clone());
        registry.register(
            "containers",
            "Containers of nodes that have answered, by state",
            metrics.containers.clone(),
        );
        registry.register(
            "cpus",
            "Processors of healthy nodes, overcommit included, and those reserved",
            metrics.cpus.clone(),
        );
        registry.register_with_unit(
            "memory",
            "Memory of healthy nodes, overcommit included, and that reserved",
            Unit::Bytes,
            metrics.memory.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }

    /// A client was answered, so long after it asked.
    pub fn answered(&self, method: &Method, code: StatusCode, after: Duration) {
        // What clients invent is not to become a row each.
        let method = match *method {
            Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => {
                method.as_str()
            }
            _ => "other",
        };
        let labels = RequestLabels {
            method: method.to_owned(),
            code: code.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        self.durations.observe(after.as_secs_f64());
    }

    /// The discovery failed.
    pub fn discovery_failed(&self) {
        self.discovery_errors.inc();
    }

    /// A container was moved, or could not be.
    pub fn rescheduled(&self, done: bool) {
        let result = if done { "done" } else { "failed" };
        self.rescheduled
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    /// Answers a request for the metrics as they are now.
    pub fn answer(&self, request: &Request<Incoming>, cluster: &Cluster, primary: bool) -> Served {
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => match self.page(cluster, primary) {
                Ok(page) => (StatusCode::OK, page),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
            _ => (StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
        };
        let mut answer = Response::new(full(body));
        *answer.status_mut() = status;
        if status == StatusCode::OK {
            answer
                .headers_mut()
                .insert(header::CONTENT_TYPE, OPEN_METRICS);
        }
        answer
    }

    fn page(&self, cluster: &Cluster, primary: bool) -> Result<String, std::fmt::Error> {
        self.primary.set(i64::from(primary));
        let counted = self.panics.get();
        self.panics.inc_by(panics::count().saturating_sub(counted));
        self.look(cluster);
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn look(&self, cluster: &Cluster) {
        let nodes = cluster.nodes();
        for (status, label) in [
            (NodeStatus::Pending, "pending"),
            (NodeStatus::Healthy, "healthy"),
            (NodeStatus::Unhealthy, "unhealthy"),
        ] {
            let count = nodes.iter().filter(|node| node.status == status).count();
            let gauge = self.nodes.get_or_create(&StatusLabel { status: label });
            gauge.set(amount(count as u64));
        }
        let sum = |of: fn(&NodeView) -> u64, healthy_only: bool| {
            let counted = nodes
                .iter()
                .filter(|node| !healthy_only || node.status == NodeStatus::Healthy);
            amount(counted.map(of).fold(0, u64::saturating_add))
        };
        for (state, of) in [
            (
                "running",
                (|node: &NodeView| node.counts.running as u64) as fn(&NodeView) -> u64,
            ),
            ("paused", |node| node.counts.paused as u64),
            ("stopped", |node| node.counts.stopped as u64),
        ] {
            let gauge = self.containers.get_or_create(&StateLabel { state });
            gauge.set(sum(of, false));
        }
        let cpus = |share| self.cpus.get_or_create_owned(&ShareLabel { share });
        cpus("total").set(sum(|node| node.total.cpus, true));
        cpus("reserved").set(sum(|node| node.reserved.cpus, true));
        let memory = |share| self.memory.get_or_create_owned(&ShareLabel { share });
        memory("total").set(sum(|node| node.total.memory, true));
        memory("reserved").set(sum(|node| node.reserved.memory, true));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn amount(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(1);
        metrics.answered(&Method::GET, StatusCode::OK, took);
        metrics.answered(&Method::GET, StatusCode::OK, took);
        metrics.answered(
            &Method::from_bytes(b"BREW").unwrap(),
            StatusCode::NOT_FOUND,
            took,
        );
        metrics.discovery_failed();
        metrics.rescheduled(true);
        let mut page = String::new();
        text::encode(&mut page, &metrics.registry).unwrap();
        for line in [
            "rswarm_requests_total{method=\"GET\",code=\"200\"} 2",
            "rswarm_requests_total{method=\"other\",code=\"404\"} 1",
            "rswarm_request_duration_seconds_count 3",
            "rswarm_request_duration_seconds_bucket{le=\"0.001\"} 3",
            "rswarm_discovery_errors_total 1",
            "rswarm_reschedules_total{result=\"done\"} 1",
        ] {
            assert!(page.contains(line), "{line} is not in {page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }
}
