//! Numbers that no run can mean: not finite, or so large that memory or time would end before training starts.
//!
//! They are refused before anything is built from them; what a setting means is checked where the settings are resolved.

use toml::Value;

use super::{TrainConfig, layers};
use crate::error::TrainError;

/// The largest values of settings that memory grows with. All of them are far above what has been of use.
const MOST: [(&str, i64); 9] = [
    ("tuning.prompts.count", 1 << 12),
    ("proxies.class_prompts.count", 1 << 12),
    ("tuning.adapter.bottleneck", 1 << 14),
    ("tuning.embedding", 1 << 14),
    ("loss.soft_triple.centers_per_class", 1 << 10),
    ("sampling.batch_size", 1 << 14),
    ("data.image_size", 1 << 12),
    ("data.workers", 1 << 10),
    ("optimizer.accumulate", 1 << 20),
];

/// The largest value of any other whole number but the seed: epochs, steps.
const MOST_OF_ALL: i64 = 1 << 30;

/// Refuses what is not finite or above its bound.
///
/// # Errors
/// [`TrainError::Config`] names the setting.
pub(super) fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let fail = |message: String, hint: &str| Err(TrainError::config(message, hint));
    for (key, value) in layers::leaves(config)? {
        let problem = match value {
            Value::Float(value) if !value.is_finite() => format!("{key} is {value}, expected a finite number"),
            Value::Integer(value) if key != "seed" => {
                match MOST.iter().find(|(name, _)| *name == key).map_or(MOST_OF_ALL, |(_, most)| *most) {
                    most if value > most => format!("{key} is {value}, expected at most {most}"),
                    _ => continue,
                }
            }
            _ => continue,
        };
        return fail(problem, &format!("leave {key} out for its default"));
    }
    let area = config.data.min_crop_area;
    if !(area > 0.0 && area <= 1.0) {
        let hint = "0.08 shows at least a twelfth of the image, as the authors do";
        return fail(format!("data.min_crop_area is {area}, expected above 0 to 1"), hint);
    }
    if config.data.image_size == Some(0) {
        return fail("data.image_size is 0".into(), "leave it out for the backbone's own size");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_of_a_setting() {
        let mut config = TrainConfig::default();
        config.tuning.prompts = Some(kinsight_model::prompts::PromptSchedule::default());
        config.tuning.adapter = Some(kinsight_model::vit::adapter::AdapterConfig::default());
        config.tuning.embedding = Some(8);
        config.data.image_size = Some(32);
        let keys: Vec<String> = config.flattened().into_iter().map(|(key, _)| key).collect();
        for (name, _) in MOST {
            assert!(keys.iter().any(|key| key == name), "no setting {name}");
        }
        assert!(check(&config).is_ok());
    }
}
