//! Pictures in terminals that can show them: the kitty protocol (kitty, Ghostty, WezTerm, Konsole), iTerm2's (iTerm2, VS Code),
//! and sixel (foot, Windows Terminal, mlterm, contour).
//!
//! Which terminal it is, is told from its environment variables alone: asking the terminal itself would mean reading from
//! it, which a command in a pipeline must not do.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use icy_sixel::SixelImage;
use kinsight_data::thumbnail::thumbnail_of_file;
use kinsight_data::{DecodeLimits, decode_bytes};

/// Longer side of a picture in the terminal.
const SIDE_PX: u32 = 160;
/// Pictures in a line of the terminal.
const SHOWN: usize = 6;
/// Most bytes of one escape sequence of the kitty protocol.
const CHUNK: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Kitty,
    Iterm,
    Sixel,
}

/// Shows the first pictures in a row, if standard output is a terminal that can; files that cannot be read are left out.
pub fn show(files: &[PathBuf]) -> Result<()> {
    let mut out = std::io::stdout();
    let variable = |name: &str| std::env::var(name).ok();
    let Some(protocol) = protocol(variable).filter(|_| out.is_terminal()) else { return Ok(()) };
    let mut any = false;
    for file in files.iter().take(SHOWN) {
        let Ok(jpeg) = thumbnail_of_file(file, SIDE_PX) else { continue };
        let Some(sequence) = sequence(protocol, &jpeg) else { continue };
        out.write_all(sequence.as_bytes())?;
        any = true;
    }
    if any {
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn protocol(variable: impl Fn(&str) -> Option<String>) -> Option<Protocol> {
    // Inside a multiplexer no protocol passes through unchanged.
    if variable("TMUX").is_some() || variable("STY").is_some() {
        return None;
    }
    let is = |name: &str, values: &[&str]| variable(name).is_some_and(|value| values.contains(&value.as_str()));
    if variable("KITTY_WINDOW_ID").is_some()
        || is("TERM", &["xterm-kitty", "xterm-ghostty"])
        || is("TERM_PROGRAM", &["WezTerm", "ghostty"])
        || variable("KONSOLE_VERSION").is_some()
    {
        return Some(Protocol::Kitty);
    }
    if is("TERM_PROGRAM", &["iTerm.app", "vscode"]) {
        return Some(Protocol::Iterm);
    }
    let sixel =
        is("TERM", &["foot", "foot-extra", "mlterm", "contour", "yaft-256color"]) || variable("WT_SESSION").is_some();
    sixel.then_some(Protocol::Sixel)
}

/// The escape sequence that draws a JPEG.
fn sequence(protocol: Protocol, jpeg: &[u8]) -> Option<String> {
    match protocol {
        Protocol::Iterm => {
            let data = STANDARD.encode(jpeg);
            Some(format!("\x1b]1337;File=inline=1;size={};preserveAspectRatio=1:{data}\x07", jpeg.len()))
        }
        Protocol::Kitty => {
            // The protocol takes PNG or plain pixels.
            let picture = decode_bytes(jpeg, DecodeLimits::default()).ok()?;
            let data = STANDARD.encode(picture.pixels());
            let mut text = String::new();
            let mut chunks = data.as_bytes().chunks(CHUNK).peekable();
            let mut keys = format!("a=T,f=24,s={},v={},", picture.width(), picture.height());
            while let Some(chunk) = chunks.next() {
                let more = u8::from(chunks.peek().is_some());
                text.push_str(&format!("\x1b_G{keys}m={more};{}\x1b\\", String::from_utf8_lossy(chunk)));
                keys.clear();
            }
            Some(text)
        }
        Protocol::Sixel => {
            let picture = decode_bytes(jpeg, DecodeLimits::default()).ok()?;
            let opaque: Vec<u8> = picture.pixels().chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
            SixelImage::from_rgba(opaque, picture.width() as usize, picture.height() as usize).encode().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<Protocol> {
        protocol(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn terminals_are_told_by_their_variables() {
        assert_eq!(with(&[("KITTY_WINDOW_ID", "1")]), Some(Protocol::Kitty));
        assert_eq!(with(&[("TERM", "xterm-ghostty")]), Some(Protocol::Kitty));
        assert_eq!(with(&[("TERM_PROGRAM", "iTerm.app")]), Some(Protocol::Iterm));
        assert_eq!(with(&[("TERM_PROGRAM", "vscode"), ("TERM", "xterm-256color")]), Some(Protocol::Iterm));
        assert_eq!(with(&[("TERM", "foot")]), Some(Protocol::Sixel));
        assert_eq!(with(&[("TERM", "xterm-256color"), ("WT_SESSION", "1")]), Some(Protocol::Sixel));
        assert_eq!(with(&[("TERM", "xterm-256color")]), None);
        assert_eq!(with(&[("KITTY_WINDOW_ID", "1"), ("TMUX", "x")]), None);
    }

    #[test]
    fn a_sixel_picture_is_the_picture() {
        let pixels: Vec<u8> = (0..60 * 100).flat_map(|i| [(i % 100 * 2) as u8, 90, (i / 100 * 4) as u8]).collect();
        let picture = kinsight_data::RgbImage::new(100, 60, pixels).unwrap();
        let jpeg = kinsight_data::thumbnail::thumbnail(&picture, 200);
        let text = sequence(Protocol::Sixel, &jpeg).unwrap();
        assert!(text.starts_with("\x1bP") && text.ends_with("\x1b\\"));
        let shown = SixelImage::decode(text.as_bytes()).unwrap();
        assert_eq!((shown.width, shown.height), (100, 60));
        let off = |(shown, meant): (&[u8], &[u8])| (0..3).map(|c| shown[c].abs_diff(meant[c]) as u32).sum::<u32>();
        let total: u32 = shown.pixels.chunks_exact(4).zip(picture.pixels().chunks_exact(3)).map(off).sum();
        assert!(total / 6000 < 30, "{} a pixel off", total / 6000);
    }

    #[test]
    fn a_picture_is_cut_into_chunks_of_which_the_last_says_so() {
        let picture = kinsight_data::RgbImage::new(100, 60, vec![90; 18_000]).unwrap();
        let text = sequence(Protocol::Kitty, &kinsight_data::thumbnail::thumbnail(&picture, 200)).unwrap();
        let chunks: Vec<&str> = text.split_terminator("\x1b\\").collect();
        assert!(chunks[0].starts_with("\x1b_Ga=T,f=24,s=100,v=60,m=1;"));
        assert!(chunks.len() == 6 && chunks[5].starts_with("\x1b_Gm=0;"), "{}", chunks.len());
        let data: String = chunks.iter().map(|chunk| chunk.split_once(';').unwrap().1).collect();
        assert_eq!(STANDARD.decode(data).unwrap().len(), 18_000);
    }
}
