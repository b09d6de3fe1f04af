//! What writing a checkpoint takes, by an allocator that counts; in a program of its own, since it counts all threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{Device, Tensor};
use kinsight_model::Pooling;
use kinsight_model::VitConfig;
use kinsight_model::parameters::RandomInit;
use kinsight_model::prompts::PromptSchedule;
use kinsight_train::bank::PromptBank;
use kinsight_train::config::Overrides;
use kinsight_train::init::FreshLearner;
use kinsight_train::learner::Learner;
use kinsight_train::optim::{OptimizerConfig, OptimizerState};
use kinsight_train::run::{Progress, SelectionState, TrainingState};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(HELD.fetch_add(layout.size(), Ordering::SeqCst) + layout.size(), Ordering::SeqCst);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CLASSES: usize = 2000;
const WIDTH: usize = 12;
const PROMPTS: PromptSchedule = PromptSchedule { count: 100, depth: 2, step: 0 };

#[test]
fn a_checkpoint_of_a_bank_in_memory_takes_little_besides_the_bank() {
    let device = Device::flex();
    let vit = VitConfig::new(16, 8, WIDTH, 2, 2);
    let mut overrides = Overrides::default();
    overrides.set("method", "vptsp-m");
    let settings = overrides.load().unwrap().resolve(&vit, Pooling::Class).unwrap();
    let (mut backbone_rng, mut rng) = (ChaCha8Rng::seed_from_u64(4), ChaCha8Rng::seed_from_u64(3));
    let mut backbone = RandomInit::new(&mut backbone_rng, &device);
    let mut source = FreshLearner::new(&mut backbone, &settings.tuning, &mut rng);
    let learner = Learner::from_source(&mut source, &vit, &settings.tuning, &settings.proxies, &settings.loss, CLASSES);

    // One step, so that there are moments.
    let mut bank = PromptBank::new(CLASSES, WIDTH, PROMPTS, |_| vec![0.5; CLASSES * PROMPTS.count * WIDTH]).unwrap();
    let lent = bank.lend(&[0, 1], &device);
    let loss = lent.tables.iter().map(|table| table.val().sum()).reduce(|a, b| a + b).unwrap();
    bank.take_back(&[0, 1], &lent, &mut loss.backward(), &OptimizerConfig::default(), 0.01);
    let bank_bytes = 3 * 4 * (CLASSES * PROMPTS.count * WIDTH * PROMPTS.depth);
    drop(lent);

    let mut state = TrainingState {
        learner: learner.with_trainable(&settings.tuning),
        proxy_memory: Tensor::zeros([CLASSES, WIDTH], &device),
        optimizer: OptimizerState::default(),
        bank: Some(bank),
        average: None,
        class_sums: None,
    };
    let progress = Progress {
        step: 1,
        epoch: 0,
        batch: 1,
        seconds: 0.0,
        backbone_fingerprint: String::new(),
        data_fingerprint: String::new(),
        selection: SelectionState::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latest.safetensors");
    let held = HELD.load(Ordering::SeqCst);
    assert!(held >= bank_bytes, "the bank is among the {held} bytes held");
    PEAK.store(held, Ordering::SeqCst);
    state.save(&path, &progress).unwrap();
    let more = PEAK.load(Ordering::SeqCst) - held;
    assert!(more * 100 <= bank_bytes * 15, "{more} bytes besides the {bank_bytes} of the bank");
    assert!(std::fs::metadata(&path).unwrap().len() >= bank_bytes as u64);
}
