//! An explanation as one HTML file that needs nothing else.

use kinsight_data::RgbImage;
use maud::{Markup, html};
use serde::{Deserialize, Serialize};

use super::draw::{DrawError, draw_heat_png, draw_pairs_png};
use super::{Explanation, Side};
use crate::frame::{self, Section, intro, scrolling};
use crate::number::Fixed;
use crate::pictures::{Picture, PictureFormat, PictureStore};

/// Prompts that get a picture; more would make the file large and say little.
const MAX_PROMPTS: usize = 16;

/// A class whose proxy is near both pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProxyShare {
    /// The class.
    pub class: String,
    /// Similarity of its proxy with the first picture and with the second.
    pub similarity: [f32; 2],
    /// Part of the pictures' similarity along the proxy: the product of both.
    pub share: f32,
}

/// The page; `names` are those of the pictures, `proxies` the most similar ones of the run, if it has some.
///
/// # Errors
/// [`DrawError`] if a picture cannot be drawn.
pub fn explanation_page(
    explanation: &Explanation,
    pictures: [&RgbImage; 2],
    names: [&str; 2],
    proxies: &[ProxyShare],
) -> Result<String, DrawError> {
    let title = format!("Why {} and {} are similar", names[0], names[1]);
    let lead = format!(
        "Similarity {}: {} from what is seen in both pictures, {} from special tokens, prompts and biases.",
        Fixed(explanation.similarity, 3),
        Fixed(explanation.from_patches, 3),
        Fixed(explanation.rest, 3),
    );
    let row = |values: &dyn Fn(&Side) -> Option<&Vec<f32>>| draw_heat_png(explanation, pictures, values);
    let section = |id, heading, note: &str, content: Markup| Section {
        id,
        heading,
        body: html! { p.quiet.note { (note) } (content) },
    };
    let mut sections = vec![
        section(
            "parts",
            "Matching parts",
            "The pairs of patches that give most to the similarity; each patch is shown in one pair at most.",
            image(draw_pairs_png(explanation, pictures)?, "Matching parts"),
        ),
        section(
            "evidence",
            "Evidence",
            "What each patch gives to the similarity, with all of the other picture.",
            image(row(&|side| Some(&side.evidence))?, "Evidence"),
        ),
        section(
            "attention",
            "Attention",
            "Where the pooled token looks in the last block.",
            image(row(&|side| Some(&side.attention))?, "Attention"),
        ),
    ];
    let prompts = explanation.first.prompts.len();
    if prompts > 0 {
        let figure = |prompt: usize| {
            let name = format!("Prompt {}", prompt + 1);
            let png = row(&|side| side.prompts.get(prompt))?;
            Ok(html! { figure { (image(png, &name)) figcaption { (name) } } })
        };
        let figures = (0..prompts.min(MAX_PROMPTS)).map(figure).collect::<Result<Vec<Markup>, DrawError>>()?;
        let mut note = "Where each prompt of the last block with prompts looks.".to_owned();
        if prompts > MAX_PROMPTS {
            note += &format!(" Shown are the first {MAX_PROMPTS} of {prompts}.");
        }
        sections.push(section("prompts", "Prompts", &note, html! { div.drawings { @for one in figures { (one) } } }));
    }
    if !proxies.is_empty() {
        let note = "The training classes along whose proxies both pictures lie furthest, and the part of the similarity along each.";
        sections.push(section("proxies", "Proxies", note, table(names, proxies)));
    }
    Ok(frame::document(&title, "explanation", intro(&title, &lead, ""), &sections, &PictureStore::default()))
}

fn image(png: Vec<u8>, name: &str) -> Markup {
    let picture = Picture { label: name.into(), caption: String::new(), format: PictureFormat::Png, bytes: png.into() };
    html! { img.drawing alt=(name) src=(picture.data_url()); }
}

fn table(names: [&str; 2], proxies: &[ProxyShare]) -> Markup {
    let table = html! {
        table.sizes {
            caption.vh { "Proxies near both pictures" }
            thead {
                tr { th scope="col" { "Class" } @for name in names { th.n scope="col" { (name) } } th.n scope="col" { "Part" } }
            }
            tbody {
                @for proxy in proxies {
                    tr {
                        th scope="row" { (proxy.class) }
                        @for similarity in proxy.similarity { td.n { (Fixed(similarity.into(), 3)) } }
                        td.n { (Fixed(proxy.share.into(), 3)) }
                    }
                }
            }
        }
    };
    scrolling("proxies", &table)
}
