//! The header of NumPy's `.npy` format, versions 1 to 3.
//!
//! A magic string, a version, a length, and a Python dictionary such as
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//! Source: NumPy Enhancement Proposal 1, and numpy.lib.format.

use super::values::Kind;

/// First bytes of every file.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Bytes before the values in files written here: room for any shape, so that it can be filled in at the end.
pub(super) const WRITTEN_BYTES: usize = 128;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NpyHeader {
    pub kind: Kind,
    pub shape: Vec<usize>,
}

impl NpyHeader {
    /// Parses the dictionary of a header.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let descr = quoted(value_of(text, "descr")?)?;
        let kind = kind(descr)?;
        let order = value_of(text, "fortran_order")?;
        if !order.starts_with("False") {
            return Err("the array is in column-major order (fortran_order), expected row-major".to_owned());
        }
        let shape = value_of(text, "shape")?;
        let inside = shape
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(|| "the header's shape is not a tuple".to_owned())?
            .0;
        let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape: Result<Vec<usize>, _> = sizes.map(str::parse).collect();
        Ok(Self { kind, shape: shape.map_err(|_| format!("the header's shape ({inside}) is not a tuple of sizes"))? })
    }

    /// The header of a file of `f32` rows, [`WRITTEN_BYTES`] long.
    pub fn of_rows(rows: usize, dim: usize) -> [u8; WRITTEN_BYTES] {
        Self::of_array("<f4", &format!("{rows}, {dim}"))
    }

    /// The header of a file of `i64` labels, [`WRITTEN_BYTES`] long.
    pub fn of_labels(rows: usize) -> [u8; WRITTEN_BYTES] {
        Self::of_array("<i8", &format!("{rows},"))
    }

    fn of_array(descr: &str, shape: &str) -> [u8; WRITTEN_BYTES] {
        let mut header = [b' '; WRITTEN_BYTES];
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
        header[..6].copy_from_slice(MAGIC);
        header[6..8].copy_from_slice(&[1, 0]);
        header[8..10].copy_from_slice(&((WRITTEN_BYTES - 10) as u16).to_le_bytes());
        header[10..10 + text.len()].copy_from_slice(text.as_bytes());
        header[WRITTEN_BYTES - 1] = b'\n';
        header
    }
}

fn value_of<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    [format!("'{key}'"), format!("\"{key}\"")]
        .iter()
        .find_map(|quoted| text.split_once(quoted.as_str()))
        .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'))
        .map(str::trim_start)
        .ok_or_else(|| format!("the header lacks '{key}'"))
}

fn quoted(value: &str) -> Result<&str, String> {
    let quote = value.chars().next().filter(|quote| ['\'', '"'].contains(quote));
    quote
        .and_then(|quote| value[1..].split_once(quote))
        .map(|(inside, _)| inside)
        .ok_or_else(|| "the array has a structured type, expected numbers".to_owned())
}

fn kind(descr: &str) -> Result<Kind, String> {
    Ok(match descr {
        "<f2" => Kind::F16,
        "<f4" => Kind::F32,
        "<f8" => Kind::F64,
        "|i1" => Kind::I8,
        "<i2" => Kind::I16,
        "<i4" => Kind::I32,
        "<i8" => Kind::I64,
        "|u1" => Kind::U8,
        "<u2" => Kind::U16,
        "<u4" => Kind::U32,
        "<u8" => Kind::U64,
        other if other.starts_with('>') => return Err(format!("numbers are big-endian ('{other}'), expected '<'")),
        other => return Err(format!("numbers of type '{other}' are not supported")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_numpy_writes() {
        let header = NpyHeader::parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n");
        assert_eq!(header, Ok(NpyHeader { kind: Kind::F32, shape: vec![3, 4] }));
        let header = NpyHeader::parse("{\"shape\":(7,),\"fortran_order\":False,\"descr\":\"|u1\"}");
        assert_eq!(header, Ok(NpyHeader { kind: Kind::U8, shape: vec![7] }));
        let header = NpyHeader::parse("{'descr': '<i8', 'fortran_order': False, 'shape': ()}");
        assert_eq!(header, Ok(NpyHeader { kind: Kind::I64, shape: vec![] }));
    }

    #[test]
    fn says_what_it_does_not_understand() {
        let message = |text: &str| NpyHeader::parse(text).unwrap_err();
        assert_eq!(message("{}"), "the header lacks 'descr'");
        assert_eq!(message("{'descr': '>f4'}"), "numbers are big-endian ('>f4'), expected '<'");
        assert_eq!(message("{'descr': 'O'}"), "numbers of type 'O' are not supported");
        assert_eq!(message("{'descr': [('a', '<f4')]}"), "the array has a structured type, expected numbers");
        assert!(message("{'descr': '<f4', 'fortran_order': True}").contains("column-major"));
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -4)}";
        assert_eq!(message(text), "the header's shape (3, -4) is not a tuple of sizes");
        assert_eq!(message("{'descr': '"), "the array has a structured type, expected numbers");
    }

    #[test]
    fn what_is_written_is_understood() {
        let header = NpyHeader::of_rows(usize::MAX, usize::MAX);
        let text = std::str::from_utf8(&header[10..]).unwrap();
        assert_eq!(NpyHeader::parse(text), Ok(NpyHeader { kind: Kind::F32, shape: vec![usize::MAX; 2] }));
        assert_eq!(text.len() % 64, (WRITTEN_BYTES - 10) % 64);
    }
}
