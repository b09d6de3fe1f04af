//! The hardest and the easiest classes, and what the hard ones are mistaken for.

use std::fmt::{self, Formatter};

use super::escape::Text;
use super::methods::write_delta;
use super::model::{ClassScore, ClassScores};
use super::number::{Count, Percent};
use super::pictures::PictureStore;
use super::summary::Meter;

pub(super) fn write<'a>(
    f: &mut Formatter<'_>,
    classes: Option<&'a ClassScores>,
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    let Some(classes) = classes else { return Ok(()) };
    write!(f, r#"<p class="quiet note">{}"#, Text(&classes.metric))?;
    if !classes.method.is_empty() {
        write!(f, " of {}", Text(&classes.method))?;
    }
    writeln!(f, r#" within each class, in percent.</p><div class="ends">"#)?;
    write_end(f, "Hardest", &classes.worst, pictures)?;
    write_end(f, "Easiest", &classes.best, pictures)?;
    writeln!(f, "</div>")
}

fn write_end<'a>(
    f: &mut Formatter<'_>,
    heading: &str,
    classes: &'a [ClassScore],
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    if classes.is_empty() {
        return Ok(());
    }
    writeln!(f, "<div><h3>{heading}</h3><ol>")?;
    let compared = classes.iter().any(|class| class.before.is_some());
    for class in classes {
        write_class(f, class, compared, pictures)?;
    }
    writeln!(f, "</ol></div>")
}

fn write_class<'a>(
    f: &mut Formatter<'_>,
    class: &'a ClassScore,
    compared: bool,
    pictures: &mut PictureStore<'a>,
) -> fmt::Result {
    write!(f, r#"<li class="class">"#)?;
    if let Some(example) = &class.example {
        pictures.show(f, example)?;
    }
    let count = u64::try_from(class.images).unwrap_or(u64::MAX);
    let plural = if class.images == 1 { "" } else { "s" };
    write!(
        f,
        r#"<div class="what"><span class="name">{}</span><span class="sub">{} image{plural}"#,
        Text(&class.name),
        Count(count),
    )?;
    if let Some(other) = &class.confused_with {
        write!(f, ", most often taken for {}", Text(other))?;
    }
    write!(f, r#"</span></div><div class="score"><span class="n">{}"#, Percent(class.value))?;
    write_delta(f, class.value, class.before, compared)?;
    writeln!(f, "</span>{}</div></li>", Meter { value: class.value, before: class.before })
}
