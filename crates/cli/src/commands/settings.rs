//! From arguments to settings.

use anyhow::Result;
use kinsight_data::SplitRule;
use kinsight_train::bank::BankStorage;
use kinsight_train::config::{Overrides, TrainConfig, parse_assignment};
use toml::Value;

use crate::arguments::{SettingArgs, SplitArg, TrainComputeArgs};
use crate::context::Context;

impl SettingArgs {
    /// The settings that a command line amounts to, and what to compute with.
    ///
    /// # Errors
    /// A setting that is unknown or does not fit, or a device that this program was built without.
    pub fn resolve(self) -> Result<(TrainConfig, Context)> {
        let Self {
            method,
            backbone,
            data,
            dataset,
            boxes,
            config: file,
            epochs,
            seed,
            batch_size,
            images_per_class,
            lr,
            lr_proxies,
            embedding,
            image_size,
            split,
            set,
            bank,
            deterministic,
            conveniences,
            compute,
        } = self;
        let mut overrides = Overrides::default();
        if let Some(path) = file {
            overrides = overrides.with_file(&path)?;
        }
        let number = |value: Option<usize>| value.map(|value| Value::from(value as i64));
        let settings: [(&str, Option<Value>); 11] = [
            ("method", method.map(Value::from)),
            ("backbone", backbone.map(Value::from)),
            ("data.path", data.map(|path| path.display().to_string().into())),
            ("epochs", number(epochs)),
            ("seed", seed.map(|seed| Value::from(seed as i64))),
            ("sampling.batch_size", number(batch_size)),
            ("sampling.images_per_class", number(images_per_class)),
            ("tuning.embedding", number(embedding)),
            ("data.image_size", number(image_size)),
            ("optimizer.lr", lr.map(Value::from)),
            ("optimizer.lr_proxies", lr_proxies.map(Value::from)),
        ];
        for (key, value) in settings {
            value.into_iter().for_each(|value| overrides.set(key, value));
        }
        conveniences.apply(&mut overrides);
        if let Some(bank) = bank {
            overrides.set("proxies.memory_bank", true);
            overrides.set("proxies.bank_storage", if bank == BankStorage::Disk { "disk" } else { "ram" });
        }
        for assignment in &set {
            overrides.assignments.push(parse_assignment(assignment)?);
        }
        let mut config = overrides.load()?;
        if let Some(split) = split {
            config.data.split = Some(split_rule(split, config.seed));
        }
        if let Some(layout) = dataset {
            config.data.split = Some(SplitRule::Official { layout, boxes });
        } else if boxes {
            let rule = config.data.split.unwrap_or_else(|| SplitRule::detect(&config.data.path));
            let SplitRule::Official { layout, .. } = rule else {
                let path = config.data.path.display();
                anyhow::bail!("--boxes: {path} is not the folder of a known data set with boxes");
            };
            config.data.split = Some(SplitRule::Official { layout, boxes: true });
        }
        config.deterministic |= deterministic;
        let context = compute.resolve()?;
        config.compute = context.compute.over(config.compute);
        Ok((config, context))
    }
}

impl TrainComputeArgs {
    /// What to compute with.
    ///
    /// # Errors
    /// A device that this program was built without.
    pub fn resolve(self) -> Result<Context> {
        let Self { compute, checkpoint } = self;
        let mut context = compute.resolve()?;
        context.compute.checkpoint = checkpoint;
        Ok(context)
    }
}

/// Refuses settings without images.
pub fn require_images(config: &TrainConfig) -> Result<()> {
    anyhow::ensure!(
        !config.data.path.as_os_str().is_empty(),
        "no images are named\nhint: name them with --data DIR, or as data.path in the configuration"
    );
    Ok(())
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
