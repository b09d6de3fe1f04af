//! Why some answers were found: the encoder opened on pairs of images.

use kinsight_data::thumbnail::thumbnail;
use kinsight_data::{DecodeLimits, EvalTransform, Scratch, decode_file};
use kinsight_model::explain::{Trace, trace};
use kinsight_model::{Encoder, ModelError};

use kinsight_report::Picture;
use kinsight_report::run::ExplainedPair;
use kinsight_report::run::samples::{Rankings, Samples};

use super::RunReport;
use crate::error::TrainError;

/// Pairs of each end.
const ENDS: usize = 3;
/// Patches along a side that are shown; finer grids are summed.
const MAX_GRID: usize = 16;
const SIDE_PX: u32 = 224;

pub(super) fn explain(
    report: &RunReport<'_>,
    rankings: &Rankings<'_>,
    samples: &Samples<'_>,
) -> Result<Vec<ExplainedPair>, TrainError> {
    let Some((encoder, preprocess)) = report.encoder else { return Ok(Vec::new()) };
    let transform = EvalTransform::new(preprocess)?;
    let open = |row: usize| open(report, encoder, &transform, samples, row);
    let mut explanations = Vec::new();
    for (query, answer, correct) in rankings.worth_explaining(ENDS) {
        // An image that was readable when it was measured may be gone now.
        if let (Some(query_seen), Some(answer_seen)) = (open(query)?, open(answer)?) {
            explanations.push(pair(query_seen, answer_seen, correct));
        }
    }
    Ok(explanations)
}

/// An image as the encoder sees it, and its way through the encoder.
struct Seen {
    picture: Picture,
    trace: Trace,
}

fn open(
    report: &RunReport<'_>,
    encoder: &Encoder,
    transform: &EvalTransform,
    samples: &Samples<'_>,
    row: usize,
) -> Result<Option<Seen>, TrainError> {
    let index = report.zero_shot.indices[row];
    let Some(item) = report.test.items.get(index) else { return Ok(None) };
    let Ok(image) = decode_file(&item.path, DecodeLimits::default()) else { return Ok(None) };
    let side = transform.preprocess().input_size_px as usize;
    let mut values = vec![0.0; 3 * side * side];
    transform.apply(&image, &mut Scratch::default(), &mut values)?;
    let trace = match trace(encoder, &values) {
        Ok(trace) => trace,
        // A kind of model that cannot be explained still has a report.
        Err(ModelError::Unexplained { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let jpeg = thumbnail(&transform.seen(&values)?, SIDE_PX);
    Ok(Some(Seen { picture: samples.labeled(index, jpeg), trace }))
}

fn pair(query: Seen, answer: Seen, correct: bool) -> ExplainedPair {
    let evidence = query.trace.evidence(&answer.trace);
    let coarse = Coarse::of(evidence.grid);
    let attention = |trace: &Trace| trace.last_attention().map(|map| map.patches.clone()).unwrap_or_default();
    let prompts = query.trace.last_attention().map_or(0.0, |map| map.prompts.iter().sum::<f32>());
    ExplainedPair {
        correct,
        similarity: evidence.similarity,
        rest: evidence.rest,
        grid: coarse.grid,
        evidence: coarse.pairs(&evidence.patches),
        from_query: coarse.sums(&evidence.from_first),
        from_answer: coarse.sums(&evidence.from_second),
        attention_query: coarse.sums(&attention(&query.trace)),
        attention_answer: coarse.sums(&attention(&answer.trace)),
        prompt_share: f64::from(prompts),
        query: query.picture,
        answer: answer.picture,
    }
}

/// Sums neighboring patches, so that a fine grid does not make a large page. Parts of a similarity add up.
struct Coarse {
    fine: usize,
    grid: usize,
}

impl Coarse {
    fn of(fine: usize) -> Self {
        let factor = fine.div_ceil(MAX_GRID).max(1);
        Self { fine, grid: fine.div_ceil(factor) }
    }

    fn cell(&self, patch: usize) -> usize {
        let factor = self.fine.div_ceil(self.grid.max(1)).max(1);
        patch / self.fine / factor * self.grid + patch % self.fine / factor
    }

    fn sums(&self, parts: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0; self.grid * self.grid];
        parts.iter().enumerate().for_each(|(patch, part)| sums[self.cell(patch)] += part);
        sums
    }

    fn pairs(&self, parts: &[f32]) -> Vec<f32> {
        let (fine, cells) = (self.fine * self.fine, self.grid * self.grid);
        let mut sums = vec![0.0; cells * cells];
        for (place, part) in parts.iter().enumerate() {
            sums[self.cell(place / fine) * cells + self.cell(place % fine)] += part;
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fine_grids_are_summed_and_coarse_ones_kept() {
        let kept = Coarse::of(14);
        let parts: Vec<f32> = (0..196).map(|part| part as f32).collect();
        assert_eq!((kept.grid, kept.sums(&parts)), (14, parts));
        for fine in [17, 32, 37] {
            let coarse = Coarse::of(fine);
            assert!(coarse.grid <= MAX_GRID, "{fine}");
            let parts = vec![1.0; fine * fine];
            assert_eq!(coarse.sums(&parts).iter().sum::<f32>(), (fine * fine) as f32);
        }
        let coarse = Coarse { fine: 4, grid: 2 };
        let pairs = coarse.pairs(&[1.0; 256]);
        assert_eq!(pairs, [16.0; 16]);
    }
}
