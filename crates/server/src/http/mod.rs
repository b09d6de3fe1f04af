//! The service over HTTP: what can be asked, and how each request passes the guards.

mod answers;
mod collections;
pub(crate) mod connection;
mod describe;
mod failure;
mod form;
mod images;
mod observe;
mod origin;
mod pages;
mod replies;
mod requests;
mod search;

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::HttpMethod::{Delete, Get, Post, Put};

use self::describe::Route;
pub(crate) use self::failure::Failure;
#[cfg(test)]
pub(crate) use self::pages::OPENAPI;
use crate::service::{Access, Keys, Service, ServiceError};

/// What all requests share.
#[derive(Debug)]
pub(crate) struct App {
    pub service: Arc<Service>,
    /// Who may read and who may write.
    pub keys: Keys,
    /// The address listened on.
    pub address: SocketAddr,
    /// Anyone may read, on purpose.
    pub public: bool,
}

/// All routes, with their descriptions. There are no others: the router is made from these.
fn routes() -> Vec<Route> {
    let (read, write) = (Some(Access::Read), Some(Access::Write));
    let (search, image, list, server, page) = ("search", "images", "collections", "server", "page");
    let (collections, collection) = ("/v1/collections", "/v1/collections/{collection}");
    let (images, one) = ("/v1/collections/{collection}/images", "/v1/collections/{collection}/images/{id}");
    vec![
        Route::new(
            Get,
            collections,
            read,
            (list, "listCollections", "The collections, their models and labels, and the server's limits"),
            collections::list,
        )
        .fails(&[503]),
        Route::new(Get, collection, read, (list, "getCollection", "One collection"), collections::describe)
            .fails(&[503]),
        Route::new(
            Put,
            collection,
            write,
            (list, "makeCollection", "Make an empty collection with a model that is hosted already"),
            collections::make,
        )
        .fails(&[409, 503, 507]),
        Route::new(
            Delete,
            collection,
            write,
            (list, "removeCollection", "Remove a collection that was made through the server, with its images"),
            collections::remove,
        )
        .fails(&[503]),
        Route::new(
            Post,
            "/v1/collections/{collection}/search",
            read,
            (search, "search", "Search by pictures, stored images, or both"),
            search::search,
        )
        .fails(&[410]),
        Route::new(
            Post,
            "/v1/collections/{collection}/embed",
            read,
            (search, "embed", "Embeddings of pictures"),
            search::embed,
        ),
        Route::new(
            Post,
            "/v1/collections/{collection}/explain",
            read,
            (search, "explain", "Why a stored image is similar to a query"),
            search::explain,
        )
        .fails(&[410]),
        Route::new(
            Get,
            images,
            read,
            (image, "listImages", "The images, page by page, or a sample with as many labels as possible"),
            images::list,
        )
        .fails(&[503]),
        Route::new(Post, images, write, (image, "addImage", "Add a picture"), images::add).fails(&[507]),
        Route::new(Get, one, read, (image, "getImage", "What is known of an image"), images::image).fails(&[503]),
        Route::new(Delete, one, write, (image, "removeImage", "Remove an image"), images::remove).fails(&[503]),
        Route::new(
            Get,
            "/v1/collections/{collection}/images/{id}/thumbnail",
            read,
            (image, "getThumbnail", "A small JPEG of an image"),
            images::thumbnail,
        )
        .fails(&[410, 413, 415, 422, 503]),
        Route::new(Get, "/healthz", None, (server, "alive", "Whether the process answers"), observe::alive),
        Route::new(Get, "/readyz", None, (server, "ready", "Whether every collection answers"), observe::ready)
            .fails(&[503]),
        Route::new(Get, "/metrics", read, (server, "metrics", "Counters in Prometheus' format"), observe::metrics),
        Route::new(Get, "/", None, (page, "page", "The search page"), pages::index),
        Route::new(Get, "/api", None, (page, "apiPage", "The page to try the API"), pages::api),
        Route::new(Get, "/openapi.json", None, (page, "description", "This description"), pages::openapi),
        Route::new(Get, "/assets/{name}", None, (page, "asset", "A file of the pages"), pages::asset),
    ]
}

/// All routes behind their guards.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for Route { path, handler, access, .. } in routes() {
        router = router.route(
            path,
            match access {
                Some(access) => handler.route_layer(from_fn_with_state((app.clone(), access), guarded)),
                None => handler,
            },
        );
    }
    layered(router, app)
}

/// `router` behind what every request passes; the last layer is the first that a request meets.
pub(crate) fn layered(router: Router<Arc<App>>, app: &Arc<App>) -> Router {
    let mut router = router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        // Bodies are bounded where they are read, by a limit of this server.
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), origin::check_origin))
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(observe::Numbered::default()))
        // A handler's own stays.
        .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static("no-store")));
    for (name, value) in SAFE {
        router = router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
    }
    router.with_state(app.clone())
}

/// Headers that every answer carries, so that a browser does with it only what it is for: scripts and styles from this server,
/// none inline; pictures also from memory, where the page keeps uploads.
const SAFE: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
         connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(), geolocation=()"),
];

async fn guarded(
    State((app, access)): State<(Arc<App>, Access)>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    app.keys.check(given_key(request.headers()), access)?;
    Ok(next.run(request).await)
}

/// The key of `Authorization: Bearer KEY` or `X-Api-Key: KEY`.
fn given_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

async fn no_route() -> Failure {
    Failure::not_found("there is nothing at this path").hint("see /openapi.json, or /api in a browser")
}

async fn no_method() -> Failure {
    let message = "this path does not support this method";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message).hint("see /openapi.json")
}

/// A defect of ours costs the request that met it, and is told as such.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure::from(ServiceError::internal("the server failed on this request", text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_in_two_headers_and_in_no_url() {
        for (name, value, expected) in [
            ("x-api-key", "the-key", Some("the-key")),
            ("x-api-key", "", Some("")),
            ("authorization", "Bearer the-key", Some("the-key")),
            ("authorization", "bearer  the-key ", Some("the-key")),
            ("authorization", "the-key", None),
            ("authorization", "Basic the-key", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(given_key(&headers), expected.map(str::as_bytes), "{name}: {value}");
        }
        assert_eq!(given_key(&HeaderMap::new()), None);
    }
}
