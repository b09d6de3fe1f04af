//! Progress on standard error: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use kinsight_train::bank::{BankCost, BankStorage};
use kinsight_train::evaluation::Measured;
use kinsight_train::trainer::Event;

/// Shows a training run.
pub struct TrainProgress {
    bar: ProgressBar,
    interactive: bool,
    last_line: Instant,
    smoothed_loss: Option<f64>,
    smoothed_rate: Option<f64>,
}

impl TrainProgress {
    /// A display headed by `title`.
    pub fn new(title: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix} {bar:28} {pos}/{len} steps  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_prefix(title.to_string());
        let interactive = !bar.is_hidden();
        Self { bar, interactive, last_line: Instant::now(), smoothed_loss: None, smoothed_rate: None }
    }

    /// Takes in one event of the run.
    pub fn on(&mut self, event: &Event<'_>) {
        match event {
            Event::Started(facts) => {
                self.bar.set_length(facts.total_steps);
                self.bar.set_position(facts.resumed_at);
                self.bar.reset_eta();
                self.say(&format!(
                    "training {} of {} parameters ({:.2} %), {} in the saved fine-tuning, on {} images of {} classes",
                    grouped(facts.trainable),
                    grouped(facts.parameters),
                    100.0 * facts.trainable as f64 / facts.parameters.max(1) as f64,
                    grouped(facts.kept),
                    facts.train.0,
                    facts.train.1
                ));
                if let Some(bank) = &facts.bank {
                    self.say(&bank_line(bank));
                }
                if facts.resumed_at > 0 {
                    self.say(&format!("resuming after step {}", facts.resumed_at));
                }
            }
            Event::Step { step, total, epoch, loss, images_per_second } => {
                let loss = smooth(&mut self.smoothed_loss, *loss);
                let rate = smooth(&mut self.smoothed_rate, *images_per_second);
                let message = format!("epoch {}  loss {loss:.3}  {rate:.1} images/s", epoch + 1);
                self.bar.set_message(message.clone());
                self.bar.set_position(*step);
                if !self.interactive && (self.last_line.elapsed() > Duration::from_secs(10) || step == total) {
                    self.last_line = Instant::now();
                    eprintln!("step {step}/{total}  {message}");
                }
            }
            Event::Evaluated { epochs, measured, validation } => {
                let figures = |measured: &Measured| {
                    let recall = 100.0 * measured.evaluation.recall_at(1).unwrap_or_default();
                    format!("Recall@1 {recall:.1} %, MAP@R {:.1} %", 100.0 * measured.evaluation.map_at_r())
                };
                let validation = validation.map(|measured| format!("; validation {}", figures(measured)));
                let figures = figures(measured);
                self.say(&format!("after epoch {epochs}: {figures}{}", validation.unwrap_or_default()));
            }
            Event::StoppedEarly => self.say("stopped early: no more improvement on the validation classes"),
            Event::Warning(message) => self.say(&format!("warning: {message}")),
            // The command says how to go on.
            Event::Stopped => {}
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn say(&self, message: &str) {
        if self.interactive { self.bar.suspend(|| eprintln!("{message}")) } else { eprintln!("{message}") }
    }
}

/// A bar that counts to `total`.
pub fn counting_bar(title: &str, total: usize, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
    let template = format!("{{prefix}} {{bar:28}} {{pos}}/{{len}} {unit}  {{per_sec}}  {{eta}} left");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.set_prefix(title.to_string());
    bar
}

fn smooth(state: &mut Option<f64>, value: f64) -> f64 {
    let next = state.map_or(value, |old| 0.9 * old + 0.1 * value);
    *state = Some(next);
    next
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut groups: Vec<&str> = if head > 0 { vec![&digits[..head]] } else { Vec::new() };
    groups.extend((head..digits.len()).step_by(3).map(|i| &digits[i..i + 3]));
    groups.join(",")
}

/// What the prompt memory bank will take.
fn bank_line(bank: &BankCost) -> String {
    match bank.storage {
        BankStorage::Ram => format!("class prompts and their optimizer state use {} of memory", bytes(bank.ram_bytes)),
        BankStorage::Disk => {
            format!("class prompts and their optimizer state use {} of disk in the run folder", bytes(bank.file_bytes))
        }
    }
}

/// A size in the unit that suits it.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "kB", "MB", "GB"];
    let unit = (count.max(1).ilog10() as usize / 3).min(UNITS.len() - 1);
    match unit {
        0 => format!("{count} B"),
        _ => format!("{:.1} {}", count as f64 / 1000f64.powi(unit as i32), UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!([1, 999, 1000, 1234567].map(super::grouped), ["1", "999", "1,000", "1,234,567"]);
    }
}
