//! Recognizing the dataset that a run was started on.

use std::fs;

use super::Dataset;

impl Dataset {
    /// A hash of each image's path below the root, class, box and file size, in order: 64 hexadecimal digits.
    ///
    /// It changes when images are added, removed, renamed, relabeled or replaced by files of another size, but not when
    /// the whole dataset moves. Files are not read, so that a million images take seconds; a missing file hashes as one
    /// without a size.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut field = |bytes: &[u8]| {
            // Length-prefixed, so that no two lists of fields hash the same stream.
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for name in &self.class_names {
            field(name.as_bytes());
        }
        for item in &self.items {
            let relative = item.path.strip_prefix(&self.root).unwrap_or(&item.path);
            for part in relative {
                field(part.as_encoded_bytes());
            }
            field(&item.label.to_le_bytes());
            if let Some(crop) = item.crop {
                [crop.left, crop.top, crop.width, crop.height].iter().for_each(|edge| field(&edge.to_le_bytes()));
            }
            let size = fs::metadata(&item.path).map_or(u64::MAX, |metadata| metadata.len());
            field(&size.to_le_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}
