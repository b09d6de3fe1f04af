//! `kinsight backbones`

use clap::Args;
use kinsight_model::backbone::registry::{RegistryEntry, registry};
use serde_json::json;

const EXAMPLES: &str = "\
Examples:
  The backbones of one family:
    kinsight backbones dinov2

  For a script:
    kinsight backbones --json";

/// Arguments of `backbones`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BackbonesArgs {
    /// Only list backbones whose name or description contains this text
    pub filter: Option<String>,
    /// Print the list as JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists the registry.
pub fn run(arguments: &BackbonesArgs) -> anyhow::Result<()> {
    let filter = arguments.filter.as_deref().unwrap_or_default().to_lowercase();
    let wanted = |entry: &RegistryEntry| format!("{} {}", entry.name, entry.about).to_lowercase().contains(&filter);
    let entries: Vec<RegistryEntry> = registry().into_iter().filter(wanted).collect();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&entries.iter().map(as_json).collect::<Vec<_>>())?);
        return Ok(());
    }
    let mut about = "";
    for entry in &entries {
        if entry.about != about {
            about = entry.about;
            println!("\n{about}");
        }
        let config = &entry.config;
        println!(
            "  {:<36} {:>4} px, {:>4} wide, {:>2} blocks, {:<9} {}",
            entry.name,
            config.image_size,
            config.width,
            config.depth,
            engine(entry),
            entry.repository.unwrap_or("built in")
        );
    }
    println!(
        "\nfused: the CPU runs blocks in its own kernel. composed: in plain tensor operations, several times slower on a CPU."
    );
    println!(
        "Any other ViT of these families works by its path (a safetensors file, or a folder with model.safetensors\n\
         and config.json) or as OWNER/NAME on the Hugging Face Hub. KINSIGHT_WEIGHTS names a folder with NAME.safetensors files."
    );
    Ok(())
}

fn engine(entry: &RegistryEntry) -> &'static str {
    if entry.config.runs_fused() { "fused" } else { "composed" }
}

fn as_json(entry: &RegistryEntry) -> serde_json::Value {
    json!({
        "name": entry.name,
        "repository": entry.repository,
        "layout": entry.layout.name(),
        "about": entry.about,
        "engine": engine(entry),
        "pooling": entry.pooling.name(),
        "config": entry.config,
        "preprocess": entry.preprocess,
    })
}
