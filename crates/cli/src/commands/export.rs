//! `kinsight export`

use std::path::PathBuf;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::{Args, ValueEnum};
use kinsight_data::Preprocess;
use kinsight_model::export::{folded_backbone, write_head, write_hf, write_onnx, write_probe, write_timm};
use kinsight_model::parameters::inventory;
use kinsight_model::{ComputeChoice, EmbeddingModel, Precision};
use serde_json::json;

use crate::context::ModelArgs;

const EXAMPLES: &str = "\
Examples:
  The whole fine-tuned encoder with prompts, adapters and head, for ONNX Runtime:
    kinsight export --run runs/first --format onnx --out first.onnx

  A run whose fine-tuning can be merged into the weights (bitfit, full), for timm:
    kinsight export --run runs/bitfit --format timm --out bitfit.safetensors

  The same for transformers, as a folder with config.json and preprocessor_config.json:
    kinsight export --run runs/bitfit --format hf --out bitfit/

  A bare backbone, with images and embeddings to compare the other program with:
    kinsight export --backbone deit_tiny --format onnx --out deit_tiny.onnx --probe probe.safetensors";

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Output format
    #[arg(long, value_enum)]
    pub format: FormatArg,
    /// Output file; a folder with --format hf
    #[arg(long)]
    pub out: PathBuf,
    /// Also write four random images and their embeddings, for checking the exported model
    #[arg(long, value_name = "FILE")]
    pub probe: Option<PathBuf>,
    /// Print a summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// `--format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Weights under timm's names; the embedding head in a second file
    Timm,
    /// A folder that transformers loads; the embedding head in a second file
    Hf,
    /// An ONNX graph from images to unit embeddings
    Onnx,
}

/// Exports and says which files there are.
pub fn run(arguments: ExportArgs) -> Result<()> {
    let ExportArgs { model, format, out, probe, json } = arguments;
    if format != FormatArg::Hf && out.is_dir() {
        bail!("--out {} is a folder, --format {} writes a file", out.display(), name_of(format));
    }
    let choice = ComputeChoice { precision: Some(Precision::F32), ..ComputeChoice::default() };
    let model = kinsight_model::open(&model.resolve(), choice, &Device::flex())?;
    let EmbeddingModel { encoder, tuning, preprocess, device, .. } = &model;
    let mut files = vec![out.clone()];
    let mut head = |path: PathBuf| -> Result<()> {
        if write_head(&path, encoder)? {
            files.push(path);
        }
        Ok(())
    };
    match format {
        FormatArg::Onnx => write_onnx(&out, encoder, preprocess)?,
        FormatArg::Timm => {
            write_timm(&out, &folded_backbone(encoder, tuning)?, preprocess)?;
            head(out.with_extension("head.safetensors"))?;
        }
        FormatArg::Hf => {
            let layout = write_hf(&out, &folded_backbone(encoder, tuning)?, preprocess)?;
            eprintln!("wrote the layout of {}", layout.name());
            head(out.join("embedding_head.safetensors"))?;
        }
    }
    if let Some(path) = probe {
        write_probe(&path, encoder, device)?;
        files.push(path);
    }
    let parameters: usize = inventory(encoder).iter().map(|parameter| parameter.count()).sum();
    if json {
        let report = json!({
            "format": name_of(format),
            "files": files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "parameters": parameters,
            "embedding": encoder.embedding_size(),
            "pooling": encoder.pooling.name(),
            "preprocess": preprocess,
        });
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    for path in &files {
        println!("{}", path.display());
    }
    let Preprocess { input_size_px, resize_size_px, mean, std, .. } = preprocess;
    eprintln!(
        "{parameters} parameters; images: shorter side to {resize_size_px}, center {input_size_px} px, mean {mean:?}, \
         std {std:?}"
    );
    Ok(())
}

fn name_of(format: FormatArg) -> String {
    format.to_possible_value().map(|value| value.get_name().to_string()).unwrap_or_default()
}
