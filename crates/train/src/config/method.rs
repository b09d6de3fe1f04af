//! Methods by name: each part of a name is a preset of settings.

use toml::{Table, Value, toml};

use crate::error::TrainError;

/// How the blocks of a method are computed on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodEngine {
    /// The fused block computes the gradients of what trains, and no others.
    Fused,
    /// The fused block with the gradients of whole weights, as for full fine-tuning, even where less than that trains.
    FusedWholeWeights,
}

impl MethodEngine {
    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::FusedWholeWeights => "fused, dW",
        }
    }
}

/// One part of a method's name and what it means.
#[derive(Clone, Copy, Debug)]
pub struct MethodPart {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for `--help` and the documentation.
    pub about: &'static str,
    /// How its blocks are computed.
    pub engine: MethodEngine,
    preset: fn() -> Table,
}

use MethodEngine::{Fused, FusedWholeWeights};

const VPT: fn() -> Table = || toml! { tuning.prompts = { count = 10, depth = 12 } };

/// All parts. They combine with `+`: later ones add to earlier ones.
pub const METHODS: &[MethodPart] = &[
    MethodPart { name: "linear", about: "only the embedding head", engine: Fused, preset: Table::new },
    MethodPart {
        name: "bitfit",
        about: "all biases of the backbone (tuning.bitfit_parts selects q, k, v, proj, mlp, norm, patch)",
        engine: Fused,
        preset: || toml! { tuning.bitfit = true },
    },
    MethodPart {
        name: "layer-norm",
        about: "weights and biases of all LayerNorms",
        engine: Fused,
        preset: || toml! { tuning.layer_norm = true },
    },
    MethodPart {
        name: "adapter",
        about: "bottleneck adapters parallel to the MLP of the last blocks",
        engine: Fused,
        preset: || {
            toml! {
                [tuning.adapter]
                bottleneck = 256
                blocks = 7
                placement = "parallel"
                norm = "pre"
                init = "lora"
            }
        },
    },
    MethodPart {
        name: "lora",
        about: "low-rank updates of qkv and proj (tuning.lora: rank, alpha, targets; with dropout it runs composed)",
        engine: FusedWholeWeights,
        preset: || toml! { tuning.lora = { rank = 8, alpha = 16.0, dropout = 0.0, targets = ["qkv", "proj"], dora = false } },
    },
    MethodPart {
        name: "dora",
        about: "like lora, with separate length and direction of each weight row",
        engine: FusedWholeWeights,
        preset: || toml! { tuning.lora = { rank = 8, alpha = 16.0, dropout = 0.0, targets = ["qkv", "proj"], dora = true } },
    },
    MethodPart {
        name: "ssf",
        about: "a scale and a shift after each layer",
        engine: FusedWholeWeights,
        preset: || toml! { tuning.ssf = true },
    },
    MethodPart {
        name: "vpt-shallow",
        about: "visual prompts among the tokens that enter the first block",
        engine: Fused,
        preset: || toml! { tuning = { prompts = { count = 10, depth = 1 }, shallow_prompts = true } },
    },
    MethodPart { name: "vpt", about: "new visual prompts in every block (VPT deep)", engine: Fused, preset: VPT },
    MethodPart { name: "vpt-deep", about: "same as vpt", engine: Fused, preset: VPT },
    MethodPart {
        name: "vpt-decreasing",
        about: "visual prompts, fewer in each next block",
        engine: Fused,
        preset: || toml! { tuning.prompts = { count = 24, depth = 12, step = 2 } },
    },
    MethodPart {
        name: "da-vpt",
        about: "vpt with prompts drawn to the classes they stand for inside deep layers (settings under da_vpt)",
        engine: Fused,
        preset: || {
            toml! {
                tuning.prompts = { count = 10, depth = 12 }
                da_vpt.weight = 0.1
            }
        },
    },
    MethodPart {
        name: "vptsp-m",
        about: "visual prompts, and semantic proxies accumulated from class prompts by a moving average",
        engine: Fused,
        preset: || {
            toml! {
                tuning.prompts = { count = 10, depth = 12 }
                proxies.source = "semantic"
                proxies.accumulator.kind = "ema"
            }
        },
    },
    MethodPart {
        name: "vptsp-g",
        about: "visual prompts, and semantic proxies accumulated from class prompts by a ReLU-GRU: the paper's method",
        engine: Fused,
        preset: || {
            toml! {
                tuning.prompts = { count = 10, depth = 12 }
                proxies.source = "semantic"
                proxies.accumulator.kind = "gru_relu"
            }
        },
    },
    MethodPart {
        name: "last-blocks",
        about: "the last two blocks and the final norm (tuning.last_blocks)",
        engine: Fused,
        preset: || toml! { tuning.last_blocks = 2 },
    },
    MethodPart {
        name: "full",
        about: "all parameters of the backbone",
        engine: FusedWholeWeights,
        preset: || toml! { tuning.full = true },
    },
    MethodPart {
        name: "full-layer-decay",
        about: "like full, with learning rates that decrease towards the input (optimizer.layer_decay)",
        engine: FusedWholeWeights,
        preset: || {
            toml! {
                tuning.full = true
                optimizer.layer_decay = 0.75
            }
        },
    },
];

/// The presets that a method's name stands for, to be merged in order.
///
/// # Errors
/// [`TrainError::Config`] for an unknown part.
pub fn parse_method(method: &str) -> Result<Vec<Table>, TrainError> {
    let preset = |part: &str| match METHODS.iter().find(|m| m.name == part) {
        Some(found) => Ok((found.preset)()),
        None => Err(TrainError::Config {
            message: format!("unknown method {part}"),
            hint: format!(
                "methods: {}; join several with +",
                METHODS.iter().map(|m| m.name).collect::<Vec<_>>().join(", ")
            ),
        }),
    };
    method.split('+').map(|part| preset(part.trim())).collect()
}

/// Takes out of `settings`, which were written for another method, what makes a method, so that the new one's `presets`
/// decide: every choice that a preset makes, and the options of parts (prompts, adapters, LoRA) that the new one has not.
pub(super) fn forget_method(settings: &mut Table, presets: &[Table], defaults: &Table) {
    let presets: Vec<&Table> = presets.iter().collect();
    for method in METHODS {
        forget(settings, &(method.preset)(), &presets, defaults);
    }
}

fn forget(settings: &mut Table, set_by_methods: &Table, presets: &[&Table], defaults: &Table) {
    for (key, value) in set_by_methods {
        match (value, defaults.get(key)) {
            (Value::Table(inner), Some(Value::Table(defaults))) => {
                let presets: Vec<&Table> =
                    presets.iter().filter_map(|preset| preset.get(key)).filter_map(Value::as_table).collect();
                if let Some(Value::Table(settings)) = settings.get_mut(key) {
                    forget(settings, inner, &presets, defaults);
                }
            }
            // A part that is there only where a preset puts it: its options.
            (_, None) if presets.iter().any(|preset| preset.contains_key(key)) => {}
            _ => {
                settings.remove(key);
            }
        }
    }
}

/// The name in `settings`, if they have one.
pub(super) fn name_in(settings: &Table) -> Option<String> {
    match settings.get("method")? {
        Value::String(name) => Some(name.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("+")),
        _ => None,
    }
}

/// Reads a method written as one name, or as a list of its parts.
pub(super) fn name_or_parts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "a method's name, or a list of names")]
    enum Method {
        Name(String),
        Parts(Vec<String>),
    }
    Ok(match serde::Deserialize::deserialize(deserializer)? {
        Method::Name(name) => name,
        Method::Parts(parts) => parts.join("+"),
    })
}
