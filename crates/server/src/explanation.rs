//! Why two pictures are similar: what the model says, placed on the pictures by `kinsight_report`.

use kinsight_data::{Preprocess, RgbImage};
use kinsight_model::explain::{Trace, prompt_attention, trace};
use kinsight_model::{Encoder, ModelError};
use kinsight_report::explanation::{Evidence, Explanation};

/// Explains `encoder`'s similarity of two pictures.
///
/// # Shapes
/// `prepared` are the pictures as `preprocess` makes them, `[3, S, S]` each.
///
/// # Errors
/// [`ModelError`] if the prepared pictures do not fit the encoder, or its parts cannot be told apart.
pub(crate) fn explain(
    encoder: &Encoder,
    preprocess: &Preprocess,
    pictures: [&RgbImage; 2],
    prepared: [&[f32]; 2],
) -> Result<Explanation, ModelError> {
    let traces = [trace(encoder, prepared[0])?, trace(encoder, prepared[1])?];
    let found = traces[0].evidence(&traces[1]);
    let attention = |trace: &Trace| trace.last_attention().map(|map| map.patches.clone()).unwrap_or_default();
    let evidence = Evidence {
        similarity: found.similarity,
        rest: found.rest,
        grid: found.grid,
        patches: found.patches,
        by_patch: [found.from_first, found.from_second],
        attention: traces.each_ref().map(attention),
        prompts: [prompt_attention(encoder, prepared[0])?, prompt_attention(encoder, prepared[1])?],
    };
    Ok(Explanation::new(evidence, pictures.map(|picture| (picture.width(), picture.height())), preprocess))
}
