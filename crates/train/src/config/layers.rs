//! Layers of settings: presets, files and single assignments merged before they are read.

use std::path::Path;

use toml::{Table, Value};

use super::{TrainConfig, Variant, method};
use crate::error::TrainError;

/// Settings above the defaults: a file, then assignments in order.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// TOML text and where it came from.
    pub file: Option<(String, String)>,
    /// `key.path = value` tables, as [`parse_assignment`] gives.
    pub assignments: Vec<Table>,
}

impl Overrides {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`TrainError::Io`]
    pub fn with_file(mut self, path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(|source| TrainError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        self.file = Some((text, path.display().to_string()));
        Ok(self)
    }

    /// Sets one value.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.assignments.push(nested(key, value.into()));
    }

    /// Merges all layers and reads the result.
    ///
    /// A method that is assigned takes the place of the file's: prompts and all else that made the file's method are left
    /// out, its options stay for the parts that both have, and so does what belongs to no method.
    ///
    /// # Errors
    /// [`TrainError::Config`] for invalid TOML, an unknown key, a wrong type or an unknown method.
    pub fn load(mut self) -> Result<TrainConfig, TrainError> {
        let mut above = Table::new();
        if let Some((text, name)) = &self.file {
            above = text.parse().map_err(|error: toml::de::Error| invalid(name, &error))?;
        }
        std::iter::once(&mut above).chain(&mut self.assignments).for_each(rename);
        let of_file = method::name_in(&above);
        let of_assignments = self.assignments.iter().rev().find_map(method::name_in);
        let method = of_assignments.or_else(|| of_file.clone()).unwrap_or_else(|| TrainConfig::default().method);
        let presets = method::parse_method(&method)?;
        let mut settings =
            Table::try_from(TrainConfig::default()).map_err(|error| TrainError::config(error.to_string(), ""))?;
        if of_file.is_some_and(|name| name != method) {
            method::forget_method(&mut above, &presets, &settings);
        }
        for assignment in self.assignments {
            merge(&mut above, assignment);
        }
        let variant = above.get("variant").cloned().and_then(|value| value.try_into::<Variant>().ok());
        for preset in presets {
            merge(&mut settings, preset);
        }
        merge(&mut settings, variant.unwrap_or_default().preset());
        settings.insert("method".into(), Value::String(method));
        merge(&mut settings, above);
        Value::Table(settings).try_into().map_err(|error: toml::de::Error| {
            // The same mistake in the file alone is told with its line.
            let in_file =
                self.file.as_ref().and_then(|(text, name)| Some((name, toml::from_str::<TrainConfig>(text).err()?)));
            in_file.map_or_else(|| invalid("settings", &error), |(name, error)| invalid(name, &error))
        })
    }
}

fn invalid(name: &str, error: &toml::de::Error) -> TrainError {
    let message = format!("{name}: {}", error.to_string().trim_end());
    let hint = match error.message().contains(RETIRED) {
        true => {
            "leave it out: prompts carry no position and attention does not see the order of tokens, so both places are the \
             same function"
        }
        false => "`kinsight train --print-config` shows every setting with its value",
    };
    TrainError::Config { message, hint: hint.into() }
}

/// A setting of `[proxies]` that older versions took, though it changed nothing.
const RETIRED: &str = "class_prompt_position";

/// The settings that a run saved, by this version or an older one.
///
/// # Errors
/// Invalid TOML, an unknown key or a wrong type.
pub fn read_saved(text: &str) -> Result<TrainConfig, toml::de::Error> {
    let mut settings: Table = text.parse()?;
    if let Some(Value::Table(proxies)) = settings.get_mut("proxies") {
        proxies.remove(RETIRED);
    }
    Value::Table(settings).try_into()
}

/// Reads `key.path=value`; the value is TOML, and what is not TOML is taken as a string.
///
/// # Errors
/// [`TrainError::Config`] if there is no `=`.
pub fn parse_assignment(text: &str) -> Result<Table, TrainError> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        TrainError::config(format!("{text} is not a setting"), "expected KEY=VALUE, such as --set optimizer.lr=0.001")
    })?;
    let (key, value) = (key.trim(), value.trim());
    let parsed: Option<Table> = format!("value = {value}").parse().ok();
    let value = parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(value.to_string()));
    Ok(nested(key, value))
}

