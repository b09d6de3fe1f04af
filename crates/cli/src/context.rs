//! What commands compute with, resolved once from what was typed.
//!
//! Flags are parsed into `*Args` and taken apart without a rest (`let Self { a, b } = self`), so one that is parsed and not
//! used does not compile. Models are opened through [`Context`] alone, which knows device, engine and precision: no command
//! can accept `--device` and compute elsewhere.

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::Device;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use kinsight_index::Index;
use kinsight_model::{Compute, ComputeChoice, EmbeddingModel, Engine, ModelDescription, ModelRef, Precision};
use kinsight_train::run::RunFolder;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::commands::device::DeviceArg;

/// Where to compute.
#[derive(Clone, Copy, Debug, Args)]
pub struct DeviceArgs {
    /// Device: cpu, or, if built with that feature, cuda, rocm, wgpu, vulkan or metal; cuda:1 for the second GPU
    #[arg(long, default_value = "cpu", hide_default_value = true)]
    pub device: DeviceArg,
    /// Threads to compute with [default: one per core]
    #[arg(long)]
    pub threads: Option<usize>,
}

/// Where and how to compute.
#[derive(Clone, Copy, Debug, Args)]
pub struct ComputeArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Implementation of the transformer block
    #[arg(long, value_parser = one_of::<Engine>(&[
        ("fused", "Fused kernels on the CPU"),
        ("composed", "Tensor operations alone"),
    ]))]
    engine: Option<Engine>,
    /// Arithmetic of the matrix products [default: that of the index or run in use, otherwise f32]
    #[arg(long, value_parser = one_of::<Precision>(&[
        ("f32", "32-bit floats"),
        ("bf16", "bfloat16 operands, 32-bit sums"),
    ]))]
    precision: Option<Precision>,
}

/// A model by run or backbone.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Run folder with a fine-tuning
    #[arg(long, required_unless_present = "backbone")]
    run: Option<PathBuf>,
    /// Backbone, for zero-shot embeddings or to replace the path stored in --run
    #[arg(long)]
    backbone: Option<String>,
}

/// The model of an index, if it has moved.
#[derive(Debug, Args)]
pub struct IndexModelArgs {
    /// Run folder [default: the model of the index]
    #[arg(long)]
    run: Option<PathBuf>,
    /// Backbone [default: the model of the index]
    #[arg(long)]
    backbone: Option<String>,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// What a command computes with.
#[derive(Debug)]
pub struct Context {
    /// The open device.
    pub device: Device,
    /// Whether that is the CPU.
    pub on_cpu: bool,
    /// What was asked for of engine, precision and checkpoints.
    pub compute: ComputeChoice,
}

impl DeviceArgs {
    /// Sets the number of threads and opens the device; must come before any work.
    ///
    /// # Errors
    /// A device that this program was built without.
    pub fn resolve(self) -> Result<Context> {
        let Self { device, threads } = self;
        if let Some(threads) = threads {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        }
        let on_cpu = device == DeviceArg::default();
        Ok(Context { device: device.open()?, on_cpu, compute: ComputeChoice::default() })
    }
}

impl DeviceArgs {
    /// The flags that mean the same, for a program that this one starts.
    pub fn as_flags(self) -> Vec<String> {
        let Self { device, threads } = self;
        let threads = threads.map(|threads| format!("--threads={threads}"));
        std::iter::once(format!("--device={device}")).chain(threads).collect()
    }
}

impl ComputeArgs {
    /// As [`DeviceArgs::resolve`].
    ///
    /// # Errors
    /// As there.
    pub fn resolve(self) -> Result<Context> {
        let Self { device, engine, precision } = self;
        Ok(Context { compute: ComputeChoice { engine, precision, checkpoint: None }, ..device.resolve()? })
    }
}

impl ModelArgs {
    /// The model that is named.
    pub fn resolve(self) -> ModelRef {
        let Self { run, backbone } = self;
        ModelRef { run, backbone }
    }
}

impl IndexModelArgs {
    /// The model that is named, if any, and what to compute with.
    ///
    /// # Errors
    /// As [`DeviceArgs::resolve`].
    pub fn resolve(self) -> Result<(ModelRef, Context)> {
        let Self { run, backbone, compute } = self;
        Ok((ModelRef { run, backbone }, compute.resolve()?))
    }
}

impl Context {
    /// Loads `model`.
    ///
    /// # Errors
    /// Those of [`ModelRef::resolve`] and [`ModelDescription::load`].
    pub fn model(&self, model: &ModelRef) -> Result<EmbeddingModel> {
        self.load(model.resolve()?, self.compute)
    }

    /// Loads the model of `index`: what `model` does not name is taken from the index, and so is the precision.
    ///
    /// # Errors
    /// A model that cannot be loaded, or is not the one that the index was made with.
    pub fn model_of(&self, index: &Index, model: ModelRef) -> Result<EmbeddingModel> {
        let manifest = index.manifest();
        let description = model.or_of(&manifest.model).resolve()?;
        let model = self.load(description, self.compute.or_as(&manifest.fingerprint))?;
        index.require_model(&model.fingerprint)?;
        Ok(model)
    }

    fn load(&self, description: ModelDescription, choice: ComputeChoice) -> Result<EmbeddingModel> {
        if description.info.is_none() && description.backbone.preprocess_is_a_guess {
            eprintln!(
                "warning: the backbone's files do not state its normalization; using ImageNet's mean and standard deviation"
            );
        }
        let base = trained_compute(&description)?;
        Ok(description.load(choice.over(base), &self.device)?)
    }
}

/// How the model was trained to compute; runs of older versions say so in their settings alone.
fn trained_compute(description: &ModelDescription) -> Result<Compute> {
    let older = description.source.run.as_deref().filter(|_| description.training().is_none()).map(RunFolder::at);
    match older.filter(|folder| folder.config().is_file()) {
        Some(folder) => Ok(folder.read_config()?.compute),
        None => Ok(description.compute()),
    }
}

/// Parses one of the values of a setting, given with a line of help each.
pub fn one_of<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    values: &'static [(&'static str, &'static str)],
) -> impl TypedValueParser<Value = T> {
    let values = values.iter().map(|(name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(values).try_map(|name| serde_json::from_value::<T>(Value::String(name)))
}
