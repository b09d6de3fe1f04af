//! What a run has measured so far, and which of it may be quoted.
//!
//! Three figures are kept apart, because papers mix them up: *final*, after the last step; *selected*, where the validation
//! classes were best; *best on test*, the highest of all test figures, which was chosen by looking at the test classes and is
//! not to be quoted.

use kinsight_retrieval::Evaluation;
use serde::{Deserialize, Serialize};

use crate::config::SelectionMetric;

/// The figures of one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Recall@1 over all queries.
    pub recall_at_1: f64,
    /// MAP@R.
    pub map_at_r: f64,
}

impl Figures {
    /// Those of an evaluation by the default metrics.
    pub fn of(evaluation: &Evaluation) -> Self {
        let of = |metric: SelectionMetric| metric.of(evaluation);
        Self { recall_at_1: of(SelectionMetric::RecallAt1), map_at_r: of(SelectionMetric::MapAtR) }
    }
}

/// The figures of one evaluation, and where in the run it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalPoint {
    /// Optimizer steps done.
    pub step: u64,
    /// Epochs finished.
    pub epochs: usize,
    /// On the test classes.
    pub test: Figures,
    /// On the validation classes, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Figures>,
}

/// The evaluations that matter; part of every checkpoint, and the content of `selection.json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionState {
    /// The newest evaluation: at the end of the run, after the last step.
    #[serde(rename = "final")]
    pub last: Option<EvalPoint>,
    /// Where the validation classes were best.
    pub selected_on_validation: Option<EvalPoint>,
    /// The highest test figure there was: chosen on the test classes.
    pub best_on_test_not_to_be_quoted: Option<EvalPoint>,
    /// Value that the next one on the validation classes has to exceed.
    best_value: Option<f64>,
    /// The same on the test classes.
    best_test_value: Option<f64>,
    /// Evaluations since the best one on the validation classes.
    pub since_best: usize,
}

impl SelectionState {
    /// Takes in an evaluation; true if it is the best on the validation classes so far.
    pub fn take(
        &mut self,
        metric: SelectionMetric,
        (step, epochs): (u64, usize),
        test: &Evaluation,
        validation: Option<&Evaluation>,
    ) -> bool {
        let point = EvalPoint { step, epochs, test: Figures::of(test), validation: validation.map(Figures::of) };
        self.last = Some(point);
        let value = metric.of(test);
        if self.best_test_value.is_none_or(|best| value > best) {
            self.best_test_value = Some(value);
            self.best_on_test_not_to_be_quoted = Some(point);
        }
        let Some(validation) = validation else { return false };
        let value = metric.of(validation);
        if self.best_value.is_none_or(|best| value > best) {
            self.best_value = Some(value);
            self.selected_on_validation = Some(point);
            self.since_best = 0;
            return true;
        }
        self.since_best += 1;
        false
    }

    /// Whether the run ends early.
    pub fn is_exhausted(&self, patience: usize) -> bool {
        patience > 0 && self.since_best >= patience
    }

    /// The three figures in words, for reports and cards.
    pub fn sentences(&self) -> Vec<String> {
        let figures = |point: &EvalPoint| {
            format!(
                "Recall@1 {:.1} %, MAP@R {:.1} % (step {}, {} finished)",
                100.0 * point.test.recall_at_1,
                100.0 * point.test.map_at_r,
                point.step,
                if point.epochs == 1 { "1 epoch".to_owned() } else { format!("{} epochs", point.epochs) }
            )
        };
        let mut lines = Vec::new();
        if let Some(point) = &self.last {
            lines.push(format!("Final model, after the last step: {}.", figures(point)));
        }
        if let Some(point) = &self.selected_on_validation {
            lines.push(format!("Selected on validation classes: {}.", figures(point)));
        }
        if let Some(point) = &self.best_on_test_not_to_be_quoted {
            lines.push(format!("Best on the test classes (chosen on test data, do not quote): {}.", figures(point)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use kinsight_retrieval::{EvalConfig, UnitEmbeddings, evaluate_self};

    use super::*;

    /// Four items of two classes; `right` of them have their like as their nearest.
    fn evaluation(right: usize) -> Evaluation {
        let angles = match right {
            4 => [0.0_f32, 0.1, 2.0, 2.1],
            2 => [0.0, 0.1, 0.15, 2.1],
            _ => [0.0, 2.0, 0.1, 2.1],
        };
        let values = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        let embeddings = UnitEmbeddings::new(values, 2).unwrap();
        evaluate_self(&embeddings, &[0, 0, 1, 1], &EvalConfig::default()).unwrap()
    }

    #[test]
    fn the_three_figures_are_kept_apart() {
        let mut state = SelectionState::default();
        let metric = SelectionMetric::RecallAt1;
        assert!(state.take(metric, (10, 1), &evaluation(0), Some(&evaluation(0))));
        assert!(state.take(metric, (20, 2), &evaluation(2), Some(&evaluation(4))));
        assert!(!state.take(metric, (30, 3), &evaluation(4), Some(&evaluation(2))));
        assert!(!state.is_exhausted(2) && !state.is_exhausted(0));
        assert!(!state.take(metric, (40, 4), &evaluation(0), Some(&evaluation(4))));
        assert!(state.is_exhausted(2));
        let step = |point: Option<EvalPoint>| point.map(|point| point.step);
        assert_eq!(step(state.last), Some(40));
        assert_eq!(step(state.selected_on_validation), Some(20));
        assert_eq!(step(state.best_on_test_not_to_be_quoted), Some(30));
        assert_eq!(state.sentences().len(), 3);
        let json = serde_json::to_value(state).unwrap();
        assert!(json["final"]["test"]["map_at_r"].is_number());
        assert_eq!(serde_json::from_value::<SelectionState>(json).unwrap(), state);
    }
}
