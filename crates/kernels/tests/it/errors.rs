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
        ("mlp.fc1.weight", BlockDims { hidden: 8, ..dims }),
        ("block input", BlockDims { tokens: usize::MAX, ..dims }),
    ] {
        let error = forward(&dims, &params, &case.x).unwrap_err();
        assert!(error.to_string().starts_with(what), "{what}: {error}");
    }
    let mut short = params;
    short.tensors[BlockTensor::Scale1] = Some(&case.x[..5]);
    let error = forward(&dims, &short, &case.x).unwrap_err();
    assert_eq!(error.to_string(), "ls1.gamma holds 5 numbers, expected 6");
    for needed in [BlockTensor::Prompts, BlockTensor::Norm1Bias, BlockTensor::Fc2Weight] {
        let mut without = params;
        without.tensors[needed] = None;
        let error = forward(&dims, &without, &case.x).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is absent, expected given", needed.name()));
    }
}

#[test]
fn gradients_of_absent_tensors_are_errors() {
    let case = Case::new(&Spec::plain());
    let (dims, params) = (case.spec.dims(), case.params());
    let mut out = vec![0.0; dims.output_len()];
    for absent in [BlockTensor::Prompts, BlockTensor::Scale2, BlockTensor::UpBias] {
        let wanted = Wanted::from_fn(|tensor| tensor == absent);
        let (keep, f32) = (Checkpoint::None, Precision::F32);
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
    let (keep, f32) = (Checkpoint::None, Precision::F32);
    let saved = block_forward_saving(&dims, &params, f32, keep, &none, &case.x, &mut out).unwrap();
    let backward = |precision, wanted: &Wanted| {
        block_backward(&dims, &params, precision, &case.x, &saved, &case.d_out, wanted, None)
    };
    assert!(backward(f32, &none).is_ok());
    assert!(backward(Precision::Bf16, &none).is_err());
    let more = Wanted::from_fn(|tensor| tensor == BlockTensor::ProjWeight);
    let error = backward(f32, &more).unwrap_err();
    assert!(error.to_string().starts_with("saved attention output"), "{error}");
}
