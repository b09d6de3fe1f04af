//! A folder of tiny pictures and an embedder that needs no network: vectors from the mean colors of a picture's quarters.

use std::cell::Cell;
use std::error::Error;
use std::path::{Path, PathBuf};

use kinsight_data::{Preprocess, RgbImage};
use kinsight_index::{
    Cancel, Cursor, Fingerprint, GraphSettings, ImageEmbedder, Index, Listing, ModelSource, Payload, Point, PointId,
    SyncReport, Value,
};

pub struct Colors {
    fingerprint: Fingerprint,
    /// How many pictures it has embedded.
    pub embedded: Cell<usize>,
}

pub const DIM: usize = 12;

impl Colors {
    pub fn new(name: &str) -> Self {
        let fingerprint = Fingerprint {
            backbone: name.to_owned(),
            fine_tuning: None,
            preprocess: "{}".to_owned(),
            embedding: DIM,
            library: Fingerprint::LIBRARY.to_owned(),
            precision: None,
            pooling: None,
        };
        Self { fingerprint, embedded: Cell::new(0) }
    }
}

impl ImageEmbedder for Colors {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess { input_size_px: 8, resize_size_px: 8, ..Preprocess::default() }
    }

    fn embed(&self, images: Vec<f32>, count: usize) -> Result<Vec<f32>, Box<dyn Error + Send + Sync>> {
        self.embedded.set(self.embedded.get() + count);
        let salt = self.fingerprint.backbone.len() as f32;
        let mut rows = Vec::new();
        for image in images.chunks_exact(images.len() / count) {
            let quarters = image.chunks_exact(image.len() / DIM).map(|part| part.iter().sum::<f32>());
            let row: Vec<f32> = quarters.enumerate().map(|(i, sum)| sum + salt * i as f32).collect();
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            rows.extend(row.iter().map(|value| value / length));
        }
        Ok(rows)
    }
}

/// An index without images, for vectors of width `dim`.
pub fn bare(path: &Path, dim: usize, graph: GraphSettings) -> Index {
    let fingerprint = Fingerprint { embedding: dim, ..Colors::new("bare").fingerprint };
    Index::create(path, fingerprint, source(), graph).unwrap()
}

pub fn upsert(index: &Index, points: &[Point]) {
    index.writer().unwrap().upsert(points).unwrap();
}

pub fn optimize(index: &Index) {
    index.writer().unwrap().optimize(&|_, _| ()).unwrap();
}

/// What `check` finds.
pub fn damage(index: &Index) -> Vec<String> {
    index.store().check(&|_, _| ()).unwrap()
}

/// The file in the first generation whose name ends so.
pub fn stored_file(index: &Path, ending: &str) -> PathBuf {
    let files = std::fs::read_dir(index.join("generations/1")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    assert_eq!(found.len(), 1, "{ending}: {found:?}");
    found.remove(0)
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn source() -> ModelSource {
    ModelSource { run: None, backbone: "colors".to_owned() }
}

/// A folder for images and indexes.
pub struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    /// `classes` folders of `each` pictures below `images/`.
    pub fn new(classes: usize, each: usize) -> Self {
        let fixture = Self { folder: tempfile::tempdir().unwrap() };
        for class in 0..classes {
            for number in 0..each {
                fixture.write_picture(&format!("class{class}/{number}.png"), (class * 40 + number) as u8);
            }
        }
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn images(&self) -> PathBuf {
        self.path("images")
    }

    /// A picture of its own for each seed.
    pub fn write_picture(&self, name: &str, seed: u8) {
        let path = self.images().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bmp(seed)).unwrap();
    }

    pub fn create(&self, name: &str, model: &Colors) -> Index {
        let graph = GraphSettings::default();
        Index::create(&self.path(name), model.fingerprint().clone(), source(), graph).unwrap()
    }
}

/// A 10 x 9 picture as a BMP file, written by hand so that tests need no encoder.
pub fn bmp(seed: u8) -> Vec<u8> {
    let (width, height) = (10_u32, 9_u32);
    let mut bytes = Vec::from(*b"BM");
    let row = (width as usize * 3).next_multiple_of(4);
    let size = 54 + row * height as usize;
    for number in [size as u32, 0, 54, 40, width, height] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.resize(54, 0);
    for y in 0..height {
        for x in 0..row as u32 {
            let wave = (x * u32::from(seed) * 7 + y * 31 + u32::from(seed) * 13) % 251;
            bytes.push(wave as u8);
        }
    }
    bytes
}

pub fn picture(seed: u8) -> RgbImage {
    kinsight_data::decode_bytes(&bmp(seed), kinsight_data::DecodeLimits::default()).unwrap()
}

pub fn sync(index: &Index, images: &Path, model: &Colors) -> SyncReport {
    let listing = Listing::of(images).unwrap();
    index.writer().unwrap().sync(&listing, model, 4, &mut |_| true).unwrap()
}

/// Everything in an index, in its order.
pub fn contents(index: &Index) -> Vec<Point> {
    let (points, next) = index.store().scroll(Cursor::default(), usize::MAX >> 1, None, &Cancel::new()).unwrap();
    assert!(next.is_none());
    points
}

pub fn point(name: &str, vector: &[f32]) -> Point {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    Point {
        id: PointId::of_path("test", name),
        vector: vector.iter().map(|value| value / length).collect(),
        payload: Payload::from([("path".to_owned(), Value::from(name))]),
    }
}
