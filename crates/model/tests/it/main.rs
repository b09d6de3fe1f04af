//! The model against recorded outputs, its engines against each other, gradients against finite differences.

mod explain;
mod families;
mod folding;
mod fused_block;
mod fused_patches;
mod golden_backbones;
mod support;
