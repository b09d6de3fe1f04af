//! Load: how many requests are worked on at once, and for how long.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::{App, Failure};

/// Answers 503 with `Retry-After` where too many requests are in progress. A request that waits in a queue costs memory and
/// is answered after its client has given up; one that is refused can be sent again.
pub(crate) async fn limit_load(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match app.requests.clone().try_acquire_owned() {
        Ok(permit) => {
            let response = next.run(request).await;
            drop(permit);
            response
        }
        Err(_) => {
            app.metrics.refused_for_load.inc();
            Failure::overloaded("too many requests are in progress").into_response()
        }
    }
}

/// Answers 503 where the work of a request, its body included, takes too long; the work itself is dropped.
pub(crate) async fn with_deadline(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let limits = &app.settings.limits;
    match tokio::time::timeout(limits.body_timeout + limits.work_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::overloaded("the request took too long").into_response(),
    }
}
