//! Health, metrics, and the log line of every request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{App, Failure, FailureNote, route_of};
use crate::log::Answered;

/// The address a connection came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub SocketAddr);

/// `GET /healthz`: the process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: every collection answers.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Failure> {
    for collection in app.collections.all() {
        tokio::task::spawn_blocking(move || collection.len())
            .await
            .map_err(|_| Failure::overloaded("a collection does not answer"))?
            .map_err(|_| Failure::overloaded("a collection does not answer"))?;
    }
    Ok("ready\n")
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    for collection in app.collections.all() {
        let counted = collection.clone();
        if let Ok(Ok(images)) = tokio::task::spawn_blocking(move || counted.len()).await {
            app.metrics.collection_size(collection.name(), images);
        }
    }
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.metrics.text())
}

/// Counts and logs a request, and gives its answer a number to find it by.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let (method, path, route) = (request.method().clone(), request.uri().path().to_string(), route_of(&request));
    let client = request.extensions().get::<ClientAddress>().map(|client| client.0.ip().to_string());
    let bytes = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let started = Instant::now();
    // Counted down also where the client goes away and the handler is dropped.
    let in_progress = Counted::new(&app);
    let mut response = next.run(request).await;
    drop(in_progress);
    let took = started.elapsed();
    let status = response.status().as_u16();
    app.metrics.answered(name_of(&method), &route, status, took);
    let failure = response.extensions_mut().remove::<FailureNote>();
    app.log.answered(&Answered {
        id,
        method: method.as_str(),
        path: &path,
        status,
        took,
        bytes,
        client,
        failure: failure.as_ref().map(|note| note.0.as_str()),
    });
    response.headers_mut().insert("x-request-id", HeaderValue::from(id));
    response
}

struct Counted<'a>(&'a App);

impl<'a> Counted<'a> {
    fn new(app: &'a App) -> Self {
        app.metrics.requests_in_progress.inc();
        Self(app)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.requests_in_progress.dec();
    }
}

/// A method's name for a label: a client can make up any other.
fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
