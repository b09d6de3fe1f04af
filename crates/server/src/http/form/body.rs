//! A body while it arrives.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Frame;

use super::Failure;
use crate::service::{Held, Service, ServiceError};

/// A body that takes room in the budget of uploads as it arrives, and ends with an error over the limits.
pub(super) struct Arriving {
    body: Body,
    declared: usize,
    state: State,
}

/// How far a body has come; shared with its reader, since what reads a multipart body does not pass reasons on.
#[derive(Clone)]
pub(super) struct State(Arc<Mutex<Progress>>);

struct Progress {
    held: Option<Held>,
    bytes: usize,
    most: usize,
    fault: Option<Failure>,
    metrics: Arc<crate::service::Metrics>,
}

impl Arriving {
    /// The body of a request with these headers; one that declares too much is refused before a byte of it is read.
    pub fn new(service: &Service, headers: &HeaderMap, body: Body) -> Result<Self, Failure> {
        let most = service.limits.max_body_bytes;
        let declared = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        let declared: usize = declared.unwrap_or(0);
        if declared > most {
            return Err(too_large(most));
        }
        let held = service.uploads.hold(declared).inspect_err(|_| {
            service.metrics.refused_for_load.inc();
        })?;
        let progress = Progress { held: Some(held), bytes: 0, most, fault: None, metrics: service.metrics.clone() };
        Ok(Self { body, declared, state: State(Arc::new(Mutex::new(progress))) })
    }

    pub fn state(&self) -> State {
        self.state.clone()
    }

    /// All of it, if it has at most `most` bytes.
    pub async fn whole(mut self, most: usize) -> Result<(Bytes, Held), Failure> {
        let mut bytes = BytesMut::with_capacity(self.declared.min(64 << 10));
        while let Some(frame) = self.frame().await {
            let Ok(frame) = frame else { break };
            if let Some(data) = frame.data_ref() {
                bytes.extend_from_slice(data);
            }
            if bytes.len() > most {
                return Err(too_large(most));
            }
        }
        Ok((bytes.freeze(), self.state.finish()?))
    }
}

impl State {
    /// The room that was taken, or why the body was not read to its end.
    pub fn finish(&self) -> Result<Held, Failure> {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (progress.fault.take(), progress.held.take()) {
            (None, Some(held)) => Ok(held),
            (fault, _) => Err(fault.unwrap_or_else(broken)),
        }
    }

    /// Counts what has arrived.
    fn add(&self, bytes: usize) -> Result<(), ()> {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        progress.bytes += bytes;
        let (bytes, most) = (progress.bytes, progress.most);
        let room = match &mut progress.held {
            _ if bytes > most => Err(too_large(most)),
            Some(held) => held.grow_to(bytes).map_err(Failure::from),
            None => Err(broken()),
        };
        room.map_err(|fault| {
            progress.metrics.refused_for_load.inc_by(u64::from(bytes <= most));
            progress.fault = Some(fault);
        })
    }

    fn fail(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault = Some(broken());
    }
}

impl hyper::body::Body for Arriving {
    type Data = Bytes;
    type Error = ServiceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServiceError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let ended = || Poll::Ready(Some(Err(ServiceError::Overloaded("the body ended"))));
        match frame {
            None => Poll::Ready(None),
            Some(Err(_)) => {
                self.state.fail();
                ended()
            }
            Some(Ok(frame)) => match self.state.add(frame.data_ref().map_or(0, Bytes::len)) {
                Ok(()) => Poll::Ready(Some(Ok(frame))),
                Err(()) => ended(),
            },
        }
    }
}

fn too_large(most: usize) -> Failure {
    Failure::too_large("the request body", most)
}

fn broken() -> Failure {
    Failure::bad_request("broken_body", "the request body ended early")
}
