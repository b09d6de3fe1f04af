//! The images that a command works on: where they are, which part of them, by which layout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use kinsight_data::{Dataset, Layout, Protocol, Split, SplitRule};
use kinsight_train::TrainConfig;

use super::settings::split_rule;
use crate::arguments::{PartArg, SplitArg};

/// Which images, in commands that measure.
#[derive(Debug, Args)]
pub struct ImageArgs {
    /// Images: folder of class folders, folder with train/ and test/, folder of a published dataset, CSV or Parquet [default: the run's]
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Published dataset in --data: cub, cars, sop, in_shop, inaturalist [default: recognized by its files]
    #[arg(long, value_parser = layout)]
    pub dataset: Option<Layout>,
    /// Crop images to the dataset's annotated boxes
    #[arg(long)]
    pub boxes: bool,
    /// Which classes to use
    #[arg(long, value_enum, default_value = "test")]
    pub part: PartArg,
    /// How to split the classes [default: as in the run, or depending on --data]
    #[arg(long, value_enum, conflicts_with = "dataset")]
    pub split: Option<SplitArg>,
    /// Seed of --split random-half
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Only these classes: comma-separated names, or a file with one name per line
    #[arg(long, value_name = "NAMES|FILE")]
    pub only_classes: Option<String>,
}

/// A data set by its name on the command line.
pub fn layout(name: &str) -> Result<Layout, String> {
    let known = || Layout::ALL.map(Layout::name).join(", ");
    Layout::from_name(name).ok_or_else(|| format!("unknown dataset, expected one of {}", known()))
}

/// Images and how they are measured.
pub struct Images {
    /// The images.
    pub dataset: Dataset,
    /// Who asks and who answers.
    pub protocol: Protocol,
    /// The training side, where there is one apart.
    pub train: Option<Dataset>,
}

impl ImageArgs {
    /// The rule of the split, where the arguments or the run give one.
    fn rule(&self, path: &Path, config: Option<&TrainConfig>) -> Option<SplitRule> {
        let named = self.dataset.map(|layout| SplitRule::Official { layout, boxes: self.boxes });
        let of_run = || config.filter(|config| config.data.are_at(path)).and_then(|config| config.data.split);
        let rule = named.or_else(|| self.split.map(|split| split_rule(split, self.seed))).or_else(of_run);
        match rule.unwrap_or_else(|| SplitRule::detect(path)) {
            SplitRule::Official { layout, boxes } => Some(SplitRule::Official { layout, boxes: boxes || self.boxes }),
            _ => rule,
        }
    }

    /// Reads what the arguments say.
    pub fn load(&self, config: Option<&TrainConfig>) -> Result<Images> {
        let path = self.data.clone().or_else(|| config.map(|config| config.data.path.clone()));
        let path = path.context("no images given: use --data")?;
        anyhow::ensure!(
            self.data.is_some() || path.exists(),
            "the images that the run was trained on are no longer at {}\nhint: name the place where they are now with --data",
            path.display()
        );
        let rule = self.rule(&path, config);
        let overlap = config.is_some_and(|config| config.data.allow_overlap);
        let mut images = match (self.part, rule.unwrap_or_else(|| SplitRule::detect(&path))) {
            (PartArg::All, SplitRule::FirstHalf | SplitRule::RandomHalf { .. }) => {
                Images::whole(if path.is_file() { Dataset::from_csv(&path)? } else { Dataset::from_folder(&path)? })
            }
            (PartArg::All, SplitRule::Csv) if Split::load(&path, rule, true).is_err() => {
                Images::whole(Dataset::from_csv(&path)?)
            }
            (part, _) => {
                let split = Split::load(&path, rule, overlap || part == PartArg::All)?;
                match part {
                    PartArg::All => Images::whole(split.merged()),
                    PartArg::Train => Images::whole(split.train),
                    PartArg::Test => Images { dataset: split.test, protocol: split.protocol, train: Some(split.train) },
                }
            }
        };
        if let Some(only) = &self.only_classes {
            let names = class_list(only)?;
            let indices = images.dataset.items_of_classes(&names).map_err(|unknown| {
                anyhow::anyhow!("--only-classes: {} is not a class of {}", unknown.join(", "), path.display())
            })?;
            images.dataset = images.dataset.select(&indices);
            images.protocol = images.protocol.select(&indices);
        }
        Ok(images)
    }
}

impl Images {
    fn whole(dataset: Dataset) -> Self {
        Self { dataset, protocol: Protocol::default(), train: None }
    }
}

/// Names in a file, one a line, or joined by commas.
fn class_list(text: &str) -> Result<Vec<String>> {
    let path = Path::new(text);
    let text = if path.is_file() {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?.replace('\n', "\0")
    } else {
        text.replace(',', "\0")
    };
    let names: Vec<String> =
        text.split('\0').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    anyhow::ensure!(!names.is_empty(), "--only-classes is empty");
    Ok(names)
}
