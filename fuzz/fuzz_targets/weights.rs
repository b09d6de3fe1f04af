//! Any bytes as a weight file and as a configuration: read, or refused with an error.
#![no_main]

use std::fs;

use kinsight_model::weights::{WeightFile, infer_config};
use kinsight_train::config::Overrides;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("backbone.safetensors");
    if fs::write(&path, bytes).is_err() {
        return;
    }
    if let Ok(file) = WeightFile::open(&path) {
        let shapes = file.shapes();
        // A configuration inferred from shapes has no more blocks than there are tensors.
        if let Ok(config) = infer_config(&shapes) {
            assert!(config.depth <= shapes.len(), "{config:?}");
        }
        for name in shapes.keys() {
            let _ = file.tensor(name);
        }
    }
    let path = folder.path().join("config.toml");
    if fs::write(&path, bytes).is_ok()
        && let Ok(overrides) = Overrides::default().with_file(&path)
        && let Ok(config) = overrides.load()
    {
        assert!(config.to_toml().is_ok(), "{config:?}");
    }
});
