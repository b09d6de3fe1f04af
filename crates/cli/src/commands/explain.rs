//! `kinsight explain`: why a model finds two images similar.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use kinsight_data::{DecodeLimits, EvalTransform, Preprocess, RgbImage, Scratch, decode_file};
use kinsight_model::explain::{prompt_attention, trace};
use kinsight_model::{EmbeddingModel, Encoder};
use kinsight_report::explanation::{Evidence, Explanation, ProxyShare, draw_png, explanation_page};
use kinsight_train::run::{RunFolder, evidence_of};

use crate::context::{ComputeArgs, ModelArgs};

const EXAMPLES: &str = "\
Examples:
  As a page with matching parts, evidence, attention, prompts and proxies:
    kinsight explain a.jpg b.jpg --run runs/first

  As an image, with a bare backbone:
    kinsight explain a.jpg b.jpg --backbone deit_tiny --out why.png

  For a script:
    kinsight explain a.jpg b.jpg --run runs/first --json";

/// Proxies that are shown.
const PROXIES: usize = 8;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The first image
    pub a: PathBuf,
    /// The second image
    pub b: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Output file, .html or .png; can be repeated [default: explanation.html]
    #[arg(long, conflicts_with = "json")]
    pub out: Vec<PathBuf>,
    /// Print the numbers as JSON instead of writing a file
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Explains, and writes what was asked for.
pub fn run(arguments: ExplainArgs) -> Result<()> {
    let ExplainArgs { a, b, model, out, json, compute } = arguments;
    let (model, context) = (model.resolve(), compute.resolve()?);
    let outs = if out.is_empty() { vec![PathBuf::from("explanation.html")] } else { out };
    if let Some(other) = outs.iter().find(|out| kind_of(out).is_none()) {
        bail!("cannot write {}: expected a name ending in .html or .png", other.display());
    }
    let run = model.run.clone();
    let model = context.model(&model)?;
    let [first, second] = [&a, &b].map(|path| decode_file(path, DecodeLimits::default()));
    let (first, second) = (first?, second?);
    let EmbeddingModel { encoder, preprocess, .. } = &model;
    let prepared = [prepare(&first, *preprocess)?, prepare(&second, *preprocess)?];
    let explanation = explain(encoder, preprocess, [&first, &second], [&prepared[0], &prepared[1]])?;
    let proxies = match &run {
        Some(run) => proxy_shares(&RunFolder::at(run), &model, &prepared)?,
        None => Vec::new(),
    };
    if json {
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
    println!("  from pairs of patches        {:+.3}", explanation.from_patches);
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
        println!("  along the proxy of {:<21} {:+.3}  (similarities {a:.2} and {b:.2})", proxy.class, proxy.share);
    }
    for out in &outs {
        write(out, &explanation, [&first, &second], [&a, &b], &proxies)?;
        println!("wrote {}", out.display());
    }
    Ok(())
}

/// Why the model finds two pictures similar; `prepared` are the pictures as `preprocess` makes them.
fn explain(
    encoder: &Encoder,
    preprocess: &Preprocess,
    pictures: [&RgbImage; 2],
    prepared: [&[f32]; 2],
) -> Result<Explanation> {
    let traces = [trace(encoder, prepared[0])?, trace(encoder, prepared[1])?];
    let prompts = [prompt_attention(encoder, prepared[0])?, prompt_attention(encoder, prepared[1])?];
    let evidence = Evidence { prompts, ..evidence_of(traces.each_ref()) };
    Ok(Explanation::new(evidence, pictures.map(|picture| (picture.width(), picture.height())), preprocess))
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
    paths: [&Path; 2],
    proxies: &[ProxyShare],
) -> Result<()> {
    let bytes = match kind_of(out) {
        Some(Kind::Png) => draw_png(explanation, pictures)?,
        _ => {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let names = paths.map(name);
            explanation_page(explanation, pictures, [&names[0], &names[1]], proxies)?.into_bytes()
        }
    };
    Ok(kinsight_files::write(out, &bytes)?)
}

fn prepare(picture: &RgbImage, preprocess: Preprocess) -> Result<Vec<f32>> {
    let mut values = vec![0.0; preprocess.output_len()];
    EvalTransform::new(preprocess)?.apply(picture, &mut Scratch::new(), &mut values)?;
    Ok(values)
}

/// The proxies that both images are similar to, largest share first.
fn proxy_shares(run: &RunFolder, model: &EmbeddingModel, prepared: &[Vec<f32>; 2]) -> Result<Vec<ProxyShare>> {
    let Some(proxies) = run.class_proxies()? else {
        if model.training.is_none() {
            eprintln!("warning: an older version trained the run and did not store its classes; proxies are left out");
        }
        return Ok(Vec::new());
    };
    let embeddings = model.embed_prepared(prepared.concat(), 2);
    let (first, second) = embeddings.split_at(embeddings.len() / 2);
    let along = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let mut shares: Vec<ProxyShare> = proxies
        .named()
        .map(|(class, proxy)| {
            let similarity = [along(first, proxy), along(second, proxy)];
            ProxyShare { class, similarity, share: similarity[0] * similarity[1] }
        })
        .filter(|proxy| proxy.similarity.iter().all(|similarity| *similarity > 0.0))
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares.truncate(PROXIES);
    Ok(shares)
}
