//! An explanation as one HTML file that needs nothing else.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kinsight_data::RgbImage;

use super::Explanation;
use super::draw::{DrawError, draw_attention_png, draw_evidence_png, draw_pairs_png, draw_prompt_png};

/// Prompts that get a picture of their own; more would make the file large and say little.
const MAX_PROMPTS: usize = 16;

const STYLE: &str = "\
:root{color-scheme:light dark}body{margin:0 auto;max-width:1040px;padding:32px 20px 60px;background:light-dark(#f6f4ef,#141312);\
color:light-dark(#1d1b18,#f2efe9);font:16px/1.5 ui-sans-serif,system-ui,sans-serif}h1,h2{font-family:ui-serif,Georgia,serif;\
font-weight:500;letter-spacing:-.015em}h1{margin:0 0 4px;font-size:38px}h2{margin:36px 0 4px;font-size:24px}p{margin:4px 0 14px;\
color:light-dark(#645f57,#a9a297)}img{display:block;width:100%;border-radius:14px}.prompts{display:grid;gap:14px;\
grid-template-columns:repeat(auto-fill,minmax(300px,1fr))}figure{margin:0}figcaption{margin-top:4px;font-size:14px}\
table{border-collapse:collapse;width:100%}td,th{padding:6px 10px;border-bottom:1px solid light-dark(#e2ddd3,#35312c);\
text-align:right;font-variant-numeric:tabular-nums}td:first-child,th:first-child{text-align:left}";

/// A class whose proxy is near one of two pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyShare {
    /// The class.
    pub class: String,
    /// Similarity of its proxy with the first picture and with the second.
    pub similarity: [f32; 2],
    /// Part of the pictures' similarity along the proxy: the product of both.
    pub share: f32,
}

/// The page; `names` stand under the pictures, `proxies` are the most similar ones of the run, if it has some.
///
/// # Errors
/// [`DrawError`] if a picture cannot be drawn.
pub fn explanation_page(
    explanation: &Explanation,
    pictures: [&RgbImage; 2],
    names: [&str; 2],
    proxies: &[ProxyShare],
) -> Result<String, DrawError> {
    let title = format!("Why {} and {} are similar", escaped(names[0]), escaped(names[1]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>\
         <p>Similarity {:.3}: {:.3} from what is seen in both pictures, {:.3} from class token, prompts and biases.</p>",
        explanation.similarity, explanation.from_patches, explanation.rest,
    );
    let mut section = |heading: &str, text: &str, png: Vec<u8>| {
        let _ = write!(page, "<h2>{heading}</h2><p>{text}</p>{}", image(&png, heading));
    };
    section(
        "Matching parts",
        "The pairs of patches that give most to the similarity; each patch is shown in one pair.",
        draw_pairs_png(explanation, pictures)?,
    );
    section(
        "Evidence",
        "What each patch gives to the similarity, with all of the other picture.",
        draw_evidence_png(explanation, pictures)?,
    );
    section("Attention", "Where the class token looks in the last block.", draw_attention_png(explanation, pictures)?);
    let prompts = explanation.first.prompts.len().min(MAX_PROMPTS);
    if prompts > 0 {
        let _ = write!(
            page,
            "<h2>Prompts</h2><p>Where each prompt of the last block with prompts looks.</p><div class=\"prompts\">"
        );
        for prompt in 0..prompts {
            let png = draw_prompt_png(explanation, pictures, prompt)?;
            let name = format!("Prompt {}", prompt + 1);
            let _ = write!(page, "<figure>{}<figcaption>{name}</figcaption></figure>", image(&png, &name));
        }
        page.push_str("</div>");
    }
    if !proxies.is_empty() {
        let _ = write!(
            page,
            "<h2>Proxies</h2><p>The training classes whose proxies lie nearest, and the part of the similarity along each.</p>\
             <table><tr><th>class</th><th>{}</th><th>{}</th><th>part</th></tr>",
            escaped(names[0]),
            escaped(names[1])
        );
        for proxy in proxies {
            let [first, second] = proxy.similarity;
            let class = escaped(&proxy.class);
            let _ = write!(
                page,
                "<tr><td>{class}</td><td>{first:.3}</td><td>{second:.3}</td><td>{:.3}</td></tr>",
                proxy.share
            );
        }
        page.push_str("</table>");
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

fn image(png: &[u8], text: &str) -> String {
    format!("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", escaped(text), STANDARD.encode(png))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
