//! `kinsight methods`

use burn::tensor::Device;
use kinsight_model::parameters::{ParameterSource, inventory};
use kinsight_model::{Pooling, VitConfig};
use kinsight_train::config::{METHODS, MethodPart, Overrides};
use kinsight_train::learner::Learner;

/// Training classes that the shares are told for: those of CUB.
const CLASSES: usize = 100;

/// Lists the methods.
pub fn run() -> anyhow::Result<()> {
    println!("{:<17} {:<10} {:>17}  about", "method", "blocks", "ViT-S trains");
    for method in METHODS {
        let (trained, share) = trained_share(method)?;
        let trained = format!("{:.2} M {:5.1} %", trained as f64 / 1e6, 100.0 * share);
        println!("{:<17} {:<10} {trained:>17}  {}", method.name, method.engine.name(), method.about);
    }
    println!("\nJoin parts with +, as in --method vptsp-g+bitfit, or in a TOML: method = [\"vptsp-g\", \"bitfit\"].");
    println!("fused      on the CPU a block is a single operation that computes only the gradients it needs");
    println!("fused, dW  the same with gradients of whole weight matrices, which takes as long as full fine-tuning");
    println!(
        "Parameters for {CLASSES} classes, including their proxies. Other backends, and lora with dropout, run composed."
    );
    Ok(())
}

/// What the method trains on ViT-S, and its share of all parameters.
fn trained_share(method: &MethodPart) -> anyhow::Result<(usize, f64)> {
    let vit = VitConfig::new(224, 16, 384, 12, 6);
    let mut overrides = Overrides::default();
    overrides.set("method", method.name);
    let settings = overrides.load()?.resolve(&vit, Pooling::Class)?;
    let mut source = Zeros(Device::flex());
    let learner = Learner::from_source(&mut source, &vit, &settings.tuning, &settings.proxies, &settings.loss, CLASSES)
        .with_trainable(&settings.tuning);
    let parameters = inventory(&learner);
    let all: usize = parameters.iter().map(|p| p.count()).sum();
    let trained: usize = parameters.iter().filter(|p| p.trains).map(|p| p.count()).sum();
    Ok((trained, trained as f64 / all.max(1) as f64))
}

/// Sizes matter here, values do not.
struct Zeros(Device);

impl ParameterSource for Zeros {
    fn values(&mut self, _: &str, shape: &[usize]) -> Vec<f32> {
        vec![0.0; shape.iter().product()]
    }
    fn device(&self) -> &Device {
        &self.0
    }
}
