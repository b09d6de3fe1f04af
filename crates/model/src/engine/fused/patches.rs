//! The patch projection of the CPU back end: patches are gathered and projected on all threads, in the engine's
//! precision, without a permuted copy of the images by one thread.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use kinsight_kernels::{LinearParams, Precision, linear, linear_backward};
use rayon::prelude::*;

use super::inputs::{FlexTensor, contiguous, numbers, tensor};

/// What is not a tensor.
#[derive(Clone, Copy, Debug)]
pub struct PatchCall {
    /// Side of a patch, in pixels.
    pub patch: usize,
    /// Arithmetic of the projection.
    pub precision: Precision,
}

/// The operation; back ends other than flex never get it.
#[backend_extension(Flex, Autodiff)]
pub trait FusedPatches: Backend {
    /// Images `[B, C, H, W]`, kernel `[D, C, patch, patch]`, bias `[D]`; the result is `[B, H/patch * W/patch, D]`.
    fn fused_patches(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: PatchCall,
    ) -> FloatTensor<Self>;
}

/// Projects the patches of `images`, which must not require a gradient, on the flex back end.
pub fn project(images: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, call: PatchCall) -> Tensor<3> {
    let (images, weight, bias) = (images.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    Tensor::from_dispatch(<Dispatch as FusedPatches>::fused_patches(images, weight, bias, call))
}

impl FusedPatches for Flex {
    fn fused_patches(images: FlexTensor, weight: FlexTensor, bias: FlexTensor, call: PatchCall) -> FlexTensor {
        Projection::new(images, weight, bias, call).forward()
    }
}

/// Contiguous inputs.
#[derive(Clone, Debug)]
struct Projection {
    images: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    call: PatchCall,
}

/// Sizes of a projection.
struct Sizes {
    batch: usize,
    channels: usize,
    /// Patches down and across.
    grid: [usize; 2],
    /// Numbers in an image, in a patch, in a token.
    image: usize,
    patch: usize,
    width: usize,
}

impl Projection {
    fn new(images: FlexTensor, weight: FlexTensor, bias: FlexTensor, call: PatchCall) -> Self {
        Self { images: contiguous(images), weight: contiguous(weight), bias: contiguous(bias), call }
    }

    fn sizes(&self) -> Sizes {
        let [batch, channels, height, width_px] = self.images.shape().dims::<4>();
        let [width, ..] = self.weight.shape().dims::<4>();
        let side = self.call.patch;
        Sizes {
            batch,
            channels,
            grid: [height / side, width_px / side],
            image: channels * height * width_px,
            patch: channels * side * side,
            width,
        }
    }

    /// `[B * patches, C * patch * patch]`, patches in row-major order.
    fn patches(&self) -> Vec<f32> {
        let Sizes { batch, channels, grid: [rows, columns], image, patch, .. } = self.sizes();
        let side = self.call.patch;
        let (stride, plane) = (image / channels / (rows * side), image / channels);
        let images = numbers(&self.images);
        let mut out = vec![0.0; batch * rows * columns * patch];
        out.par_chunks_mut((columns * patch).max(1)).enumerate().for_each(|(row, out)| {
            let first = row / rows * image + row % rows * side * stride;
            for (column, out) in out.chunks_exact_mut(patch).enumerate() {
                for (i, line) in out.chunks_exact_mut(side).enumerate() {
                    let at = first + i / side * plane + i % side * stride + column * side;
                    line.copy_from_slice(&images[at..at + side]);
                }
            }
        });
        out
    }

    fn forward(&self) -> FlexTensor {
        let Sizes { batch, grid: [rows, columns], patch, width, .. } = self.sizes();
        let mut out = vec![0.0; batch * rows * columns * width];
        let params = LinearParams { weight: numbers(&self.weight), bias: Some(numbers(&self.bias)) };
        #[expect(clippy::expect_used, reason = "shapes were checked when the model was built")]
        linear(params, [patch, width], self.call.precision, &self.patches(), &mut out)
            .expect("the projection's tensors fit each other");
        tensor(out, [batch, rows * columns, width])
    }
}

#[derive(Debug)]
struct PatchesBackward;

impl Backward<Flex, 2> for PatchesBackward {
    type State = Projection;

    fn backward(self, ops: Ops<Projection, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_out = contiguous(grads.consume::<Flex>(&ops.node));
        let projection = &ops.state;
        let Sizes { patch, width, .. } = projection.sizes();
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let params = LinearParams { weight: numbers(&projection.weight), bias: Some(numbers(&projection.bias)) };
        // The bias alone does not look at the patches, whose length is all that is checked.
        let patches = if wanted[0] { projection.patches() } else { vec![0.0; numbers(&d_out).len() / width * patch] };
        #[expect(clippy::expect_used, reason = "the same tensors went through the forward")]
        let found =
            linear_backward(params, [patch, width], projection.call.precision, &patches, numbers(&d_out), wanted)
                .expect("the projection's tensors fit the gradient");
        for (parent, values, shape) in [
            (&ops.parents[0], found.weight, projection.weight.shape()),
            (&ops.parents[1], found.bias, projection.bias.shape()),
        ] {
            if let (Some(parent), Some(values)) = (parent, values) {
                grads.register::<Flex>(parent.id, tensor(values, shape));
            }
        }
    }
}

impl<C: CheckpointStrategy> FusedPatches for Autodiff<Flex, C> {
    fn fused_patches(
        images: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: PatchCall,
    ) -> FloatTensor<Self> {
        // The nodes must be taken before the primitives.
        let prepared = PatchesBackward.prepare::<C>([weight.node(), bias.node()]).compute_bound().stateful();
        let (weight, bias) = (weight.into_primitive(), bias.into_primitive());
        let projection = Projection::new(images.into_primitive(), weight, bias, call);
        let out = projection.forward();
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(projection, out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        }
    }
}
