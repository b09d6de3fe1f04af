//! Vision transformers with parameter-efficient fine-tuning: load a backbone, attach prompts, adapters and a head,
//! embed images.
//!
//! This crate names the tensor engine (burn); it knows nothing of losses, training loops, indexes or servers.

pub mod attach;
pub mod backbone;
pub mod embedder;
pub mod encoder;
pub mod engine;
pub mod error;
pub mod explain;
pub mod export;
pub mod finetuned;
pub mod head;
pub mod hosting;
pub mod open;
pub mod parameters;
pub mod prompts;
mod training_facts;
pub mod tuning;
pub mod vit;
pub mod weights;

pub use backbone::Backbone;
/// The tensor engine's name for what computes, for callers that know nothing else of it.
pub use burn::tensor::Device;
pub use encoder::Encoder;
pub use engine::{Checkpoint, Compute, Engine, Precision};
pub use error::ModelError;
pub use open::{ComputeChoice, EmbeddingModel, ModelDescription, ModelRef, open};
pub use training_facts::{TestFacts, TrainingFacts};
pub use tuning::Tuning;
pub use vit::config::VitConfig;
pub use vit::{Pooling, VisionTransformer};
