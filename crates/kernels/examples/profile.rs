//! Speed of a twelve-block vision transformer on this machine: images a second, the share of the measured
//! matrix-product peak, and the share of time of each operation.
//!
//! ```text
//! cargo run --release -p kinsight-kernels --features profile --example profile [small|base] [f32|bf16] [batch] [repeats]
//! ```
//! Training is a step of deep prompts and biases (10 prompts a block, every bias, weights frozen). The patch projection,
//! the head and the optimizer are left out: under 3 % of the work. On a shared machine compare the ratios of one run,
//! which are taken in turns, not numbers of different runs.

#![expect(clippy::print_stdout, reason = "the report is what this program is for")]

use std::time::Instant;

use kinsight_kernels::*;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const BLOCKS: usize = 12;
const TOKENS: usize = 197;
const PROMPTS: usize = 10;

/// One block's tensors.
struct Block {
    values: PerTensor<Vec<f32>>,
    cache: WeightCache,
}

/// Numbers that look random enough and need no generator.
fn numbers(len: usize, scale: f32) -> Vec<f32> {
    let at = |i: usize| ((i as f32 * 0.618_034).fract() + (i as f32 * 0.414_214).fract() - 1.0) * scale;
    (0..len).map(at).collect()
}

impl Block {
    fn new(dims: &BlockDims) -> Self {
        let values = PerTensor::from_fn(|tensor| match tensor.shape(dims, 0)[..] {
            [rows, width] if tensor == BlockTensor::Prompts => numbers(rows * width, 0.1),
            [output, input] => numbers(input * output, 1.0 / (input as f32).sqrt()),
            ref shape => vec![f32::from(u8::from(tensor.name().ends_with("weight"))); shape.iter().product()],
        });
        Self { values, cache: WeightCache::new() }
    }

    fn params(&self, prompts: bool) -> BlockParams<'_> {
        let has = |tensor: BlockTensor| match tensor {
            BlockTensor::Prompts => prompts,
            BlockTensor::Scale1 | BlockTensor::Scale2 => false,
            tensor => tensor < BlockTensor::DownWeight,
        };
        let tensors = PerTensor::from_fn(|tensor| has(tensor).then_some(&self.values[tensor][..]));
        BlockParams { tensors, cache: Some(&self.cache), ..BlockParams::default() }
    }
}

/// A model and a batch.
struct Run {
    blocks: Vec<Block>,
    dims: BlockDims,
    precision: Precision,
    x: Vec<f32>,
}

impl Run {
    fn infer(&self) -> Outcome {
        let (mut x, mut out) = (self.x.clone(), self.x.clone());
        let dims = BlockDims { prompts: 0, ..self.dims };
        for block in &self.blocks {
            block_forward(&dims, &block.params(false), self.precision, &x, &mut out)?;
            std::mem::swap(&mut x, &mut out);
        }
        Ok(())
    }

    fn train(&self, checkpoint: Checkpoint) -> Outcome {
        let (dims, precision) = (self.dims, self.precision);
        // Biases and prompts.
        let wanted = Wanted::from_fn(|tensor| {
            tensor == BlockTensor::Prompts || tensor < BlockTensor::DownWeight && tensor.name().ends_with("bias")
        });
        let mut inputs = vec![self.x.clone()];
        let mut saved = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            let mut out = vec![0.0; dims.output_len()];
            let params = block.params(true);
            saved.push(block_forward_saving(&dims, &params, precision, checkpoint, &wanted, &inputs[i], &mut out)?);
            inputs.push(out);
        }
        let mut d = numbers(dims.output_len(), 1e-3);
        for ((block, saved), x) in self.blocks.iter().zip(saved).zip(&inputs).rev() {
            let params = block.params(true);
            let mut d_x = vec![0.0; dims.input_len()];
            block_backward(&dims, &params, precision, x, &saved, &d, &wanted, Some(&mut d_x))?;
            d = d_x;
        }
        Ok(())
    }

    /// Multiplications and additions of matrix products in an image's forward (`prompts`: keys and values alone).
    fn forward_flops(&self, prompts: usize) -> f64 {
        let (n, d) = (TOKENS as f64, self.dims.width as f64);
        let keys = n + prompts as f64;
        2.0 * BLOCKS as f64 * (12.0 * d * d * n + 2.0 * n * keys * d)
    }

    fn train_flops(&self) -> f64 {
        let (n, d) = (TOKENS as f64, self.dims.width as f64);
        let keys = n + PROMPTS as f64;
        self.forward_flops(PROMPTS) + 2.0 * BLOCKS as f64 * (12.0 * d * d * n + 5.0 * n * keys * d)
    }
}

