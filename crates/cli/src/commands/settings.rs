//! From arguments to settings.

use anyhow::Result;
use kinsight_data::SplitRule;
use kinsight_model::{Checkpoint, Compute, Engine, Precision};
use kinsight_train::config::{Overrides, TrainConfig, parse_assignment};

use crate::arguments::{BankArg, CheckpointArg, ComputeArgs, EngineArg, PrecisionArg, SplitArg, TrainArgs};

/// The settings that a `train` command line amounts to.
pub fn train_config(arguments: &TrainArgs) -> Result<TrainConfig> {
    let mut overrides = Overrides::default();
    if let Some(path) = &arguments.config {
        overrides = overrides.with_file(path)?;
    }
    let mut set_text = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            overrides.set(key, value);
        }
    };
    set_text("method", arguments.method.clone());
    set_text("backbone", arguments.backbone.clone());
    set_text("data.path", arguments.data.as_ref().map(|path| path.display().to_string()));
    let mut set_number = |key: &str, value: Option<i64>| {
        if let Some(value) = value {
            overrides.set(key, value);
        }
    };
    set_number("epochs", arguments.epochs.map(|n| n as i64));
    set_number("seed", arguments.seed.map(|n| n as i64));
    set_number("sampling.batch_size", arguments.batch_size.map(|n| n as i64));
    set_number("sampling.images_per_class", arguments.images_per_class.map(|n| n as i64));
    set_number("tuning.embedding", arguments.embedding.map(|n| n as i64));
    set_number("data.image_size", arguments.image_size.map(|n| n as i64));
    for (key, rate) in [("optimizer.lr", arguments.lr), ("optimizer.lr_proxies", arguments.lr_proxies)] {
        if let Some(rate) = rate {
            overrides.set(key, rate);
        }
    }
    arguments.conveniences.apply(&mut overrides);
    if let Some(bank) = arguments.bank {
        overrides.set("proxies.memory_bank", true);
        overrides.set("proxies.bank_storage", if matches!(bank, BankArg::Disk) { "disk" } else { "ram" });
    }
    for assignment in &arguments.set {
        overrides.assignments.push(parse_assignment(assignment)?);
    }
    let mut config = overrides.load()?;
    if let Some(split) = arguments.split {
        config.data.split = Some(split_rule(split, config.seed));
    }
    if let Some(layout) = arguments.dataset {
        config.data.split = Some(SplitRule::Official { layout, boxes: arguments.boxes });
    } else if arguments.boxes {
        let rule = config.data.split.unwrap_or_else(|| SplitRule::detect(&config.data.path));
        let SplitRule::Official { layout, .. } = rule else {
            anyhow::bail!("--boxes: {} is not the folder of a known data set with boxes", config.data.path.display());
        };
        config.data.split = Some(SplitRule::Official { layout, boxes: true });
    }
    apply(&arguments.compute, &mut config.compute);
    config.deterministic |= arguments.deterministic;
    Ok(config)
}

/// The rule that `--split` names.
pub fn split_rule(split: SplitArg, seed: u64) -> SplitRule {
    match split {
        SplitArg::FirstHalf => SplitRule::FirstHalf,
        SplitArg::RandomHalf => SplitRule::RandomHalf { seed },
        SplitArg::Folders => SplitRule::Folders,
        SplitArg::Csv => SplitRule::Csv,
    }
}

/// Puts the flags over `compute`.
pub fn apply(arguments: &ComputeArgs, compute: &mut Compute) {
    if let Some(engine) = arguments.engine {
        compute.engine = match engine {
            EngineArg::Fused => Engine::Fused,
            EngineArg::Composed => Engine::Composed,
        };
    }
    if let Some(precision) = arguments.precision {
        compute.precision = match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::Bf16 => Precision::Bf16,
        };
    }
    if let Some(checkpoint) = arguments.checkpoint {
        compute.checkpoint = match checkpoint {
            CheckpointArg::Auto => Checkpoint::Auto,
            CheckpointArg::None => Checkpoint::None,
            CheckpointArg::Mlp => Checkpoint::Mlp,
            CheckpointArg::Block => Checkpoint::Block,
        };
    }
}

/// Sets the number of computing threads; must run before any work.
pub fn use_threads(threads: Option<usize>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    Ok(())
}
