//! Any bytes as an uploaded image: decoded or refused, within the limits on size and memory.
#![no_main]

use kinsight_data::{DecodeLimits, decode_bytes};
use libfuzzer_sys::fuzz_target;

const LIMITS: DecodeLimits = DecodeLimits { max_pixels: 1 << 18 };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(image) = decode_bytes(bytes, LIMITS) {
        let pixels = u64::from(image.width()) * u64::from(image.height());
        assert!(pixels > 0 && pixels <= LIMITS.max_pixels);
        assert_eq!(image.pixels().len() as u64, 3 * pixels);
    }
});
