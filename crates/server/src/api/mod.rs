//! The HTTP interface: what can be asked, and how each request passes the guards.

mod collections;
mod explain;
mod failure;
mod form;
mod images;
mod observe;
mod pages;
mod search;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use tokio::sync::Semaphore;

pub(crate) use failure::{Failure, FailureNote};
pub(crate) use observe::ClientAddress;
#[cfg(test)]
pub(crate) use pages::OPENAPI;

use crate::collection::{Collection, Hosted};
use crate::guard::{Access, check_origin, limit_load, safe_headers, with_deadline};
use crate::inference::Inference;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::picture::Decoder;
use crate::settings::ServerSettings;
use crate::thumbnails::ThumbnailCache;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub settings: ServerSettings,
    /// A collection is replaced as a whole where its index was migrated; requests keep the one they began with.
    pub collections: Hosted,
    pub inference: Inference,
    pub decoder: Decoder,
    /// Explanations computed at once: each takes all cores for a moment.
    pub explaining: Arc<Semaphore>,
    pub thumbnails: ThumbnailCache,
    pub metrics: Arc<Metrics>,
    pub requests: Arc<Semaphore>,
    /// In KiB.
    pub upload_memory: Arc<Semaphore>,
    pub log: Log,
}

impl App {
    /// The collection called `name`.
    pub fn collection(&self, name: &str) -> Result<Arc<Collection>, Failure> {
        self.collections.get(name)
    }

    /// Largest file of a stored image that is read; such files were not sent by clients alone.
    pub fn max_file_bytes(&self) -> usize {
        self.settings.limits.max_body_bytes.saturating_mul(8)
    }
}

/// All routes behind their guards. Innermost last: an answer passes the guards in the reverse order.
pub(crate) fn router(app: Arc<App>) -> Router {
    let reading = Router::new()
        .route("/v1/collections", get(collections::list))
        .route("/v1/collections/{collection}", get(collections::describe))
        .route("/v1/collections/{collection}/search", post(search::search))
        .route("/v1/collections/{collection}/embed", post(search::embed))
        .route("/v1/collections/{collection}/explain", post(explain::explain))
        .route("/v1/collections/{collection}/images", get(images::list))
        .route("/v1/collections/{collection}/images/{id}", get(images::image))
        .route("/v1/collections/{collection}/images/{id}/thumbnail", get(images::thumbnail))
        .route_layer(from_fn_with_state(app.clone(), may_read));
    let writing = Router::new()
        .route("/v1/collections/{collection}", put(collections::make).delete(collections::remove))
        .route("/v1/collections/{collection}/images", post(images::add))
        .route("/v1/collections/{collection}/images/{id}", axum::routing::delete(images::remove))
        .route_layer(from_fn_with_state(app.clone(), may_write));
    let working = reading
        .merge(writing)
        // Bodies are bounded where they are read, by a limit of this server.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), with_deadline))
        .layer(from_fn_with_state(app.clone(), limit_load));
    let open = Router::new()
        .route("/healthz", get(observe::alive))
        .route("/readyz", get(observe::ready))
        .route("/", get(pages::index))
        .route("/api", get(pages::api))
        .route("/openapi.json", get(pages::openapi))
        .route("/assets/{name}", get(pages::asset));
    let metrics =
        Router::new().route("/metrics", get(observe::metrics)).route_layer(from_fn_with_state(app.clone(), may_read));
    working
        .merge(open)
        .merge(metrics)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(from_fn_with_state(app.clone(), check_origin))
        .layer(from_fn(safe_headers))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .with_state(app)
}

async fn may_read(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    guarded(&app, Access::Read, request, next).await
}

async fn may_write(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    guarded(&app, Access::Write, request, next).await
}

async fn guarded(app: &App, access: Access, request: Request, next: Next) -> Response {
    match app.settings.keys.check(request.headers(), access) {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

async fn no_route() -> Failure {
    Failure::not_found("nothing is served under this path").hint("see /openapi.json, or /api in a browser")
}

async fn no_method() -> Failure {
    let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    Failure::new(status, "method_not_allowed", "this path does not take this method").hint("see /openapi.json")
}

/// The route of a request as the router has it, for metrics: never a client's own text.
fn route_of(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_string()
}
