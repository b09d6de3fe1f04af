//! A library user's program: take a backbone, add prompts, train on a folder of class folders, compare two images.
//!
//! ```text
//! cargo run --release -p kinsight-train --example photos -- FOLDER IMAGE IMAGE
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it finds")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use kinsight_data::Dataset;
use kinsight_model::embedder::{EmbedOptions, embed_dataset};
use kinsight_train::config::Overrides;
use kinsight_train::trainer::{Event, Trainer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(a), Some(b)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: photos FOLDER IMAGE IMAGE".into());
    };
    let mut settings = Overrides::default();
    settings.set("method", "vpt+bitfit");
    settings.set("backbone", "kinsight_nano");
    settings.set("data.path", folder);
    settings.set("epochs", 3);
    settings.set("tuning.prompts.count", 5);

    let device = Device::flex();
    let trainer = Trainer::new(settings.load()?, &device)?;
    let run = std::env::temp_dir().join("kinsight-example");
    let never = AtomicBool::new(false);
    let outcome = trainer.run(&run, run.exists(), &never, &mut |event| {
        if let Event::Evaluated { epochs, measured, .. } = event {
            println!("epoch {epochs}: Recall@1 {:.3}", measured.evaluation.recall_at(1).unwrap_or_default());
        }
    })?;

    let pair = Arc::new(Dataset::unlabeled(Path::new("."), vec![PathBuf::from(a), PathBuf::from(b)]));
    let options = EmbedOptions::default();
    let rows = embed_dataset(&outcome.encoder, &pair, trainer.preprocess(), options, &device, |_| {})?;
    let (first, second) = rows.values.split_at(rows.dim);
    let cosine: f32 = first.iter().zip(second).map(|(x, y)| x * y).sum();
    println!("cosine similarity {cosine:.3}");
    Ok(())
}
