//! What is attached to layers folds into plain weights: the folded backbone computes the same.

use burn::tensor::{Device, Tensor, TensorData};
use kinsight_model::export::folded_backbone;
use kinsight_model::parameters::{ParameterSource, inventory, normal_values};
use kinsight_model::tuning::BiasPart;
use kinsight_model::vit::lora::{LoraConfig, LoraTarget};
use kinsight_model::{Encoder, Tuning, VitConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

struct Noise(ChaCha8Rng, Device);

impl ParameterSource for Noise {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let mut values = normal_values(&mut self.0, shape.iter().product(), 0.2);
        if name.contains("norm") && name.ends_with("weight") || name.ends_with(".ssf.scale") {
            values.iter_mut().for_each(|v| *v += 1.0);
        }
        values
    }
    fn device(&self) -> &Device {
        &self.1
    }
}

#[test]
fn lora_ssf_and_parts_of_biases_fold_into_plain_weights() {
    let targets = vec![LoraTarget::Qkv, LoraTarget::Proj, LoraTarget::Mlp];
    for dora in [false, true] {
        let tuning = Tuning {
            lora: Some(LoraConfig { rank: 2, targets: targets.clone(), dora, ..LoraConfig::default() }),
            ssf: true,
            bitfit: true,
            bitfit_parts: vec![BiasPart::V],
            ..Tuning::default()
        };
        let device = Device::flex();
        let config = VitConfig::new(16, 8, 12, 2, 2);
        let mut source = Noise(ChaCha8Rng::seed_from_u64(3), device.clone());
        let encoder = Encoder::from_source(&mut source, &config, &tuning);
        let folded = folded_backbone(&encoder, &tuning).unwrap();
        let names: Vec<String> = inventory(&folded).into_iter().map(|p| p.name).collect();
        assert!(names.iter().all(|name| !name.contains("lora") && !name.contains("ssf") && !name.contains("offset")));
        let images = TensorData::new(normal_values(&mut source.0, 2 * 3 * 16 * 16, 1.0), [2, 3, 16, 16]);
        let images = Tensor::<4>::from_data(images, &device);
        let attached =
            encoder.backbone.features(encoder.backbone.embed(images.clone()), 0, Vec::new(), encoder.pooling);
        let plain = folded.features(folded.embed(images), 0, Vec::new(), encoder.pooling);
        let worst = (attached - plain).abs().max().into_scalar::<f32>();
        assert!(worst < 1e-5, "dora {dora}: largest difference {worst:e}");
    }
}
