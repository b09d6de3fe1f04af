//! Kinsight's side of `benches/vs_pytorch/run`: one piece of work of the product, repeated on demand.
//!
//! ```text
//! vs_pytorch embed  WEIGHTS INPUTS [precision=bf16]                                 images to unit embeddings
//! vs_pytorch train  WEIGHTS START INPUTS method=vpt|vptsp-g [precision=bf16] [checkpoint=none|mlp|block]   a training step
//! vs_pytorch decode FOLDER                                                          JPEG files to network inputs
//! vs_pytorch search EMBEDDINGS k=1000        vs_pytorch evaluate EMBEDDINGS         exact search; its metrics
//! vs_pytorch peak                                                                   an f32 matrix product
//! ```
//! It obeys lines of standard input and answers each with one line: `steps N` (seconds that N repetitions took),
//! `dump FILE` (results as safetensors, to be compared with PyTorch's), `forget` (start the peak of memory anew),
//! `memory` (that peak, in KiB). The driver speaks with this program and with PyTorch in turns.

#![expect(clippy::print_stdout, reason = "answers go to standard output")]

mod decode;
mod embed;
mod search;
mod train;

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Something that is repeated and timed.
trait Work {
    /// One repetition.
    fn step(&mut self) -> Outcome;

    /// Writes what a repetition computes.
    fn dump(&mut self, path: &Path) -> Outcome;
}

/// The arguments after the first: places in order, and `key=value` settings.
struct Arguments(Vec<String>);

impl Arguments {
    fn place(&self, index: usize) -> Outcome<&Path> {
        let found = self.0.iter().filter(|argument| !argument.contains('=')).nth(index);
        Ok(Path::new(found.ok_or_else(|| format!("argument {} is missing", index + 1))?))
    }

    fn setting(&self, key: &str) -> Option<&str> {
        self.0.iter().find_map(|argument| argument.strip_prefix(key)?.strip_prefix('='))
    }
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let arguments = Arguments(arguments.collect());
    let mut work: Box<dyn Work> = match kind.as_str() {
        "embed" => Box::new(embed::Embed::new(&arguments)?),
        "train" => Box::new(train::Train::new(&arguments)?),
        "decode" => Box::new(decode::Decode::new(&arguments)?),
        "search" => Box::new(search::Search::new(&arguments)?),
        "evaluate" => Box::new(search::Evaluate::new(&arguments)?),
        "peak" => Box::new(embed::Peak::new()),
        other => return Err(format!("unknown work {other:?}; see the head of this program").into()),
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("steps", count) => {
                let count: usize = count.parse()?;
                let start = Instant::now();
                for _ in 0..count {
                    work.step()?;
                }
                println!("{}", start.elapsed().as_secs_f64());
            }
            ("dump", path) => {
                work.dump(Path::new(path))?;
                println!("written");
            }
            ("forget", _) => {
                // Linux: 5 sets the peak to what is resident now.
                std::fs::write("/proc/self/clear_refs", "5")?;
                println!("forgotten");
            }
            ("memory", _) => println!("{}", peak_memory_kib()?),
            (other, _) => return Err(format!("unknown command {other:?}").into()),
        }
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// The most memory the process has held, as Linux counts it.
fn peak_memory_kib() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmHWM has no value")?.parse()?)
}
