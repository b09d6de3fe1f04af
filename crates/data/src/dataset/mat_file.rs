//! MATLAB's MAT-file format, level 5, as far as annotations of data sets use it: numbers, text, cells and records.
//!
//! Source: MathWorks, "MAT-File Format" (2018), chapter 1. Compressed elements are inflated up to a bound; what is not
//! understood (sparse matrices, objects, big-endian files, version 7.3, which is HDF5) is an error with its name.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// The most bytes that one compressed element may inflate to.
const MOST_BYTES: u64 = 256 << 20;

/// The deepest nesting of cells and records.
const DEEPEST: usize = 8;

/// A variable.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MatValue {
    /// Numbers of any type, column by column.
    Numbers(Vec<f64>),
    /// Text.
    Text(String),
    /// A cell array.
    Cells(Vec<MatValue>),
    /// An array of records: names of the fields, and the fields of each record.
    Records(Vec<String>, Vec<Vec<MatValue>>),
}

impl MatValue {
    /// Text, or `None`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A single number, or `None`.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Numbers(numbers) => (numbers.len() == 1).then(|| numbers[0]),
            _ => None,
        }
    }
}

/// Reads all variables of a file.
///
/// # Errors
/// What is wrong with it, in words.
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

/// Type numbers of data elements.
struct Kind;

impl Kind {
    const INT8: u32 = 1;
    const UINT8: u32 = 2;
    const INT16: u32 = 3;
    const UINT16: u32 = 4;
    const INT32: u32 = 5;
    const UINT32: u32 = 6;
    const SINGLE: u32 = 7;
    const DOUBLE: u32 = 9;
    const INT64: u32 = 12;
    const UINT64: u32 = 13;
    const MATRIX: u32 = 14;
    const COMPRESSED: u32 = 15;
    const UTF8: u32 = 16;
    const UTF16: u32 = 17;
}

/// A tag and its data.
struct Element<'a> {
    kind: u32,
    data: &'a [u8],
}

