//! Nine steps of the authors' training, eighteen configurations: losses, embeddings, gradients, final parameters.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod golden;

use golden::GoldenRun;
use kinsight_model::Engine;

#[test]
fn golden_training_fused() {
    check_all(Engine::Fused);
}

#[test]
fn golden_training_composed() {
    check_all(Engine::Composed);
}

fn check_all(engine: Engine) {
    let mut failures = Vec::new();
    let cases = golden::cases();
    assert!(!cases.is_empty(), "no golden runs found");
    for path in cases {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().to_string();
        failures.extend(GoldenRun::open(&path).check(engine).into_iter().map(|f| format!("{name}: {f}")));
    }
    assert!(failures.is_empty(), "{engine:?}, {} failures:\n{}", failures.len(), failures.join("\n"));
}
