//! What is compared: entries with their settings, and seeds.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::config::{Overrides, parse_method};
use crate::error::TrainError;

/// A comparison as a TOML states it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareSpec {
    /// Heading of the tables.
    pub title: String,
    /// Seeds of the runs of each entry.
    #[serde(default = "three_seeds")]
    pub seeds: Vec<u64>,
    /// Settings of all runs, as `kinsight train` takes them.
    #[serde(default)]
    pub settings: Table,
    /// What is compared.
    #[serde(rename = "entry")]
    pub entries: Vec<CompareEntry>,
}

/// One row of a comparison.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareEntry {
    /// Its name in the tables.
    pub name: String,
    /// Its settings, over those of all runs.
    #[serde(default)]
    pub settings: Table,
}

/// One run of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// The entry it belongs to.
    pub name: String,
    /// The entry's name as a folder is called.
    pub slug: String,
    /// Its seed.
    pub seed: u64,
    /// Its settings as a TOML for `kinsight train --config`.
    pub settings: String,
}

fn three_seeds() -> Vec<u64> {
    vec![0, 1, 2]
}

impl CompareSpec {
    /// Reads a comparison.
    ///
    /// # Errors
    /// [`TrainError`] if the file cannot be read, has an unknown key, or names nothing to compare.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let io = |source| TrainError::Io { action: "read", path: path.to_path_buf(), source };
        let text = std::fs::read_to_string(path).map_err(io)?;
        let spec: Self = toml::from_str(&text).map_err(|error| TrainError::Config {
            message: format!("{}: {}", path.display(), error.to_string().trim_end()),
            hint: "a comparison has title, seeds, [settings] and [[entry]] with name and settings".into(),
        })?;
        spec.check()
    }

    /// A comparison of methods by name, with nothing else set.
    ///
    /// # Errors
    /// [`TrainError::Config`] for an unknown method.
    pub fn of_methods(methods: &[String]) -> Result<Self, TrainError> {
        let entries = methods
            .iter()
            .map(|method| {
                parse_method(method)?;
                let settings = Table::from_iter([("method".to_string(), Value::String(method.clone()))]);
                Ok(CompareEntry { name: method.clone(), settings })
            })
            .collect::<Result<_, TrainError>>()?;
        Self { title: "Methods".into(), seeds: three_seeds(), settings: Table::new(), entries }.check()
    }

    fn check(self) -> Result<Self, TrainError> {
        let fail = |message: String| Err(TrainError::Config { message, hint: String::new() });
        if self.entries.is_empty() || self.seeds.is_empty() {
            return fail("nothing to compare: give at least one entry and one seed".into());
        }
        let mut slugs = std::collections::BTreeSet::new();
        for entry in &self.entries {
            if !slugs.insert(slug(&entry.name)) {
                return fail(format!("two entries would use the same folder: {}", entry.name));
            }
        }
        Ok(self)
    }

    /// All runs, with `above` over the settings of each; the entries take turns, so that a comparison that is stopped early
    /// has the first seed of every one.
    ///
    /// # Errors
    /// [`TrainError::Config`] names the entry whose settings cannot be read.
    pub fn runs(&self, above: &[Table]) -> Result<Vec<PlannedRun>, TrainError> {
        let mut runs = Vec::new();
        for seed in &self.seeds {
            for entry in &self.entries {
                let mut overrides = Overrides::default();
                overrides.assignments.extend([self.settings.clone(), entry.settings.clone()]);
                overrides.assignments.extend(above.iter().cloned());
                overrides.set("seed", *seed as i64);
                let named = |error: TrainError| TrainError::Config {
                    message: format!("entry {:?}: {error}", entry.name),
                    hint: error.hint().unwrap_or_default(),
                };
                let settings = overrides.load().map_err(named)?.to_toml()?;
                runs.push(PlannedRun { name: entry.name.clone(), slug: slug(&entry.name), seed: *seed, settings });
            }
        }
        Ok(runs)
    }
}

/// A name as a folder is called: lower-case letters, digits and dashes.
fn slug(name: &str) -> String {
    let mapped: String = name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
    mapped.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "title = \"t\"\nseeds = [0, 5]\n[settings]\nepochs = 3\n[[entry]]\nname = \"VPT + BitFit\"\n\
                        settings = { method = \"vpt+bitfit\", tuning.prompts = { count = 4, depth = 2 } }\n\
                        [[entry]]\nname = \"Linear\"\nsettings = { method = \"linear\" }\n";

    #[test]
    fn runs_take_turns_and_carry_all_layers() {
        let spec: CompareSpec = toml::from_str(SPEC).unwrap();
        let above = crate::config::parse_assignment("backbone=kinsight_nano").unwrap();
        let runs = spec.runs(&[above]).unwrap();
        let names: Vec<_> = runs.iter().map(|run| (run.slug.as_str(), run.seed)).collect();
        assert_eq!(names, [("vpt-bitfit", 0), ("linear", 0), ("vpt-bitfit", 5), ("linear", 5)]);
        let config: crate::TrainConfig = toml::from_str(&runs[2].settings).unwrap();
        assert_eq!((config.epochs, config.seed, config.backbone.as_str()), (3, 5, "kinsight_nano"));
        assert_eq!(config.tuning.prompts.unwrap().count, 4);
    }

    #[test]
    fn mistakes_are_told_with_the_entry() {
        let spec: CompareSpec = toml::from_str(&SPEC.replace("\"linear\"", "\"linaer\"")).unwrap();
        let error = spec.runs(&[]).unwrap_err();
        assert!(error.to_string().contains("Linear") && error.to_string().contains("linaer"), "{error}");
        assert!(CompareSpec::of_methods(&["linear".into(), "linear".into()]).is_err());
        assert!(CompareSpec::of_methods(&["nothing".into()]).is_err());
    }
}
