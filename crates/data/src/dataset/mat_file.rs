//! MATLAB's MAT-file format, level 5, as far as datasets' annotations use it: numbers, text, cells and records.
//!
//! Source: MathWorks, "MAT-File Format" (2018), chapter 1. Compressed elements are inflated up to a bound. Sparse matrices,
//! objects, big-endian files and version 7.3 (which is HDF5) are refused by name.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Largest inflated size of a compressed element.
const MOST_BYTES: u64 = 256 << 20;

/// Deepest nesting of cells and records.
const DEEPEST: usize = 8;

/// A variable.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MatValue {
    /// Numbers of any type, column-major.
    Numbers(Vec<f64>),
    /// Text.
    Text(String),
    /// A cell array.
    Cells(Vec<MatValue>),
    /// An array of records: names of the fields, and the fields of each record.
    Records(Vec<String>, Vec<Vec<MatValue>>),
}

impl MatValue {
    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is a single one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Numbers(numbers) => (numbers.len() == 1).then(|| numbers[0]),
            _ => None,
        }
    }
}

/// Reads all variables of a file; the error says what is wrong with it.
pub(super) fn parse_mat_file(bytes: &[u8]) -> Result<Vec<(String, MatValue)>, String> {
    let header = bytes.get(..128).ok_or("not a MAT-file: under 128 bytes long")?;
    if header.starts_with(b"MATLAB 7.3") || bytes.starts_with(b"\x89HDF") {
        return Err("a MAT-file of version 7.3; save it again with -v7".to_owned());
    }
    match &header[126..128] {
        b"IM" => {}
        b"MI" => return Err("a big-endian MAT-file, expected little-endian".to_owned()),
        _ => return Err("not a MAT-file of level 5".to_owned()),
    }
    let mut variables = Vec::new();
    let mut rest = &bytes[128..];
    while !rest.is_empty() {
        let element = Element::read(&mut rest)?;
        match element.kind {
            Kind::COMPRESSED => {
                let mut inflated = Vec::new();
                ZlibDecoder::new(element.data)
                    .take(MOST_BYTES)
                    .read_to_end(&mut inflated)
                    .map_err(|error| format!("a compressed variable is damaged ({error})"))?;
                let mut rest = &inflated[..];
                let inner = Element::read(&mut rest)?;
                variables.extend(variable(&inner)?);
            }
            _ => variables.extend(variable(&element)?),
        }
    }
    Ok(variables)
}

fn variable(element: &Element<'_>) -> Result<Option<(String, MatValue)>, String> {
    if element.kind != Kind::MATRIX {
        return Ok(None);
    }
    matrix(element.data, 0).map(Some)
}

/// Type numbers of data elements that are more than numbers.
struct Kind;

impl Kind {
    const INT8: u32 = 1;
    const UINT8: u32 = 2;
    const MATRIX: u32 = 14;
    const COMPRESSED: u32 = 15;
    const UTF8: u32 = 16;
}

/// A tag and its data.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads the element at the start of `rest` and advances past it.
    fn read(rest: &mut &'a [u8]) -> Result<Self, String> {
        let cut = || "the file ends within a variable".to_owned();
        let word =
            |bytes: &[u8], at: usize| -> Option<u32> { bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes) };
        let first = word(rest, 0).ok_or_else(cut)?;
        // Small elements: up to four bytes of data inside the eight-byte tag.
        if first >> 16 != 0 {
            let (kind, length) = (first & 0xffff, (first >> 16) as usize);
            let data = rest.get(4..4 + length.min(4)).ok_or_else(cut)?;
            *rest = rest.get(8..).unwrap_or_default();
            return Ok(Self { kind, data });
        }
        let length = word(rest, 4).ok_or_else(cut)? as usize;
        let data = rest.get(8..8 + length).ok_or_else(cut)?;
        // All but compressed elements are padded to eight bytes.
        let padded = if first == Kind::COMPRESSED { length } else { length.next_multiple_of(8) };
        *rest = rest.get(8 + padded..).unwrap_or_default();
        Ok(Self { kind: first, data })
    }

    fn numbers(&self) -> Result<Vec<f64>, String> {
        macro_rules! by_type_number {
            ($($number:literal => $type:ty),*) => {
                match self.kind {
                    9 => Ok(self.data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()),
                    $($number => {
                        Ok(self.data.as_chunks().0.iter().map(|&bytes| <$type>::from_le_bytes(bytes) as f64).collect())
                    })*
                    other => Err(format!("numbers of unknown type {other}")),
                }
            };
        }
        by_type_number!(1 => i8, 2 => u8, 3 => i16, 4 => u16, 5 => i32, 6 => u32, 7 => f32, 12 => i64, 13 => u64, 16 => u8, 17 => u16)
    }
}