/// Seconds of `f`.
fn time(f: impl FnOnce() -> Outcome) -> Outcome<f64> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}

/// Best GFLOP/s of a product that fits the caches, on all threads: what the blocks could reach at most.
fn peak(ours: bool) -> Outcome<f64> {
    let [m, n, k] = [1536, 768, 384];
    let (a, b) = (numbers(m * k, 1.0), numbers(k * n, 1.0));
    let mut c = vec![0.0; m * n];
    let mut best = f64::INFINITY;
    for _ in 0..40 {
        best = best.min(time(|| {
            if ours {
                let (a, b) = (Matrix::row_major(&a, k), Matrix::row_major(&b, n));
                gemm([m, n, k], 1.0, a, b, 0.0, &mut c)?;
            } else {
                rival(&a, &b, &mut c, [m, n, k]);
            }
            Ok(())
        })?);
    }
    Ok(2.0 * (m * n * k) as f64 / best / 1e9)
}

/// The same product by the `gemm` crate.
fn rival(a: &[f32], b: &[f32], c: &mut [f32], [m, n, k]: [usize; 3]) {
    let (n_stride, k_stride) = (n as isize, k as isize);
    let threads = ::gemm::Parallelism::Rayon(0);
    // SAFETY: the strides are those of row-major matrices of the given sizes, whose slices have those lengths.
    unsafe {
        ::gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n_stride,
            false,
            a.as_ptr(),
            1,
            k_stride,
            b.as_ptr(),
            1,
            n_stride,
            0.0,
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let width = match args.next().as_deref() {
        None | Some("small") => 384,
        Some("base") => 768,
        Some(other) => return Err(format!("unknown model {other}").into()),
    };
    let precision = match args.next().as_deref() {
        None | Some("f32") => Precision::F32,
        Some("bf16") => Precision::Bf16,
        Some(other) => return Err(format!("unknown precision {other}").into()),
    };
    let batch: usize = args.next().map_or(Ok(16), |n| n.parse())?;
    let repeats: usize = args.next().map_or(Ok(5), |n| n.parse())?.max(1);
    let dims = BlockDims {
        batch,
        tokens: TOKENS,
        prompts: PROMPTS,
        outputs: TOKENS,
        width,
        heads: width / 64,
        hidden: 4 * width,
        eps: 1e-6,
    };
    let run = Run {
        blocks: (0..BLOCKS).map(|_| Block::new(&dims)).collect(),
        dims,
        precision,
        x: numbers(dims.input_len(), 1.0),
    };
    println!(
        "{} on {} threads, width {width}, batch {batch}, {precision:?}",
        cpu_features(),
        rayon::current_num_threads()
    );
    let modes: [(&str, f64, &dyn Fn() -> Outcome); 3] = [
        ("embed", run.forward_flops(0), &|| run.infer()),
        ("train", run.train_flops(), &|| run.train(Checkpoint::None)),
        ("train, checkpoint block", run.train_flops(), &|| run.train(Checkpoint::Block)),
    ];
    let mut seconds = vec![Vec::new(); modes.len()];
    let mut shares = vec![Vec::new(); modes.len()];
    let mut peaks = [0.0f64; 2];
    for repeat in 0..=repeats {
        peaks = [peaks[0].max(peak(true)?), peaks[1].max(peak(false)?)];
        for (i, (.., f)) in modes.iter().enumerate() {
            profile::take();
            let t = time(f)?;
            if repeat > 0 {
                seconds[i].push(t);
                shares[i] = profile::take();
            }
        }
    }
    println!("peak of an in-cache product: ours {:.0} GFLOP/s, the gemm crate {:.0} GFLOP/s", peaks[0], peaks[1]);
    let threads = rayon::current_num_threads() as f64;
    for (((name, flops, _), seconds), shares) in modes.iter().zip(&mut seconds).zip(&shares) {
        let last = seconds.last().copied().unwrap_or(f64::NAN);
        seconds.sort_by(f64::total_cmp);
        let median = seconds[seconds.len() / 2];
        let rate = batch as f64 / median;
        let gflops = rate * flops / 1e9;
        println!(
            "\n{name}: {rate:.2} img/s (best {:.2}), {gflops:.0} GFLOP/s, {:.0} % of the peak",
            batch as f64 / seconds[0],
            100.0 * gflops / peaks[0].max(peaks[1]),
        );
        let mut rest = 100.0;
        for (operation, spent) in shares.iter().take(16) {
            let share = 100.0 * spent / (last * threads);
            rest -= share;
            println!("  {share:5.1} %  {operation}");
        }
        println!("  {rest:5.1} %  the rest: packing, waiting, allocation");
    }
    Ok(())
}
