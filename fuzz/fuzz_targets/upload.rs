//! Any bytes as an uploaded picture: decoded within the limits, or an error; never more memory than they allow.
#![no_main]

use kinsight_data::{DecodeLimits, decode_bytes};
use libfuzzer_sys::fuzz_target;

const LIMITS: DecodeLimits = DecodeLimits { max_pixels: 1 << 18 };

fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = decode_bytes(bytes, LIMITS) {
        let pixels = u64::from(picture.width()) * u64::from(picture.height());
        assert!(pixels > 0 && pixels <= LIMITS.max_pixels);
        assert_eq!(picture.pixels().len() as u64, 3 * pixels);
    }
});
