//! Methods by name: each part of a name is a preset of settings.

use toml::{Table, toml};

use crate::error::TrainError;

/// One part of a method's name and what it means.
#[derive(Clone, Copy, Debug)]
pub struct MethodPart {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for `--help` and the documentation.
    pub about: &'static str,
    preset: fn() -> Table,
}

/// All parts. They combine with `+`: later ones add to earlier ones.
pub const METHODS: [MethodPart; 7] = [
    MethodPart { name: "linear", about: "the embedding head alone", preset: Table::new },
    MethodPart { name: "bitfit", about: "every bias of the backbone", preset: || toml! { tuning.bitfit = true } },
    MethodPart {
        name: "adapter",
        about: "bottleneck adapters beside the MLP of the last blocks",
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
        name: "vpt",
        about: "visual prompts in every block (VPT deep)",
        preset: || toml! { tuning.prompts = { count = 10, depth = 12 } },
    },
    MethodPart {
        name: "vptsp-m",
        about: "visual prompts, and semantic proxies from class prompts by moving average",
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
        about: "visual prompts, and semantic proxies from class prompts by a ReLU-GRU: the method",
        preset: || {
            toml! {
                tuning.prompts = { count = 10, depth = 12 }
                proxies.source = "semantic"
                proxies.accumulator.kind = "gru_relu"
            }
        },
    },
    MethodPart { name: "full", about: "every parameter of the backbone", preset: || toml! { tuning.full = true } },
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
            hint: format!("methods: {}; join several with +", METHODS.map(|m| m.name).join(", ")),
        }),
    };
    method.split('+').map(|part| preset(part.trim())).collect()
}
