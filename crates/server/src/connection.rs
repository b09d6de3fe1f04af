//! Connections: accepting, cutting off slow clients, stopping gracefully.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::api::{App, ClientAddress};

/// Serves `router` on `listener` until `stop` is done; then lets requests in progress finish, within the limit.
pub(crate) async fn accept(listener: TcpListener, router: Router, app: Arc<App>, stop: impl Future<Output = ()>) {
    let limits = app.settings.limits;
    let places = Arc::new(Semaphore::new(limits.max_connections.max(1)));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        // A connection beyond the limit waits in the system's queue.
        let place = tokio::select! {
            () = &mut stop => break,
            place = places.clone().acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let (router, app, stopped) = (router.clone(), app.clone(), stopped.clone());
                connections.spawn(async move {
                    serve(stream, client, router, app, stopped).await;
                    drop(place);
                });
            }
            // Out of file descriptors, for one: wait for connections to close rather than spin.
            Err(error) => {
                app.log.event("accept failed", json!({ "reason": error.to_string() }));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = stopping.send(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_timeout, finish).await.is_err() {
        app.log.event("requests cut off at the stop", json!({}));
    }
}

async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    app: Arc<App>,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = app.settings.limits;
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    // Reading also waits while a request is worked on, so only the sum of all a client may take ends it.
    let reading = limits.header_timeout + limits.body_timeout + limits.work_timeout + limits.work_timeout;
    stream.set_read_timeout(Some(reading));
    stream.set_write_timeout(Some(limits.write_timeout));
    app.metrics.connections.inc();
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ClientAddress(client));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service));
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            // A client that broke its connection is no failure of the server.
            let _ = connection.await;
        }
    }
    app.metrics.connections.dec();
}
