//! A folder with a few drawn images and a tiny random backbone, and the program run on them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use burn::tensor::Device;
use kinsight_data::Preprocess;
use kinsight_model::backbone::{CONFIG_KEY, PREPROCESS_KEY};
use kinsight_model::parameters::{RandomInit, named_tensors};
use kinsight_model::weights::write_safetensors;
use kinsight_model::{VisionTransformer, VitConfig};
use kinsight_synthetic::{Film, SyntheticSpec, write_folder};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Eight classes of six images of 40 px, a ViT of two blocks for 32 px.
pub struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = SyntheticSpec { seed: 1, classes: 0..8, images_per_class: 6, size_px: 40, film: Film::Positive };
        write_folder(&spec, &folder.path().join("images"), |_| {}).unwrap();
        let fixture = Self { folder };
        fixture.write_backbone("backbone.safetensors", &VitConfig::new(32, 8, 32, 2, 2));
        fixture
    }

    pub fn write_backbone(&self, name: &str, config: &VitConfig) -> PathBuf {
        let device = Device::flex();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let model = VisionTransformer::from_source(&mut RandomInit::new(&mut rng, &device), "", config, None);
        let preprocess = Preprocess { input_size_px: 32, resize_size_px: 36, ..Preprocess::default() };
        let metadata = BTreeMap::from([
            (CONFIG_KEY.to_string(), serde_json::to_string(config).unwrap()),
            (PREPROCESS_KEY.to_string(), serde_json::to_string(&preprocess).unwrap()),
        ]);
        let path = self.path(name);
        write_safetensors(&path, &named_tensors(&model), metadata).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn images(&self) -> PathBuf {
        self.path("images")
    }

    /// The first image file of the first class.
    pub fn some_image(&self) -> PathBuf {
        let first = |folder: &Path| {
            let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
            paths.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
            paths.sort();
            paths
        };
        let class = first(&self.images()).into_iter().find(|path| path.is_dir()).unwrap();
        first(&class)[0].clone()
    }

    /// `kinsight train` with a tiny VPTSP-G into `out`, plus `more` arguments.
    pub fn train(&self, out: &str, more: &[&str]) -> Command {
        let mut command = kinsight();
        command.arg("train");
        command.args(["--method", "vptsp-g+bitfit", "--epochs", "4", "--deterministic"]);
        command.args(["--batch-size", "8", "--images-per-class", "2", "--set", "proxies.class_prompts.count=2"]);
        command.args(["--set", "tuning.prompts.count=2", "--set", "proxies.accumulator.dropout=0.1"]);
        command.arg("--backbone").arg(self.path("backbone.safetensors"));
        command.arg("--data").arg(self.images());
        command.arg("--out").arg(self.path(out));
        command.args(more);
        command
    }
}

/// How often tests of indexing and serving kill; `KINSIGHT_KILLS=30` for a long look.
pub fn kills() -> usize {
    std::env::var("KINSIGHT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

/// The program under test, without standard input and offline.
pub fn kinsight() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinsight"));
    command.stdin(Stdio::null()).env("HF_HUB_OFFLINE", "1").env_remove("KINSIGHT_WEIGHTS");
    command
}

/// Runs `command`, which must succeed; its standard output.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs `command`, which must fail with exit code 1; its standard error.
pub fn fail(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let message = text(&stderr);
    assert_eq!(status.code(), Some(1), "{command:?}\n{}\n{message}", text(&stdout));
    assert!(!message.contains("panicked"), "{message}");
    message
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_string()
}

/// Fails unless `message` contains every one of `parts`.
#[track_caller]
pub fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in:\n{message}");
    }
}
