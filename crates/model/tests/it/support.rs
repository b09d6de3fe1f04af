//! What several of these tests need.

use burn::tensor::Device;
use kinsight_model::parameters::{ParameterSource, normal_values};
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Values of unit size everywhere, so that no part of a model is invisible.
pub struct Noise {
    pub rng: ChaCha8Rng,
    device: Device,
}

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device: Device::flex() }
    }
}

impl ParameterSource for Noise {
    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let inputs = if shape.len() == 2 { shape[1] } else { 4 };
        let mut values = normal_values(&mut self.rng, shape.iter().product(), (inputs as f64).powf(-0.5));
        if name.contains("norm") && name.ends_with("weight") {
            values.iter_mut().for_each(|v| *v += 1.0);
        }
        values
    }
    fn device(&self) -> &Device {
        &self.device
    }
}

/// The same cases at every run, so that rounding near the tolerance fails no build by chance; `PROPTEST_RNG_SEED` asks for
/// others.
pub fn repeatable(cases: u32) -> ProptestConfig {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        given => given,
    };
    ProptestConfig { rng_seed, ..config }
}
