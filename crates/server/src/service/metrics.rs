//! What the server counts, in Prometheus' format at `/metrics`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// All metrics. Labels have few values by construction: routes as written in the router, and the names of collections that
/// exist.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    pub requests_in_progress: Gauge,
    pub connections: Gauge,
    pub refused_for_load: Counter,
    pub batches: Counter,
    pub batch_images: Histogram,
    pub batch_seconds: Histogram,
    pub embedded_images: Counter,
    images: Family<CollectionLabel, Gauge>,
    writing: Mutex<()>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CollectionLabel {
    collection: String,
}

/// One millisecond to half a minute, each bound twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("kinsight");
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            requests_in_progress: Gauge::default(),
            connections: Gauge::default(),
            refused_for_load: Counter::default(),
            batches: Counter::default(),
            batch_images: Histogram::new(exponential_buckets(1.0, 2.0, 8)),
            batch_seconds: seconds(),
            embedded_images: Counter::default(),
            images: Family::default(),
            writing: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "Time from the first byte of a request to its response",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        registry.register("requests_in_progress", "Requests in progress", metrics.requests_in_progress.clone());
        registry.register("connections", "Open connections", metrics.connections.clone());
        registry.register(
            "refused_for_load",
            "Requests refused with 503 because of load",
            metrics.refused_for_load.clone(),
        );
        registry.register("batches", "Forward passes of the model", metrics.batches.clone());
        registry.register("batch_images", "Images per forward pass", metrics.batch_images.clone());
        registry.register_with_unit(
            "batch_duration",
            "Time per forward pass",
            Unit::Seconds,
            metrics.batch_seconds.clone(),
        );
        registry.register("embedded_images", "Images embedded", metrics.embedded_images.clone());
        registry.register("collection_images", "Images in a collection", metrics.images.clone());
        Self { registry, ..metrics }
    }

    pub fn answered(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let route = route.to_string();
        self.request_seconds.get_or_create(&RouteLabel { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// The text of `/metrics`, with the sizes of the collections that there are now.
    pub fn text(&self, collections: &[(String, usize)]) -> String {
        // One at a time: in between, the sizes are not all there.
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.images.clear();
        for (collection, images) in collections {
            let label = CollectionLabel { collection: collection.clone() };
            self.images.get_or_create(&label).set(i64::try_from(*images).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
