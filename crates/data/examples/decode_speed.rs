//! How fast one core turns image files into network inputs.
//!
//! ```text
//! cargo run --release -p kinsight-data --example decode_speed -- FOLDER [PASSES]
//! ```
//!
//! Reads, decodes, resizes (256), crops (224) and normalizes every image below FOLDER on one thread, PASSES times (5 by
//! default), and prints the median pass, in total and by stage. On a busy machine compare the CPU time of the whole program
//! (`time`) instead.

#![expect(clippy::print_stdout, reason = "the figures are this program's output")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kinsight_data::dataset::image_files;
use kinsight_data::{DecodeLimits, EvalTransform, Preprocess, Scratch, decode_bytes};

#[derive(Default)]
struct Pass {
    read: Duration,
    decode: Duration,
    transform: Duration,
}

impl Pass {
    fn total(&self) -> Duration {
        self.read + self.decode + self.transform
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: decode_speed FOLDER [PASSES]")?;
    let passes: usize = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let files = image_files(Path::new(&folder))?;
    if files.is_empty() || passes == 0 {
        return Err(format!("nothing to do: {} images in {folder}, {passes} passes", files.len()).into());
    }
    let mut measured = (0..passes).map(|_| run(&files)).collect::<Result<Vec<_>, _>>()?;
    measured.sort_by_key(Pass::total);
    let median = &measured[passes / 2];
    let per_image = |time: Duration| time.as_secs_f64() * 1e3 / files.len() as f64;
    println!(
        "{} images, median of {passes} passes on one core: {:.0} images/s ({:.3} ms: read {:.3}, decode {:.3}, resize and normalize {:.3})",
        files.len(),
        1e3 / per_image(median.total()),
        per_image(median.total()),
        per_image(median.read),
        per_image(median.decode),
        per_image(median.transform),
    );
    Ok(())
}

fn run(files: &[PathBuf]) -> Result<Pass, Box<dyn Error>> {
    let transform = EvalTransform::new(Preprocess::default())?;
    let mut scratch = Scratch::new();
    let mut tensor = vec![0.0; transform.preprocess().output_len()];
    let mut pass = Pass::default();
    for file in files {
        let start = Instant::now();
        let bytes = std::fs::read(file)?;
        let read = Instant::now();
        let image =
            decode_bytes(&bytes, DecodeLimits::default()).map_err(|fault| format!("{}: {fault}", file.display()))?;
        let decoded = Instant::now();
        transform.apply(&image, &mut scratch, &mut tensor)?;
        pass.read += read - start;
        pass.decode += decoded - read;
        pass.transform += decoded.elapsed();
    }
    Ok(pass)
}
