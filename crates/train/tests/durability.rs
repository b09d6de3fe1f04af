//! A run is stopped after every single call that writes, by every kind of crash and by a disk that fails, and goes on: what
//! comes out is what an unbroken run gives, bit for bit, and no checkpoint that was written is lost.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use kinsight_data::Preprocess;
use kinsight_files::{Fail, Recording};
use kinsight_model::backbone::{CONFIG_KEY, PREPROCESS_KEY};
use kinsight_model::parameters::{RandomInit, named_tensors};
use kinsight_model::weights::{read_tensors, write_safetensors};
use kinsight_model::{VisionTransformer, VitConfig};
use kinsight_synthetic::{Film, SyntheticSpec, write_folder};
use kinsight_train::TrainError;
use kinsight_train::config::{Overrides, parse_assignment};
use kinsight_train::trainer::{Event, Trainer};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How many mixtures of what survives are tried after each call.
const SEEDS: u64 = 2;

/// Four classes of four drawn images, a ViT of two blocks for 16 px, two epochs of two steps, a checkpoint after each step.
fn trainer(folder: &Path, bank: &str) -> Trainer {
    let spec = SyntheticSpec { seed: 1, classes: 0..4, images_per_class: 4, size_px: 32, film: Film::Positive };
    write_folder(&spec, &folder.join("images"), |_| {}).unwrap();
    let (device, config) = (Device::flex(), VitConfig::new(16, 8, 12, 2, 2));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let model = VisionTransformer::from_source(&mut RandomInit::new(&mut rng, &device), "", &config, None);
    let preprocess = Preprocess { input_size_px: 16, resize_size_px: 18, ..Preprocess::default() };
    let metadata = BTreeMap::from([
        (CONFIG_KEY.to_string(), serde_json::to_string(&config).unwrap()),
        (PREPROCESS_KEY.to_string(), serde_json::to_string(&preprocess).unwrap()),
    ]);
    let backbone = folder.join("backbone.safetensors");
    write_safetensors(&backbone, &named_tensors(&model), metadata).unwrap();

    let mut overrides = Overrides::default();
    overrides.set("method", "vptsp-g+bitfit");
    overrides.set("backbone", backbone.display().to_string());
    overrides.set("data.path", folder.join("images").display().to_string());
    let settings = [
        "epochs=2",
        "deterministic=true",
        "tensorboard=true",
        "checkpoint_every_steps=1",
        "sampling.batch_size=4",
        "sampling.images_per_class=2",
        "tuning.prompts.count=2",
        "proxies.class_prompts.count=2",
        "proxies.memory_bank=true",
        &format!("proxies.bank_storage={bank:?}"),
    ];
    overrides.assignments.extend(settings.iter().map(|text| parse_assignment(text).unwrap()));
    Trainer::new(overrides.load().unwrap(), &device).unwrap()
}

fn train(trainer: &Trainer, run: &Path, mut on_step: impl FnMut(u64)) -> Result<(), TrainError> {
    let mut observer = |event: Event<'_>| {
        if let Event::Step { step, .. } = event {
            on_step(step);
        }
    };
    trainer.run(run, true, &AtomicBool::new(false), &mut observer).map(|_| ())
}

/// Every file of a run by name; of a bank in a file the rows in use.
fn contents(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(run).unwrap().display().to_string();
            match name.as_str() {
                _ if path.is_dir() => folders.push(path),
                "lock" => {}
                "checkpoints/bank.bin" => {
                    files.insert(name, rows_in_use(run));
                }
                _ => {
                    files.insert(name, fs::read(path).unwrap());
                }
            }
        }
    }
    files
}

fn rows_in_use(run: &Path) -> Vec<u8> {
    let bank = fs::read(run.join("checkpoints/bank.bin")).unwrap();
    let (tensors, _) = read_tensors(&run.join("checkpoints/latest.safetensors")).unwrap();
    let places = tensors["bank:places"].try_to_vec::<f32>().unwrap();
    let place_bytes = (bank.len() - 4096) / (2 * places.len());
    let rows = places.iter().enumerate().map(|(class, place)| {
        let start = 4096 + (2 * class + *place as usize) * place_bytes;
        &bank[start..start + place_bytes]
    });
    rows.collect::<Vec<_>>().concat()
}

