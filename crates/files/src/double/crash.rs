//! What of the changes that were not synced is there after a crash.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::disk::{Change, Disk};

/// Units in which a disk writes, and in which memory reaches it.
const BLOCKS: [usize; 2] = [512, 4096];

/// What a crash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed, and the machine goes on.
    Nothing,
    /// All that was not synced.
    Unsynced,
    /// Of what was not synced, some: each change independently, writes also in part, a longer file perhaps without what
    /// was written to it. The seed decides.
    Mixed(u64),
}

impl Loss {
    /// Makes those of the `pending` changes that survive.
    pub(super) fn keep(self, disk: &mut Disk, pending: &[Change]) {
        match self {
            Self::Nothing => pending.iter().for_each(|change| disk.apply(change)),
            Self::Unsynced => {}
            Self::Mixed(seed) => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                pending.iter().for_each(|change| keep_some(&mut rng, disk, change));
            }
        }
    }
}

fn keep_some(rng: &mut ChaCha8Rng, disk: &mut Disk, change: &Change) {
    let torn = rng.random();
    match change {
        Change::Write { node, offset, bytes } if torn => {
            let block = BLOCKS[rng.random_range(0..BLOCKS.len())];
            let mut start = 0;
            while start < bytes.len() {
                let end = bytes.len().min(start + block - (offset + start) % block);
                if rng.random() {
                    disk.apply(&Change::Write {
                        node: *node,
                        offset: offset + start,
                        bytes: bytes[start..end].to_vec(),
                    });
                }
                start = end;
            }
            if rng.random() {
                // The file's new length is there, its last bytes perhaps not.
                disk.apply(&Change::Write { node: *node, offset: offset + bytes.len(), bytes: Vec::new() });
            }
        }
        whole => {
            if rng.random() {
                disk.apply(whole);
            }
        }
    }
}
