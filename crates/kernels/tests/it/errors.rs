//! Calls whose sizes do not fit are errors that say what was expected.

use kinsight_kernels::*;

use crate::case::{Case, Spec};

fn forward(dims: &BlockDims, params: &BlockParams<'_>, x: &[f32]) -> Result<(), KernelError> {
    let mut out = vec![0.0; dims.output_len().min(1 << 16)];
    block_forward(dims, params, Precision::F32, x, &mut out)
}

#[test]
fn wrong_sizes_are_named() {
    let case = Case::new(&Spec { prompts: 2, ..Spec::plain() });
    let (dims, params) = (case.spec.dims(), case.params());
    assert_eq!(forward(&dims, &params, &case.x), Ok(()));
    let error = forward(&dims, &params, &case.x[1..]).unwrap_err();
    assert_eq!(error.to_string(), "block input holds 59 numbers, expected 60");
    for (what, dims) in [
        ("batch", BlockDims { batch: 0, ..dims }),
        ("outputs", BlockDims { outputs: 6, ..dims }),
        ("heads", BlockDims { heads: 4, ..dims }),
        ("prompts", BlockDims { prompts: 3, ..dims }),
        ("fc1.weight", BlockDims { hidden: 8, ..dims }),
        ("block input", BlockDims { tokens: usize::MAX, ..dims }),
    ] {
        let error = forward(&dims, &params, &case.x).unwrap_err();
        assert!(error.to_string().starts_with(what), "{what}: {error}");
    }
    let short = BlockParams { layer_scale1: Some(&case.x[..5]), ..params };
    let error = forward(&dims, &short, &case.x).unwrap_err();
    assert_eq!(error.to_string(), "layer_scale1 holds 5 numbers, expected 6");
    let without = BlockParams { prompts: None, ..params };
    assert!(forward(&dims, &without, &case.x).unwrap_err().to_string().starts_with("prompts"));
}

#[test]
fn gradients_of_absent_tensors_are_errors() {
    let case = Case::new(&Spec::plain());
    let (dims, params) = (case.spec.dims(), case.params());
    let mut out = vec![0.0; dims.output_len()];
    for wanted in [
        Wanted { prompts: true, ..Wanted::default() },
        Wanted { layer_scale2: true, ..Wanted::default() },
        Wanted { fc1: LinearWanted { lora: true, ..LinearWanted::default() }, ..Wanted::default() },
    ] {
        let (keep, f32) = (Keep::All, Precision::F32);
        let saved = block_forward_saving(&dims, &params, f32, keep, &wanted, &case.x, &mut out);
        assert!(matches!(saved, Err(KernelError::Mismatch { .. })));
    }
}

#[test]
fn activations_of_another_call_are_errors() {
    let case = Case::new(&Spec::plain());
    let (dims, params) = (case.spec.dims(), case.params());
    let mut out = vec![0.0; dims.output_len()];
    let none = Wanted::default();
    let (keep, f32) = (Keep::All, Precision::F32);
    let saved = block_forward_saving(&dims, &params, f32, keep, &none, &case.x, &mut out).unwrap();
    let backward = |precision, wanted: &Wanted| {
        block_backward(&dims, &params, precision, &case.x, &saved, &case.d_out, wanted, None)
    };
    assert!(backward(f32, &none).is_ok());
    assert!(backward(Precision::Bf16, &none).is_err());
    let more = Wanted { proj: LinearWanted { weight: true, ..LinearWanted::default() }, ..none };
    let error = backward(f32, &more).unwrap_err();
    assert!(error.to_string().starts_with("saved attention output"), "{error}");
}
