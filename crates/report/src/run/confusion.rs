//! Which classes are found in place of which: the worst pairs with pictures, and the matrix of the classes involved.

use std::fmt::{self, Formatter};

use super::escape::Text;
use super::model::Confusion;
use super::number::{Fixed, Percent};
use super::pictures::PictureStore;

pub(super) fn write<'a>(
    f: &mut Formatter<'_>,
    confusion: Option<&'a Confusion>,
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    let Some(confusion) = confusion else { return Ok(()) };
    writeln!(
        f,
        r#"<p class="quiet note">Which other class is most often among {} of a query, with {}.</p><ol class="mixed">"#,
        Text(&confusion.among),
        Text(&confusion.method),
    )?;
    for pair in &confusion.pairs {
        write!(f, r#"<li><div class="two">"#)?;
        if let Some((query, answer)) = &pair.example {
            pictures.show(f, query)?;
            pictures.show(f, answer)?;
        }
        writeln!(
            f,
            r#"</div><div class="what"><span class="name">{}</span><span class="sub">finds {}</span></div><span class="n">{}<span class="unit"> %</span></span></li>"#,
            Text(&pair.class),
            Text(&pair.taken_for),
            Percent(pair.share),
        )?;
    }
    writeln!(f, "</ol>")?;
    write_matrix(f, confusion)
}

fn write_matrix(f: &mut Formatter<'_>, confusion: &Confusion) -> fmt::Result {
    if confusion.classes.len() < 2 {
        return Ok(());
    }
    write!(
        f,
        r#"<div class="scroll" role="region" aria-label="Confusion matrix" tabindex="0"><table class="matrix"><caption class="vh">Share of each class among the answers, in percent; rows are the queries' classes</caption>
<thead><tr><th scope="col"><span class="vh">Query</span></th>"#
    )?;
    for (number, name) in confusion.classes.iter().enumerate() {
        write!(
            f,
            r#"<th scope="col" class="n" title="{0}">{1}<span class="vh"> {0}</span></th>"#,
            Text(name),
            number + 1
        )?;
    }
    writeln!(f, "</tr></thead><tbody>")?;
    for (row, (name, shares)) in confusion.classes.iter().zip(&confusion.shares).enumerate() {
        write!(
            f,
            r#"<tr><th scope="row"><span class="n">{}</span> <span class="name">{}</span></th>"#,
            row + 1,
            Text(name)
        )?;
        for (column, share) in shares.iter().enumerate() {
            let kind = if row == column { "own" } else { "other" };
            let strength = if share.is_finite() { share.clamp(0.0, 1.0).sqrt() } else { 0.0 };
            write!(f, r#"<td class="n {kind}{}" style="--share:{}">"#, bold(strength), Fixed(strength, 2))?;
            match *share >= 0.005 {
                true => write!(f, "{}</td>", Fixed(share * 100.0, 0))?,
                false => write!(f, r#"<span class="vh">0</span></td>"#)?,
            }
        }
        writeln!(f, "</tr>")?;
    }
    writeln!(
        f,
        r#"</tbody></table></div><p class="quiet note">Percent of the answers; rows are the queries' classes, columns the classes found, by number. Classes outside the table make up the difference to 100.</p>"#
    )
}

/// Marks cells so strongly colored that their text must be inverted.
fn bold(strength: f64) -> &'static str {
    if strength > 0.72 { " strong" } else { "" }
}