impl<'a> Element<'a> {
    /// Takes one element off `rest`.
    fn read(rest: &mut &'a [u8]) -> Result<Self, String> {
        let cut = || "the file ends within a variable".to_owned();
        let word =
            |bytes: &[u8], at: usize| -> Option<u32> { bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes) };
        let first = word(rest, 0).ok_or_else(cut)?;
        // Up to four bytes of data share the eight bytes of the tag.
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
        fn each<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            data.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
        }
        Ok(match self.kind {
            Kind::INT8 => each(self.data, |b| f64::from(i8::from_le_bytes(b))),
            Kind::UINT8 | Kind::UTF8 => each(self.data, |b| f64::from(u8::from_le_bytes(b))),
            Kind::INT16 => each(self.data, |b| f64::from(i16::from_le_bytes(b))),
            Kind::UINT16 | Kind::UTF16 => each(self.data, |b| f64::from(u16::from_le_bytes(b))),
            Kind::INT32 => each(self.data, |b| f64::from(i32::from_le_bytes(b))),
            Kind::UINT32 => each(self.data, |b| f64::from(u32::from_le_bytes(b))),
            Kind::SINGLE => each(self.data, |b| f64::from(f32::from_le_bytes(b))),
            Kind::DOUBLE => each(self.data, f64::from_le_bytes),
            Kind::INT64 => each(self.data, |b| i64::from_le_bytes(b) as f64),
            Kind::UINT64 => each(self.data, |b| u64::from_le_bytes(b) as f64),
            other => return Err(format!("numbers of unknown type {other}")),
        })
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
    let count =
        dimensions.iter().try_fold(1_usize, |count, &size| count.checked_mul(size as usize)).unwrap_or(usize::MAX);
    let name = String::from_utf8_lossy(Element::read(&mut rest)?.data).into_owned();
    // Every value takes at least eight bytes, so a count beyond the data is a lie.
    let plausible = |values: usize| {
        if values > data.len() {
            Err(format!("a variable claims {values} values in {} bytes", data.len()))
        } else {
            Ok(values)
        }
    };
    let value = match class {
        1 => {
            let count = plausible(count)?;
            let mut cells = Vec::with_capacity(count);
            for _ in 0..count {
                cells.push(matrix(Element::read(&mut rest)?.data, depth + 1)?.1);
            }
            MatValue::Cells(cells)
        }
        2 => {
            let width = Element::read(&mut rest)?.numbers()?.first().copied().unwrap_or_default() as usize;
            let names = Element::read(&mut rest)?.data;
            if width == 0 {
                return Err("a record whose field names have no length".to_owned());
            }
            let field = |bytes: &[u8]| {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                String::from_utf8_lossy(&bytes[..end]).into_owned()
            };
            let fields: Vec<String> = names.chunks(width).map(field).collect();
            let count = plausible(count)?;
            let mut records = Vec::with_capacity(count);
            for _ in 0..count {
                let mut record = Vec::with_capacity(fields.len());
                for _ in 0..fields.len() {
                    record.push(matrix(Element::read(&mut rest)?.data, depth + 1)?.1);
                }
                records.push(record);
            }
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

/// Writing what the tests read: records of text and numbers, compressed or plain.
#[cfg(test)]
pub(super) mod writer {
    use super::{Kind, MatValue};
    use std::io::Write;

    fn element(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    fn small(kind: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (kind | (data.len() as u32) << 16).to_le_bytes().to_vec();
        bytes.extend(data);
        bytes.resize(8, 0);
        bytes
    }

    fn matrix(name: &str, value: &MatValue) -> Vec<u8> {
        let (class, count) = match value {
            MatValue::Numbers(numbers) => (6, numbers.len()),
            MatValue::Text(text) => (4, text.chars().count()),
            MatValue::Cells(cells) => (1, cells.len()),
            MatValue::Records(_, records) => (2, records.len()),
        };
        let mut data = element(Kind::UINT32, &[(class as u32).to_le_bytes(), [0; 4]].concat());
        data.extend(element(Kind::INT32, &[1_i32.to_le_bytes(), (count as i32).to_le_bytes()].concat()));
        data.extend(element(Kind::INT8, name.as_bytes()));
        match value {
            // MATLAB stores small whole numbers in a byte.
            MatValue::Numbers(numbers)
                if numbers.len() == 1 && (0..256).any(|whole| f64::from(whole) == numbers[0]) =>
            {
                data.extend(small(Kind::UINT8, &[numbers[0] as u8]));
            }
            MatValue::Numbers(numbers) => {
                data.extend(element(Kind::DOUBLE, &numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>()));
            }
            MatValue::Text(text) => {
                let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                data.extend(element(Kind::UINT16, &units));
            }
            MatValue::Cells(cells) => cells.iter().for_each(|cell| data.extend(matrix("", cell))),
            MatValue::Records(fields, records) => {
                data.extend(small(Kind::INT32, &32_i32.to_le_bytes()));
                let names: Vec<u8> = fields
                    .iter()
                    .flat_map(|field| {
                        let mut name = field.clone().into_bytes();
                        name.resize(32, 0);
                        name
                    })
                    .collect();
                data.extend(element(Kind::INT8, &names));
                records.iter().flatten().for_each(|field| data.extend(matrix("", field)));
            }
        }
        element(Kind::MATRIX, &data)
    }

    /// A whole file.
    pub fn mat_file(variables: &[(&str, MatValue)], compressed: bool) -> Vec<u8> {
        let mut file = b"MATLAB 5.0 MAT-file".to_vec();
        file.resize(124, b' ');
        file.extend([0, 1]);
        file.extend(b"IM");
        for (name, value) in variables {
            let plain = matrix(name, value);
            if compressed {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(&plain).unwrap();
                let data = encoder.finish().unwrap();
                file.extend(Kind::COMPRESSED.to_le_bytes());
                file.extend((data.len() as u32).to_le_bytes());
                file.extend(data);
            } else {
                file.extend(plain);
            }
        }
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<(&'static str, MatValue)> {
        let text = |text: &str| MatValue::Text(text.to_owned());
        let number = |value: f64| MatValue::Numbers(vec![value]);
        let fields = ["fname", "class"].map(str::to_owned).to_vec();
        let records = vec![vec![text("a.jpg"), number(7.0)], vec![text("b é.jpg"), number(196.5)]];
        vec![
            ("annotations", MatValue::Records(fields, records)),
            ("class_names", MatValue::Cells(vec![text("AM General Hummer SUV 2000"), text("")])),
            ("sizes", MatValue::Numbers(vec![1.0, -2.5, 1e9])),
        ]
    }

    #[test]
    fn records_cells_text_and_numbers_plain_and_compressed() {
        for compressed in [false, true] {
            let found = parse_mat_file(&writer::mat_file(&example(), compressed)).unwrap();
            for ((name, value), (found_name, found_value)) in example().iter().zip(&found) {
                assert_eq!((*name, value), (found_name.as_str(), found_value));
            }
        }
    }

    #[test]
    fn damaged_files_are_refused_and_never_panic() {
        for compressed in [false, true] {
            let whole = writer::mat_file(&example(), compressed);
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