/// Steps of the checkpoint in a run's folder.
fn saved_steps(run: &Path) -> u64 {
    let checkpoint = run.join("checkpoints/latest.safetensors");
    if !checkpoint.exists() {
        return 0;
    }
    let (_, metadata) = read_tensors(&checkpoint).unwrap();
    serde_json::from_str::<serde_json::Value>(&metadata["kinsight.progress"]).unwrap()["step"].as_u64().unwrap()
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>, when: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{when}");
    for (name, bytes) in found {
        assert!(bytes == &expected[name], "{name} differs after {when}");
    }
}

fn crashes(bank: &str) {
    let folder = tempfile::tempdir().unwrap();
    let trainer = trainer(folder.path(), bank);
    let (root, target) = (folder.path().join("root"), folder.path().join("crash"));
    fs::create_dir(&root).unwrap();
    let recording = Recording::start(&root).unwrap();
    // A step is reported before its checkpoint is written, so the one before it has been.
    let mut written = vec![];
    train(&trainer, &root.join("run"), |step| written.push((recording.calls(), step - 1))).unwrap();
    let expected = contents(&root.join("run"));
    written.push((recording.calls(), 4));
    assert!(["log.jsonl", "model.safetensors", "metrics.json"].iter().all(|name| expected.contains_key(*name)));

    let mut seen = BTreeSet::new();
    let check = |calls, loss| {
        let run = target.join("run");
        let when = format!("{loss:?} after {calls} calls");
        let acknowledged = written.iter().rev().find(|(at, _)| *at <= calls).map_or(0, |(_, step)| *step);
        assert!(saved_steps(&run) >= acknowledged, "{when}: checkpoint {acknowledged} is lost");
        let state = match run.is_dir() {
            true => blake3::hash(format!("{:?}", raw(&run)).as_bytes()),
            false => blake3::hash(b""),
        };
        if seen.insert(*state.as_bytes()) {
            train(&trainer, &run, |_| {}).unwrap_or_else(|error| panic!("{when}: {error}"));
            assert_same(&contents(&run), &expected, &when);
        }
    };
    recording.every_crash(SEEDS, &target, check).unwrap();
    assert!(seen.len() > 60, "only {} different states", seen.len());
}

/// Every file as it is, to tell states apart.
fn raw(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(run).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert(path.display().to_string(), format!("{:?}", raw(&path)).into_bytes());
        } else {
            files.insert(path.display().to_string(), blake3::hash(&fs::read(&path).unwrap()).as_bytes().to_vec());
        }
    }
    files
}

#[test]
fn a_run_with_its_bank_in_memory_survives_a_crash_after_every_call() {
    crashes("ram");
}

#[test]
fn a_run_with_its_bank_on_disk_survives_a_crash_after_every_call() {
    crashes("disk");
}

#[test]
fn a_run_survives_every_call_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = trainer(folder.path(), "disk");
    let root = folder.path().join("unbroken");
    fs::create_dir(&root).unwrap();
    let recording = Recording::start(&root).unwrap();
    train(&trainer, &root.join("run"), |_| {}).unwrap();
    let calls = recording.calls();
    drop(recording);
    let expected = contents(&root.join("run"));
    for call in 0..calls {
        let root = folder.path().join(format!("failed-{call}"));
        fs::create_dir(&root).unwrap();
        // Alternately, since each of them costs two runs.
        let (kind, fail) = match call % 2 {
            0 => (ErrorKind::StorageFull, Fail::Onwards),
            _ => (ErrorKind::Other, Fail::Once),
        };
        let recording = Recording::fail(&root, call, kind, fail).unwrap();
        let failed = train(&trainer, &root.join("run"), |_| {}).unwrap_err();
        assert!(kind == ErrorKind::Other || failed.hint().is_some(), "call {call}: {failed}");
        drop(recording);
        let when = format!("call {call} failed");
        train(&trainer, &root.join("run"), |_| {}).unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_same(&contents(&root.join("run")), &expected, &when);
        fs::remove_dir_all(&root).unwrap();
    }
}
