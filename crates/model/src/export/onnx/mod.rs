//! The encoder as an ONNX graph: prompts, adapters, head and normalization inside, any batch size.
//!
//! The graph says again what `vit/` computes, operation by operation. It does not fold or fuse anything, so that it can
//! be compared with the code; runtimes optimize it when they load it. Operators of set 17, the first with
//! `LayerNormalization`.

mod encoder;
mod graph;
mod protobuf;

use std::path::Path;

use kinsight_data::Preprocess;

use self::graph::Graph;
use super::export_error;
use crate::encoder::Encoder;
use crate::error::ModelError;

/// Protocol buffers cannot be larger; larger models would need their weights in separate files.
const MAX_BYTES: usize = (1 << 31) - (1 << 20);

/// Writes `encoder` to `path`: input `images` `[batch, 3, S, S]`, prepared as `preprocess` says (which is kept in the
/// model's metadata), output `embeddings` `[batch, E]`, unit rows.
///
/// # Errors
/// [`ModelError::Export`] if the model is too large for one file or has shallow prompts; [`ModelError::Io`].
pub fn write_onnx(path: &Path, encoder: &Encoder, preprocess: &Preprocess) -> Result<(), ModelError> {
    let bytes_needed = 4 * crate::parameters::inventory(encoder).iter().map(|p| p.count()).sum::<usize>();
    if bytes_needed > MAX_BYTES {
        return Err(export_error(
            format!(
                "the model has {} MB of weights, and an ONNX file holds at most {} MB",
                bytes_needed >> 20,
                MAX_BYTES >> 20
            ),
            "use --format timm or --format hf, or a smaller backbone",
        ));
    }
    if encoder.shallow_prompts {
        return Err(export_error(
            "shallow prompts cannot be exported to ONNX",
            "train with method vpt, whose prompts belong to each block",
        ));
    }
    let mut graph = Graph::default();
    let embeddings = encoder::write(&mut graph, encoder);
    let side = encoder.backbone.config.image_size as i64;
    let preprocess = serde_json::to_string(preprocess).map_err(|error| export_error(error.to_string(), ""))?;
    let bytes = graph.finish(
        ("images", &[None, Some(3), Some(side), Some(side)]),
        (&embeddings, "embeddings", &[None, Some(encoder.embedding_size() as i64)]),
        &[("kinsight.preprocess", &preprocess), ("kinsight.version", env!("CARGO_PKG_VERSION"))],
    );
    Ok(kinsight_files::write(path, &bytes)?)
}
