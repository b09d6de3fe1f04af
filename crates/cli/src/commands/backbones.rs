//! `kinsight backbones`

use kinsight_model::backbone::registry::registry;

/// Lists the registry.
pub fn run() -> anyhow::Result<()> {
    for entry in registry() {
        println!("{:<30} {}", entry.name, entry.about);
        if let Some(repository) = entry.repository {
            println!("{:<30} model.safetensors of {repository}", "");
        }
    }
    println!(
        "\nAny other timm ViT in safetensors works by its path. KINSIGHT_WEIGHTS names a folder with NAME.safetensors files."
    );
    Ok(())
}
