//! Why an answer was found: where the model looked, and which patch of the query speaks for which of the answer.
//!
//! What matters stays bright, the rest is dimmed. The maps that hold for the whole pair are drawn into the page; with
//! the script a patch under the pointer shows its own counterpart, from a matrix of bytes kept beside the pair.

use std::fmt::{self, Formatter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::escape::Text;
use super::model::Explanation;
use super::number::{Fixed, Share};
use super::pictures::PictureStore;

pub(super) fn write<'a>(
    f: &mut Formatter<'_>,
    explanations: &'a [Explanation],
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    writeln!(
        f,
        r#"<p class="quiet note">Queries and their nearest image. Bright patches carry the similarity; the rest is dimmed. <span class="scripted">Point at a patch to see what it matches in the other image.</span></p>
<div class="choice scripted" role="radiogroup" aria-label="What is bright"><button type="button" class="plain on" role="radio" aria-checked="true" data-mode="evidence">Evidence</button><button type="button" class="plain" role="radio" aria-checked="false" data-mode="attention">Attention</button><button type="button" class="plain" role="radio" aria-checked="false" data-mode="plain">Images</button></div>
<div class="whys">"#
    )?;
    for explanation in explanations.iter().filter(|explanation| explanation.grid > 0) {
        write_pair(f, explanation, pictures)?;
    }
    writeln!(
        f,
        r#"</div>
<p class="quiet note">Evidence: the cosine similarity written as a sum over pairs of patches, following the class token with its attention and gates held fixed; what class token, prompts and biases add is stated as the rest. Attention: what the class token reads in the last block, heads averaged.</p>"#
    )
}

fn write_pair<'a>(f: &mut Formatter<'_>, explanation: &'a Explanation, pictures: &mut PictureStore<'a>) -> fmt::Result {
    let Explanation { grid, .. } = *explanation;
    let verdict = if explanation.correct { "right" } else { "wrong" };
    let scale = explanation.evidence.iter().fold(0.0_f32, |largest, part| largest.max(part.abs()));
    writeln!(
        f,
        r#"<article class="why" data-grid="{grid}" data-scale="{}" data-evidence="{}" data-attention="{}"><div class="pair">"#,
        Fixed(f64::from(scale), 6),
        STANDARD.encode(signed_bytes(&explanation.evidence, scale)),
        STANDARD.encode(
            relative(&explanation.attention_query)
                .chain(relative(&explanation.attention_answer))
                .map(|share| (share * 255.0) as u8)
                .collect::<Vec<u8>>()
        ),
    )?;
    write_view(f, "Query", &explanation.query, &explanation.from_query, grid, pictures)?;
    write_view(f, "Nearest image", &explanation.answer, &explanation.from_answer, grid, pictures)?;
    writeln!(
        f,
        r##"</div><p class="{verdict} said"><svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><use href="#{verdict}"/></svg> {}, similarity {}</p>
<p class="quiet parts">{} from pairs of patches, {} from the rest{}</p></article>"##,
        if explanation.correct { "Same class" } else { "Another class" },
        Fixed(explanation.similarity, 2),
        Fixed(explanation.similarity - explanation.rest, 2),
        Fixed(explanation.rest, 2),
        Prompts(explanation.prompt_share),
    )
}

/// How much of the attention prompts take, where there are any.
struct Prompts(f64);

impl fmt::Display for Prompts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            share if share > 0.0 => write!(f, "; prompts take {} of the query's attention", Share(share)),
            _ => Ok(()),
        }
    }
}

fn write_view<'a>(
    f: &mut Formatter<'_>,
    what: &str,
    picture: &'a super::model::Picture,
    heat: &[f32],
    grid: usize,
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    write!(f, r#"<figure><div class="view">"#)?;
    pictures.show(f, picture)?;
    write!(f, r#"<svg class="veil" viewBox="0 0 {grid} {grid}" preserveAspectRatio="none" aria-hidden="true">"#)?;
    let largest = heat.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    for (place, part) in heat.iter().enumerate().take(grid * grid) {
        let bright = if part.is_finite() { f64::from((part / largest).clamp(0.0, 1.0)).sqrt() } else { 0.0 };
        write!(
            f,
            r#"<rect x="{}" y="{}" width="1" height="1" fill-opacity="{}"/>"#,
            place % grid,
            place / grid,
            Fixed((1.0 - bright) * 0.8, 2),
        )?;
    }
    writeln!(
        f,
        r#"</svg></div><figcaption><span class="sub">{what}</span><span class="name">{}</span></figcaption></figure>"#,
        Text(&picture.label),
    )
}

/// Parts of the similarity over the largest, as signed bytes.
fn signed_bytes(parts: &[f32], scale: f32) -> Vec<u8> {
    let scale = if scale > 0.0 { scale } else { 1.0 };
    parts.iter().map(|part| ((part / scale).clamp(-1.0, 1.0) * 127.0).round() as i8 as u8).collect()
}

fn relative(shares: &[f32]) -> impl Iterator<Item = f32> + '_ {
    let largest = shares.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    shares.iter().map(move |share| (share / largest).clamp(0.0, 1.0))
}
