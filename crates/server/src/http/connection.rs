//! Connections: accepting, cutting off slow clients, stopping gracefully.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tracing::{info, warn};

use super::observe::{ClientAddress, Counted};
use crate::service::Service;

/// Serves `router` on `listener` until `stop` is done; then lets requests in progress finish for most of the time that they
/// get, and drops what is left, which cancels its work. Returns when the server must have ended.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    service: Arc<Service>,
    stop: impl Future<Output = ()>,
) -> Instant {
    let limits = service.limits;
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
                let (router, service, stopped) = (router.clone(), service.clone(), stopped.clone());
                connections.spawn(async move {
                    serve(stream, client, router, service, stopped).await;
                    drop(place);
                });
            }
            // Out of file descriptors, for one: wait for connections to close rather than spin.
            Err(error) => {
                warn!(reason = %error, "accept failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let _ = stopping.send(true);
    let end = Instant::now() + limits.stop_timeout;
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_timeout.mul_f64(0.8), finish).await.is_err() {
        info!("requests aborted by the stop");
    }
    end
}

async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    router: Router,
    service: Arc<Service>,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = service.limits;
    let _counted = Counted::new(&service.metrics.connections);
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    // Reading also waits while a request is worked on, so only the sum of all a client may take ends it.
    let reading = limits.header_timeout + limits.body_timeout + limits.work_timeout + limits.work_timeout;
    stream.set_read_timeout(Some(reading));
    stream.set_write_timeout(Some(limits.write_timeout));
    let answering = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ClientAddress(client));
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(answering));
    tokio::pin!(connection);
    tokio::select! {
        _ = &mut connection => {}
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            // A client that broke its connection is no failure of the server.
            let _ = connection.await;
        }
    }
}
