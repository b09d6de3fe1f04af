//! A server from its start to its stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tracing::info;

use crate::error::ServerError;
use crate::http::{App, connection, router};
use crate::service::Service;
use crate::service::collection::{CollectionSpec, Opener, open_all};
use crate::service::hosted::made_before;
use crate::service::maintenance::{self, Maintenance};
use crate::settings::ServerSettings;

/// A server that listens and has not begun to answer.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    app: Arc<App>,
    maintenance: Maintenance,
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
    pub fn start(settings: ServerSettings, collections: &[CollectionSpec]) -> Result<Self, ServerError> {
        let ServerSettings { address, public, limits, .. } = settings;
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
        let service = Service::start(opened, settings.collections, limits).map_err(ServerError::Threads)?;
        let app = Arc::new(App { service: Arc::new(service), keys: settings.keys, address, public });
        let maintenance = maintenance::start(&app.service, opener).map_err(ServerError::Threads)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8))
            // Each request in progress holds one at most, apart from the few that wait to be decoded.
            .max_blocking_threads(2 * limits.max_requests + 32)
            .thread_name("server")
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let listener =
            runtime.block_on(TcpListener::bind(address)).map_err(|source| ServerError::Listen { address, source })?;
        Ok(Self { runtime, listener, app, maintenance, stop: Arc::new(Notify::new()) })
    }

    /// The address listened on, with its port.
    ///
    /// # Errors
    /// [`ServerError::Listen`] if the system does not say.
    pub fn address(&self) -> Result<SocketAddr, ServerError> {
        let address = self.app.address;
        self.listener.local_addr().map_err(|source| ServerError::Listen { address, source })
    }

    /// Names of the collections it serves.
    pub fn collections(&self) -> Vec<String> {
        self.app.service.collections.all().iter().map(|collection| collection.name().to_string()).collect()
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Answers until it is asked to stop, then finishes what is in progress; within `stop_timeout` whatever that is.
    pub fn run(self) {
        let Self { runtime, listener, app, maintenance, stop } = self;
        info!(collections = app.service.collections.len(), "started");
        let accepting =
            connection::accept(listener, router(&app), app.service.clone(), async move { stop.notified().await });
        let end = runtime.block_on(accepting);
        drop(maintenance);
        // Work that does not look whether it is cancelled is left to the end of the process.
        runtime.shutdown_timeout(end.saturating_duration_since(Instant::now()));
        info!("stopped");
    }
}
