//! Where the paper and its authors' code disagree: one switch over the options that say which of them is computed.

use serde::{Deserialize, Serialize};
use toml::{Table, toml};

/// Which of the two is computed; every option it sets can also be set by itself.
///
/// | point | option | paper |
/// |---|---|---|
/// | GRU gate | `proxies.accumulator.gru_gate` | `paper` |
/// | EMA | `proxies.accumulator.ema_update` | `add` |
/// | positive term | `loss.proxy_anchor.positive_mean` | `present` |
/// | proxy tower prompts | `proxies.tower_prompts` | `encoder` |
/// | resize | `data.interpolation` | `bicubic` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As the authors' code computes it.
    #[default]
    Reference,
    /// As the paper's equations state.
    Paper,
}

impl Variant {
    /// The options it stands for; the reference is what all defaults are.
    pub(super) fn preset(self) -> Table {
        match self {
            Self::Reference => Table::new(),
            Self::Paper => toml! {
                data.interpolation = "bicubic"
                loss.proxy_anchor.positive_mean = "present"
                [proxies]
                tower_prompts = "encoder"
                accumulator = { gru_gate = "paper", ema_update = "add" }
            },
        }
    }
}
