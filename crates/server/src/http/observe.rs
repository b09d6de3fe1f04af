//! Health, metrics, and the log line of every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::metrics::gauge::Gauge;
use tower_http::request_id::{MakeRequestId, RequestId};
use tracing::info;

use super::failure::FailureNote;
use super::replies::{OpenMetrics, Text};
use super::{App, Failure};
use crate::service::ServiceError;

/// The address a connection came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub SocketAddr);

/// `GET /healthz`: the process answers.
pub(super) async fn alive(_: State<Arc<App>>) -> Result<Text, Failure> {
    Ok(Text("ok\n"))
}

/// `GET /readyz`: every collection answers.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Text, Failure> {
    sizes(&app).await.map(|_| Text("ready\n")).ok_or(ServiceError::Overloaded("a collection does not respond").into())
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<OpenMetrics, Failure> {
    Ok(OpenMetrics(app.service.metrics.text(&sizes(&app).await.unwrap_or_default())))
}

/// Numbers of images, unless a collection cannot be read. Not among the requests that are limited: it is asked at any load.
async fn sizes(app: &Arc<App>) -> Option<Vec<(String, usize)>> {
    let collections = app.service.collections.all();
    let size = |collection: &Arc<crate::service::Collection>| {
        collection.len().ok().map(|images| (collection.name().to_owned(), images))
    };
    tokio::task::spawn_blocking(move || collections.iter().map(size).collect()).await.ok()?
}

/// Numbers requests, unless a proxy has.
#[derive(Clone, Default)]
pub(super) struct Numbered(Arc<AtomicU64>);

impl MakeRequestId for Numbered {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        Some(RequestId::new(HeaderValue::from(1 + self.0.fetch_add(1, Ordering::Relaxed))))
    }
}

/// Counts a request, and writes a line of what was asked and how it ended: never a key, a body or an image.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let metrics = &app.service.metrics;
    // The route as the router has it, never a client's own text.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let (method, path) = (name_of(request.method()), request.uri().path().to_owned());
    let id = request.extensions().get::<RequestId>().map(|id| id.header_value().clone());
    let client = request.extensions().get::<ClientAddress>().map(|client| client.0.ip().to_string());
    let bytes: Option<u64> = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let started = Instant::now();
    let in_progress = Counted::new(&metrics.requests_in_progress);
    let response = next.run(request).await;
    drop(in_progress);
    let (took, status) = (started.elapsed(), response.status().as_u16());
    metrics.answered(method, &route, status, took);
    let took_ms = (took.as_secs_f64() * 1e4).round() / 10.0;
    let failure = response.extensions().get::<FailureNote>().map(|note| note.0.as_str());
    let id = id.as_ref().and_then(|id| id.to_str().ok());
    info!(id, method, path, status, took_ms, bytes, client, failure, "request");
    response
}

/// Counted in a gauge as long as it lives: also if its future is dropped, or panics.
pub(super) struct Counted(Gauge);

impl Counted {
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A method's name for a label: clients can make up others.
fn name_of(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}
