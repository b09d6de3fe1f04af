//! A mixed batch gives each group exactly what the group alone gives.

use kinsight_kernels::*;
use proptest::prelude::*;

use crate::case::{Case, Spec, repeatable, specs};

/// The small parameters of `params`.
fn variant<'a>(params: &BlockParams<'a>) -> BlockVariant<'a> {
    BlockVariant {
        norm1: params.norm1,
        qkv_bias: params.qkv.bias,
        proj_bias: params.proj.bias,
        layer_scale1: params.layer_scale1,
        norm2: params.norm2,
        fc1_bias: params.fc1.bias,
        fc2_bias: params.fc2.bias,
        layer_scale2: params.layer_scale2,
        adapter: params.adapter,
        prompts: params.prompts,
    }
}

fn packed(spec: &Spec, params: &BlockParams<'_>, precision: Precision) -> PackedBlock {
    let dims = spec.dims();
    PackedBlock::new(dims.width, dims.hidden, [params.qkv, params.proj, params.fc1, params.fc2], precision).unwrap()
}

proptest! {
    #![proptest_config(repeatable(48))]

    #[test]
    fn groups_get_what_they_get_alone(spec in specs(), bf16 in any::<bool>(), batches in proptest::array::uniform3(1usize..4)) {
        let precision = if bf16 { Precision::Bf16 } else { Precision::F32 };
        let shared = Case::new(&spec);
        let packed = packed(&spec, &shared.params(), precision);
        // Fine-tunings of one backbone: other biases, norms, adapters, prompts and numbers of prompts; the same matrices.
        let cases: Vec<Case> = batches
            .iter()
            .enumerate()
            .map(|(i, &batch)| {
                let prompts = (spec.prompts + i) % 5;
                let mut case = Case::new(&Spec { batch, prompts, seed: spec.seed ^ (i as u64 + 1), ..spec.clone() });
                for (own, shared) in case.linears.iter_mut().zip(&shared.linears).take(4) {
                    own.weight.clone_from(&shared.weight);
                    own.lora.clone_from(&shared.lora);
                }
                case
            })
            .collect();
        let mut outs: Vec<Vec<f32>> = cases.iter().map(|case| vec![f32::NAN; case.spec.dims().output_len()]).collect();
        let mut groups: Vec<BlockGroup<'_>> = cases
            .iter()
            .zip(&mut outs)
            .map(|(case, out)| BlockGroup { dims: case.spec.dims(), variant: variant(&case.params()), x: &case.x, out })
            .collect();
        block_forward_mixed(&packed, &mut groups).unwrap();
        for (case, out) in cases.iter().zip(&outs) {
            let mut alone = vec![f32::NAN; out.len()];
            block_forward(&case.spec.dims(), &case.params(), precision, &case.x, &mut alone).unwrap();
            prop_assert_eq!(out, &alone);
        }
    }
}

#[test]
fn a_group_that_does_not_fit_is_named_and_nothing_is_computed() {
    let spec = Spec::plain();
    let case = Case::new(&spec);
    let packed = packed(&spec, &case.params(), Precision::F32);
    let (dims, whole) = (spec.dims(), variant(&case.params()));
    let short = [0.0; 2];
    for (variant, message) in [
        (BlockVariant { fc2_bias: Some(&short), ..whole }, "fc2.bias holds 2 numbers"),
        (BlockVariant { norm2: LayerNormParams { weight: &short, bias: &short }, ..whole }, "norm2.weight holds 2"),
        (BlockVariant { layer_scale1: Some(&short), ..whole }, "layer_scale1 holds 2"),
    ] {
        let (mut first, mut second) = (vec![7.0; dims.output_len()], vec![7.0; dims.output_len()]);
        let mut groups = [
            BlockGroup { dims, variant: whole, x: &case.x, out: &mut first },
            BlockGroup { dims, variant, x: &case.x, out: &mut second },
        ];
        let error = block_forward_mixed(&packed, &mut groups).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(first.iter().all(|value| *value == 7.0));
    }
    let other = BlockDims { hidden: dims.hidden + 1, ..dims };
    let mut out = vec![0.0; dims.output_len()];
    let mut groups = [BlockGroup { dims: other, variant: whole, x: &case.x, out: &mut out }];
    assert!(block_forward_mixed(&packed, &mut groups).unwrap_err().to_string().contains("hidden size of a group"));
}
