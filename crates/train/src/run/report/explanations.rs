//! Why some answers were found: the encoder opened on pairs of images.

use kinsight_data::thumbnail::thumbnail;
use kinsight_data::{DecodeLimits, EvalTransform, Scratch, decode_file};
use kinsight_model::explain::{Trace, trace};
use kinsight_model::{Encoder, ModelError};
use kinsight_report::Picture;
use kinsight_report::explanation::Evidence;
use kinsight_report::run::ExplainedPair;
use kinsight_report::run::samples::{Rankings, Samples};

use super::RunReport;
use crate::error::TrainError;

/// Pairs of each end.
const ENDS: usize = 3;
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
    let prompt_share = query.trace.last_attention().map_or(0.0, |map| map.prompts.iter().sum::<f32>());
    let evidence = evidence_of([&query.trace, &answer.trace]);
    ExplainedPair::new([query.picture, answer.picture], &evidence, prompt_share.into(), correct)
}

/// What two traces share, as pages show it; without what prompts look at.
pub fn evidence_of([query, answer]: [&Trace; 2]) -> Evidence {
    let found = query.evidence(answer);
    let attention = |trace: &Trace| trace.last_attention().map(|map| map.patches.clone()).unwrap_or_default();
    Evidence {
        similarity: found.similarity,
        rest: found.rest,
        grid: found.grid,
        patches: found.patches,
        by_patch: [found.from_first, found.from_second],
        attention: [attention(query), attention(answer)],
        prompts: Default::default(),
    }
}