fn nested(key: &str, value: Value) -> Table {
    match key.split_once('.') {
        None => Table::from_iter([(key.to_string(), value)]),
        Some((first, rest)) => Table::from_iter([(first.to_string(), Value::Table(nested(rest, value)))]),
    }
}

/// Settings that had another name before, so that old files, runs and commands are still read. A layer must not bring the
/// old name next to the new one of the layer below: both would be given, which is an error.
const RENAMED: &[(&str, &str)] = &[
    ("proxies.learned_share", "proxy_bias_ratio"),
    ("proxies.normalise_learned", "normalize_learned"),
    ("prompt_spread", "da_vpt"),
    ("loss.soft_triple.centers", "centers_per_class"),
];

/// Gives the settings of one layer their present names.
fn rename(layer: &mut Table) {
    for (old, new) in RENAMED {
        let mut path = old.split('.').collect::<Vec<_>>();
        let key = path.pop().unwrap_or_default();
        let table = path.into_iter().try_fold(&mut *layer, |table, part| table.get_mut(part)?.as_table_mut());
        if let Some(table) = table
            && let Some(value) = table.remove(key)
        {
            table.insert((*new).to_string(), value);
        }
    }
}

/// Puts `above` over `below`, table by table.
fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// Every setting with its dotted key.
///
/// # Errors
/// [`TrainError::Config`] if a value cannot be written as TOML.
pub(super) fn leaves(config: &TrainConfig) -> Result<Vec<(String, Value)>, TrainError> {
    let value = Value::try_from(config)
        .map_err(|error| TrainError::Config { message: error.to_string(), hint: String::new() })?;
    let mut rows = Vec::new();
    flatten("", value, &mut rows);
    Ok(rows)
}