/// A matrix element: its name and its value.
fn matrix(data: &[u8], depth: usize) -> Result<(String, MatValue), String> {
    if depth > DEEPEST {
        return Err(format!("variables nested deeper than {DEEPEST}"));
    }
    let mut rest = data;
    if rest.is_empty() {
        // An empty matrix inside a cell or a record.
        return Ok((String::new(), MatValue::Numbers(Vec::new())));
    }
    let flags = Element::read(&mut rest)?.numbers()?;
    let class = flags.first().copied().unwrap_or_default() as u32 & 0xff;
    let dimensions = Element::read(&mut rest)?.numbers()?;
    let count = dimensions.iter().fold(1_usize, |count, &size| count.saturating_mul(size as usize));
    let name = String::from_utf8_lossy(Element::read(&mut rest)?.data).into_owned();
    let inner = |rest: &mut &[u8]| -> Result<MatValue, String> { Ok(matrix(Element::read(rest)?.data, depth + 1)?.1) };
    // No memory is reserved for `count` values, so a false count ends with the data.
    let value = match class {
        1 => MatValue::Cells((0..count).map(|_| inner(&mut rest)).collect::<Result<_, String>>()?),
        2 => {
            let width = Element::read(&mut rest)?.numbers()?.first().copied().unwrap_or_default() as usize;
            let names = Element::read(&mut rest)?.data;
            if width == 0 || names.is_empty() {
                return Err("a record without field names".to_owned());
            }
            let field = |bytes: &[u8]| {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                String::from_utf8_lossy(&bytes[..end]).into_owned()
            };
            let fields: Vec<String> = names.chunks(width).map(field).collect();
            let mut record = || fields.iter().map(|_| inner(&mut rest)).collect::<Result<_, String>>();
            let records = (0..count).map(|_| record()).collect::<Result<_, String>>()?;
            MatValue::Records(fields, records)
        }
        4 => {
            let element = Element::read(&mut rest)?;
            MatValue::Text(match element.kind {
                Kind::UTF8 | Kind::UINT8 | Kind::INT8 => String::from_utf8_lossy(element.data).into_owned(),
                _ => {
                    let units: Vec<u16> = element.numbers()?.into_iter().map(|unit| unit as u16).collect();
                    String::from_utf16_lossy(&units)
                }
            })
        }
        6..=15 => MatValue::Numbers(Element::read(&mut rest)?.numbers()?),
        3 => return Err(format!("variable {name:?} is an object, which is not supported")),
        5 => return Err(format!("variable {name:?} is sparse, which is not supported")),
        other => return Err(format!("variable {name:?} has unknown class {other}")),
    };
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::test_file;

    fn text(text: &str) -> MatValue {
        MatValue::Text(text.to_owned())
    }

    #[test]
    fn values_that_scipy_wrote_plain_and_compressed() {
        for name in ["values_plain", "values_compressed"] {
            let found = parse_mat_file(&test_file(&format!("{name}.mat"))).unwrap();
            let expected = [
                ("numbers", MatValue::Numbers(vec![1.0, -2.5, 1e9])),
                ("bytes", MatValue::Numbers(vec![0.0, 1.0, 2.0])),
                ("text", text("b é.jpg")),
                ("cells", MatValue::Cells(vec![text("a"), text("")])),
            ];
            assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
        }
    }

    /// MATLAB itself writes text in units of 16 bits, SciPy does not.
    #[test]
    fn text_of_16_bits() {
        let element = |kind: u32, data: &[u8]| {
            let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let units: Vec<u8> = "a é".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let parts = [
            element(6, &[4, 0, 0, 0, 0, 0, 0, 0]),
            element(5, &[1, 0, 0, 0, 3, 0, 0, 0]),
            element(Kind::INT8, b"name"),
            element(4, &units),
        ];
        assert_eq!(matrix(&parts.concat(), 0).unwrap(), ("name".to_owned(), text("a é")));
    }

    #[test]
    fn damaged_files_are_refused_and_never_panic() {
        for name in ["flat_plain", "flat_compressed"] {
            let whole = test_file(&format!("{name}.mat"));
            assert!(parse_mat_file(&whole[..100]).unwrap_err().contains("under 128"));
            for cut in (128..whole.len()).step_by(7) {
                let _ = parse_mat_file(&whole[..cut]);
            }
            for place in 128..whole.len() {
                let mut damaged = whole.clone();
                damaged[place] ^= 0x5a;
                let _ = parse_mat_file(&damaged);
            }
            assert!(parse_mat_file(&whole[..whole.len() - 30]).is_err());
        }
        let mut hdf = vec![b' '; 200];
        hdf[..10].copy_from_slice(b"MATLAB 7.3");
        assert!(parse_mat_file(&hdf).unwrap_err().contains("-v7"));
    }
}
