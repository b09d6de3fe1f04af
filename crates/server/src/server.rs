//! A server from its start to its stop.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};

use crate::api::{App, router};
use crate::collection::{Collection, CollectionSpec, Hosted, Opener, made_before, open_all};
use crate::connection;
use crate::error::ServerError;
use crate::inference::Inference;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::picture::Decoder;
use crate::refresh;
use crate::settings::ServerSettings;
use crate::thumbnails::ThumbnailCache;

/// A server that listens and has not begun to answer.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    app: Arc<App>,
    stop: Arc<Notify>,
}

/// Asks a server to stop; usable from any thread.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// No new connections; requests in progress are finished.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

impl Server {
    /// Opens the collections, loads their models, and listens.
    ///
    /// # Errors
    /// [`ServerError`] if an index or model cannot be opened or do not belong together, if the address cannot be listened
    /// on, or if others could reach it and `settings` has no key for writing (`public` allows reading without one), or if
    /// there is nothing to serve.
    pub fn start(settings: ServerSettings, collections: &[CollectionSpec], public: bool) -> Result<Self, ServerError> {
        let address = settings.address;
        if !address.ip().is_loopback() && (settings.keys.is_empty() || !settings.keys.protects_reading() && !public) {
            return Err(ServerError::Unprotected { address });
        }
        let mut opener = Opener::default();
        let mut specs = collections.to_vec();
        if let Some(folder) = &settings.collections {
            specs.extend(made_before(folder, settings.compute)?);
        }
        if specs.is_empty() {
            return Err(ServerError::Nothing);
        }
        let opened = open_all(&specs, &mut opener)?;
        let app = app(settings, opened)?;
        refresh::start(&app, opener).map_err(ServerError::Threads)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8))
            .max_blocking_threads(64)
            .thread_name("server")
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let listener =
            runtime.block_on(TcpListener::bind(address)).map_err(|source| ServerError::Listen { address, source })?;
        Ok(Self { runtime, listener, app, stop: Arc::new(Notify::new()) })
    }

    /// The address listened on, with its port.
    ///
    /// # Errors
    /// [`ServerError::Listen`] if the system does not say.
    pub fn address(&self) -> Result<SocketAddr, ServerError> {
        let address = self.app.settings.address;
        self.listener.local_addr().map_err(|source| ServerError::Listen { address, source })
    }

    /// Names of the collections it serves.
    pub fn collections(&self) -> Vec<String> {
        self.app.collections.all().iter().map(|collection| collection.name().to_string()).collect()
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Answers until it is asked to stop, then finishes what is in progress.
    pub fn run(self) {
        let Self { runtime, listener, app, stop } = self;
        app.log.event("started", json!({ "collections": app.collections.len() }));
        let (router, log) = (router(app.clone()), app.log);
        runtime.block_on(connection::accept(listener, router, app, async move { stop.notified().await }));
        log.event("stopped", json!({}));
    }
}

/// What all requests share.
pub(crate) fn app(settings: ServerSettings, collections: Vec<Collection>) -> Result<Arc<App>, ServerError> {
    let limits = settings.limits;
    let metrics = Arc::new(Metrics::new());
    let inference = Inference::start(&limits, metrics.clone()).map_err(ServerError::Threads)?;
    Ok(Arc::new(App {
        collections: Hosted::new(collections, settings.collections.clone(), limits.max_collections),
        inference,
        decoder: Decoder::new(limits.max_pixels),
        explaining: Arc::new(Semaphore::new(1)),
        thumbnails: ThumbnailCache::new(limits.thumbnail_cache_bytes),
        metrics,
        requests: Arc::new(Semaphore::new(limits.max_requests.max(1))),
        upload_memory: Arc::new(Semaphore::new((limits.max_upload_memory_bytes / 1024).max(1))),
        log: Log(settings.log),
        settings,
    }))
}