fn flatten(prefix: &str, value: Value, rows: &mut Vec<(String, Value)>) {
    match value {
        Value::Table(table) => {
            for (key, inner) in table {
                let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&path, inner, rows);
            }
        }
        leaf => rows.push((prefix.to_string(), leaf)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, assignments: &[&str]) -> Result<TrainConfig, TrainError> {
        let assignments = assignments.iter().map(|text| parse_assignment(text).unwrap()).collect();
        Overrides { file: Some((file.into(), "test.toml".into())), assignments }.load()
    }

    #[test]
    fn layers_win_in_order() {
        let config = load(
            "method = \"vpt+bitfit\"\nepochs = 3\n[tuning.prompts]\ncount = 4\ndepth = 2",
            &["epochs=5", "backbone=kinsight_nano", "tuning.prompts.step=1"],
        )
        .unwrap();
        assert_eq!((config.epochs, config.backbone.as_str()), (5, "kinsight_nano"));
        let prompts = config.tuning.prompts.unwrap();
        assert_eq!((prompts.count, prompts.depth, prompts.step), (4, 2, 1));
        assert!(config.tuning.bitfit);
    }

    #[test]
    fn the_paper_is_one_switch_and_its_points_can_be_set_apart() {
        let config = load("variant = \"paper\"", &["proxies.tower_prompts=none"]).unwrap();
        assert_eq!(config.proxies.accumulator.gru_gate, crate::accumulator::GruGate::Paper);
        assert_eq!(config.loss.proxy_anchor.positive_mean, crate::loss::PositiveMean::Present);
        assert_eq!(config.proxies.tower_prompts, crate::proxies::TowerPrompts::None);
        assert_eq!(load("", &[]).unwrap().proxies.accumulator.gru_gate, crate::accumulator::GruGate::Reference);
    }

    #[test]
    fn a_method_may_be_a_list_of_parts() {
        let config = load("method = [\"vpt-deep\", \"bitfit\"]", &[]).unwrap();
        assert_eq!(config.method, "vpt-deep+bitfit");
        assert!(config.tuning.bitfit && config.tuning.prompts.is_some());
        assert!(load("method = [\"vpt-deep\", 3]", &[]).is_err());
    }

    #[test]
    fn an_assigned_method_takes_the_place_of_the_files() {
        let vptsp = "method = \"vptsp-g+bitfit\"\nepochs = 7\n[tuning]\nembedding = 64\nprompts = { count = 4, depth = 2 }\n\
                     [proxies]\nsource = \"semantic\"\nlearned_share = 0.25";
        let bitfit = load(vptsp, &["method=bitfit"]).unwrap();
        assert!(bitfit.tuning.bitfit && bitfit.tuning.prompts.is_none());
        assert_eq!(bitfit.proxies.source, crate::proxies::ProxySource::Learned);
        assert_eq!((bitfit.epochs, bitfit.tuning.embedding, bitfit.proxies.proxy_bias_ratio), (7, Some(64), 0.25));
        let vpt = load(vptsp, &["method=vpt"]).unwrap();
        assert_eq!(vpt.tuning.prompts.map(|prompts| (prompts.count, prompts.depth)), Some((4, 2)));
        assert!(!vpt.tuning.bitfit);
        // The settings that a run saved name every switch.
        let saved = vpt.to_toml().unwrap();
        assert!(load(&saved, &["method=bitfit"]).unwrap().tuning.bitfit);
        assert_eq!(load(&saved, &["method=vpt"]).unwrap(), vpt);
    }

    #[test]
    fn prompts_of_which_only_the_count_is_said_have_the_usual_depth() {
        let prompts = load("method = \"linear\"", &["tuning.prompts.count=2"]).unwrap().tuning.prompts.unwrap();
        assert_eq!((prompts.count, prompts.depth, prompts.step), (2, 12, 0));
    }

    #[test]
    fn settings_go_by_their_old_names_too() {
        for (old, _) in RENAMED {
            let assignment = match *old {
                "prompt_spread" => "prompt_spread.alpha=7".to_string(),
                "proxies.normalise_learned" => format!("{old}=true"),
                "loss.soft_triple.centers" => format!("{old}=7"),
                _ => format!("{old}=0.75"),
            };
            let assigned = load("", &[&assignment]).unwrap();
            assert_ne!(assigned, load("", &[]).unwrap(), "{old}");
            assert_eq!(load(&assignment, &[]).unwrap(), assigned, "{old}");
            let saved = toml::from_str::<TrainConfig>(&assignment).unwrap();
            assert_ne!(saved, TrainConfig::default(), "{old}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line() {
        let error = load("epochs = 3\n[optimizer]\nlearning_rate = 1", &[]).unwrap_err().to_string();
        assert!(error.contains("test.toml") && error.contains("learning_rate") && error.contains("line 3"), "{error}");
        assert!(load("", &["optimizer.learning_rate=1"]).is_err());
    }

    #[test]
    fn the_place_of_class_prompts_is_refused_but_old_runs_are_read() {
        let error = load("", &["proxies.class_prompt_position=after-patches"]).unwrap_err();
        assert!(error.hint().unwrap().contains("same function"), "{error}");
        let error = load("[proxies]\nclass_prompt_position = \"after-patches\"", &[]).unwrap_err();
        assert!(error.hint().unwrap().contains("same function"), "{error}");
        let saved = load("", &[]).unwrap().to_toml().unwrap();
        let older = saved.replace("[proxies]\n", "[proxies]\nclass_prompt_position = \"before-class-token\"\n");
        assert_ne!(saved, older);
        assert_eq!(read_saved(&older).unwrap(), read_saved(&saved).unwrap());
    }

    #[test]
    fn an_unknown_method_lists_the_known_ones() {
        let error = load("method = \"vptsp\"", &[]).unwrap_err();
        assert!(error.hint().unwrap().contains("vptsp-g"));
    }

    #[test]
    fn a_resolved_config_reads_back_as_itself() {
        let backbone = kinsight_model::VitConfig::new(128, 16, 192, 8, 3);
        let config =
            load("method = \"vptsp-g\"", &[]).unwrap().resolve(&backbone, kinsight_model::Pooling::Class).unwrap();
        assert_eq!(config.tuning.prompts.unwrap().depth, 8);
        assert_eq!(config.tuning.embedding, Some(192));
        let text = config.to_toml().unwrap();
        assert_eq!(load(&text, &[]).unwrap(), config, "{text}");
    }
}
