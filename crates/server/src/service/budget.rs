//! How many bytes the uploads of all requests may hold together: bodies while they arrive, then transformed pixels.
//!
//! Bytes count when they are there, not when they are announced, so that a client that declares much and sends nothing
//! takes no room from others. The first part of each request comes from a share that large requests cannot use up.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ServiceError;

/// The share that only the first bytes of requests may take.
const FIRST_KIB: u32 = 256;

/// Room for uploads, counted in KiB.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    first: Arc<Semaphore>,
    rest: Arc<Semaphore>,
    total_kib: u32,
}

/// What one request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    permits: [Option<OwnedSemaphorePermit>; 2],
    kib: u32,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        let total_kib = kib(bytes);
        let first = total_kib / 4;
        let semaphore = |kib: u32| Arc::new(Semaphore::new(kib as usize));
        Self { first: semaphore(first), rest: semaphore(total_kib - first), total_kib }
    }

    /// Nothing yet.
    ///
    /// # Errors
    /// [`ServiceError::Overloaded`] if `declared` bytes could never be held.
    pub fn hold(&self, declared: usize) -> Result<Held, ServiceError> {
        if kib(declared) > self.total_kib {
            return Err(no_room());
        }
        Ok(Held { budget: self.clone(), permits: [None, None], kib: 0 })
    }
}

impl Held {
    /// Holds at least `bytes` from now on.
    ///
    /// # Errors
    /// [`ServiceError::Overloaded`] if there is no room now.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), ServiceError> {
        let wanted = kib(bytes);
        let shares = [(&self.budget.first, wanted.min(FIRST_KIB)), (&self.budget.rest, wanted)];
        for (held, (share, until)) in self.permits.iter_mut().zip(shares) {
            if until > self.kib
                && let Ok(permit) = share.clone().try_acquire_many_owned(until - self.kib)
            {
                match held {
                    Some(held) => held.merge(permit),
                    None => *held = Some(permit),
                }
                self.kib = until;
            }
        }
        if self.kib < wanted { Err(no_room()) } else { Ok(()) }
    }

    /// Holds `bytes` more.
    ///
    /// # Errors
    /// As [`Held::grow_to`].
    pub fn add(&mut self, bytes: usize) -> Result<(), ServiceError> {
        self.grow_to(self.kib as usize * 1024 + bytes)
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

fn no_room() -> ServiceError {
    ServiceError::Overloaded("the uploads in progress use all memory reserved for uploads")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_requests_leave_room_for_small_ones() {
        let budget = Budget::new(8 << 20);
        let mut large: Vec<Held> = (0..8).map(|_| budget.hold(8 << 20).unwrap()).collect();
        let held = large.iter_mut().filter_map(|held| held.grow_to(2 << 20).ok()).count();
        assert!((2..8).contains(&held), "{held}");
        let mut small = budget.hold(8 << 20).unwrap();
        small.grow_to(100 << 10).unwrap();
        assert!(budget.hold(9 << 20).is_err(), "it could never fit");
        drop(large);
        small.grow_to(6 << 20).unwrap();
        drop(small);
        assert_eq!(budget.first.available_permits() + budget.rest.available_permits(), 8 << 10, "all is given back");
    }
}
