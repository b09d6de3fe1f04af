//! `kinsight explain`: why two pictures are similar to a model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use kinsight_data::{DecodeLimits, EvalTransform, Preprocess, RgbImage, Scratch, Split, decode_file};
use kinsight_model::finetuned::{load_fine_tuned, read_info};
use kinsight_model::{Backbone, Encoder};
use kinsight_server::explanation::{Explanation, ProxyShare, draw_png, explanation_page};
use kinsight_train::run::RunFolder;

use super::settings::use_threads;

const EXAMPLES: &str = "\
Examples:
  A page with matching parts, evidence, attention, prompts and proxies:
    kinsight explain a.jpg b.jpg --run runs/first

  A picture, with a bare backbone:
    kinsight explain a.jpg b.jpg --backbone deit_tiny --out why.png

  For a script:
    kinsight explain a.jpg b.jpg --run runs/first --json";

/// Proxies that are shown.
const PROXIES: usize = 8;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The first picture
    pub a: PathBuf,
    /// The second picture
    pub b: PathBuf,
    /// Run folder with a fine-tuning
    #[arg(long, required_unless_present = "backbone")]
    pub run: Option<PathBuf>,
    /// Backbone: alone, or in place of the one a run names
    #[arg(long)]
    pub backbone: Option<String>,
    /// File to write, .html or .png; may be repeated [default: explanation.html]
    #[arg(long, conflicts_with = "json")]
    pub out: Vec<PathBuf>,
    /// Print the numbers as JSON instead
    #[arg(long)]
    pub json: bool,
    /// Threads to compute with; one a core if not given
    #[arg(long)]
    pub threads: Option<usize>,
}

/// Explains, and writes what was asked for.
pub fn run(arguments: &ExplainArgs) -> Result<()> {
    use_threads(arguments.threads)?;
    let outs = match &arguments.out[..] {
        [] => vec![PathBuf::from("explanation.html")],
        outs => outs.to_vec(),
    };
    if let Some(other) = outs.iter().find(|out| kind_of(out).is_none()) {
        bail!("cannot tell what to write to {}: expected a name that ends in .html or .png", other.display());
    }
    let (encoder, preprocess) = model(arguments)?;
    let pictures = [&arguments.a, &arguments.b].map(|path| decode_file(path, DecodeLimits::default()));
    let [first, second] = pictures;
    let (first, second) = (first?, second?);
    let prepared = [prepare(&first, preprocess)?, prepare(&second, preprocess)?];
    let explanation = Explanation::of(&encoder, &preprocess, [&first, &second], [&prepared[0], &prepared[1]])?;
    let proxies = match &arguments.run {
        Some(run) => proxy_shares(&RunFolder::at(run), &encoder, &prepared)?,
        None => Vec::new(),
    };
    if arguments.json {
        let proxies: Vec<_> = proxies
            .iter()
            .map(|p| serde_json::json!({ "class": p.class, "similarity": p.similarity, "share": p.share }))
            .collect();
        let mut value = serde_json::to_value(&explanation)?;
        value["proxies"] = proxies.into();
        println!("{}", serde_json::to_string_pretty(&value)?);
        return Ok(());
    }
    println!("similarity {:.3}", explanation.similarity);
    println!("  from what is seen in both    {:+.3}", explanation.from_patches);
    println!("  from everything else         {:+.3}", explanation.rest);
    if let Some(best) = explanation.pairs.first() {
        let place =
            |patch: usize| format!("row {} column {}", patch / explanation.grid + 1, patch % explanation.grid + 1);
        println!(
            "  strongest pair of patches    {:+.3}  ({} and {})",
            best.share,
            place(best.first),
            place(best.second)
        );
    }
    for proxy in &proxies {
        let [a, b] = proxy.similarity;
        println!("  along proxy {:<28} {:+.3}  ({a:.2} and {b:.2})", proxy.class, proxy.share);
    }
    for out in &outs {
        write(out, &explanation, [&first, &second], arguments, &proxies)?;
        println!("wrote {}", out.display());
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Html,
    Png,
}

fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "html" | "htm" => Some(Kind::Html),
        "png" => Some(Kind::Png),
        _ => None,
    }
}

fn write(
    out: &Path,
    explanation: &Explanation,
    pictures: [&RgbImage; 2],
    arguments: &ExplainArgs,
    proxies: &[ProxyShare],
) -> Result<()> {
    let bytes = match kind_of(out) {
        Some(Kind::Png) => draw_png(explanation, pictures)?,
        _ => {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let names = [name(&arguments.a), name(&arguments.b)];
            explanation_page(explanation, pictures, [&names[0], &names[1]], proxies)?.into_bytes()
        }
    };
    Ok(kinsight_files::write(out, &bytes)?)
}

fn model(arguments: &ExplainArgs) -> Result<(Encoder, Preprocess)> {
    let device = Device::flex();
    let Some(run) = &arguments.run else {
        let name = arguments.backbone.as_deref().context("--backbone is missing")?;
        let backbone = Backbone::open(name, None)?;
        return Ok((Encoder::bare(&backbone, None, &device)?, backbone.preprocess));
    };
    let file = RunFolder::at(run).model();
    let info = read_info(&file).with_context(|| format!("{} has no finished fine-tuning", run.display()))?;
    let name = arguments.backbone.as_deref().unwrap_or(&info.backbone);
    let backbone = Backbone::open(name, Some(info.preprocess.input_size_px as usize))?;
    Ok((load_fine_tuned(&file, &backbone, &device)?, info.preprocess))
}

fn prepare(picture: &RgbImage, preprocess: Preprocess) -> Result<Vec<f32>> {
    let mut values = vec![0.0; preprocess.output_len()];
    EvalTransform::new(preprocess)?.apply(picture, &mut Scratch::new(), &mut values)?;
    Ok(values)
}

/// The proxies along which both pictures lie, those that give most first.
fn proxy_shares(run: &RunFolder, encoder: &Encoder, prepared: &[Vec<f32>; 2]) -> Result<Vec<ProxyShare>> {
    let config = run.read_config()?;
    let Some(proxies) = run.class_proxies(&config)? else { return Ok(Vec::new()) };
    // The training images may not be there any more: then a class has its number.
    let split = Split::load(&config.data.path, config.data.split, config.data.allow_overlap);
    let names = split.map(|split| split.train.class_names).unwrap_or_default();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| format!("class {class}"));
    let side = encoder.backbone.config.image_size;
    let data = TensorData::new(prepared.concat(), [2, 3, side, side]);
    let embeddings: Vec<f32> =
        encoder.forward(Tensor::<4>::from_data(data, &Device::flex())).into_data().iter::<f32>().collect();
    let (first, second) = embeddings.split_at(embeddings.len() / 2);
    let along = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let mut shares: Vec<ProxyShare> = proxies
        .iter()
        .enumerate()
        .filter(|(_, proxy)| proxy.len() == first.len())
        .map(|(class, proxy)| {
            let similarity = [along(first, proxy), along(second, proxy)];
            ProxyShare { class: name(class), similarity, share: similarity[0] * similarity[1] }
        })
        .filter(|proxy| proxy.similarity.iter().all(|similarity| *similarity > 0.0))
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares.truncate(PROXIES);
    Ok(shares)
}
