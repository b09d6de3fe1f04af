//! Embedding a batch of images, and a plain matrix product for the machine's peak.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use kinsight_kernels::{Matrix, gemm};
use kinsight_model::weights::{TensorMap, read_tensors, write_safetensors};
use kinsight_model::{Backbone, Checkpoint, Compute, Encoder, Precision};

use crate::{Arguments, Outcome, Work};

/// Images through a bare backbone, as `kinsight eval` does it.
pub struct Embed {
    encoder: Encoder,
    images: TensorData,
    device: Device,
}

impl Embed {
    pub fn new(arguments: &Arguments) -> Outcome<Self> {
        let device = Device::flex();
        let backbone = Backbone::open(&arguments.place(0)?.to_string_lossy(), None)?;
        let mut encoder = Encoder::bare(&backbone, None, &device)?;
        encoder.backbone.compute = compute(arguments);
        let images = tensor(&mut read_tensors(arguments.place(1)?)?.0, "images")?;
        Ok(Self { encoder: encoder.valid(), images, device: device.without_autodiff() })
    }

    fn embeddings(&self) -> TensorData {
        let images = Tensor::<4>::from_data(self.images.clone(), &self.device);
        self.encoder.forward(images).into_data()
    }
}

impl Work for Embed {
    fn step(&mut self) -> Outcome {
        self.embeddings();
        Ok(())
    }

    fn dump(&mut self, path: &Path) -> Outcome {
        let tensors = TensorMap::from([("embeddings".to_string(), self.embeddings())]);
        Ok(write_safetensors(path, &tensors, BTreeMap::new())?)
    }
}

/// What the settings say of the engine.
pub fn compute(arguments: &Arguments) -> Compute {
    let mut compute = Compute::default();
    if arguments.setting("precision") == Some("bf16") {
        compute.precision = Precision::Bf16;
    }
    match arguments.setting("checkpoint") {
        Some("none") => compute.checkpoint = Checkpoint::None,
        Some("mlp") => compute.checkpoint = Checkpoint::Mlp,
        Some("block") => compute.checkpoint = Checkpoint::Block,
        _ => {}
    }
    compute
}

/// Takes a tensor out of a file's.
pub fn tensor(tensors: &mut TensorMap, name: &str) -> Outcome<TensorData> {
    tensors.remove(name).ok_or_else(|| format!("the file lacks the tensor {name}").into())
}

/// Rows, columns and depth of the product whose rate counts as the machine's peak: it fits the caches, which makes it
/// the fastest there is.
const PEAK: [usize; 3] = [1536, 768, 384];

/// Products in one repetition.
const PRODUCTS: usize = 20;

/// An f32 matrix product.
pub struct Peak {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Peak {
    pub fn new() -> Self {
        let numbers = |len: usize, step: f32| (0..len).map(|i| (i as f32 * step).fract() - 0.5).collect();
        let [rows, columns, depth] = PEAK;
        Self {
            a: numbers(rows * depth, 0.618_034),
            b: numbers(depth * columns, 0.414_214),
            c: vec![0.0; rows * columns],
        }
    }
}

impl Work for Peak {
    fn step(&mut self) -> Outcome {
        let [_, columns, depth] = PEAK;
        let (a, b) = (Matrix::row_major(&self.a, depth), Matrix::row_major(&self.b, columns));
        for _ in 0..PRODUCTS {
            gemm(PEAK, 1.0, a, b, 0.0, &mut self.c)?;
        }
        Ok(())
    }

    fn dump(&mut self, _: &Path) -> Outcome {
        Err("a matrix product has nothing to compare".into())
    }
}
