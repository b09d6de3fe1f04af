//! The block as the definition states it, in f64 on the tape: prompts put before the tokens, everything computed for
//! all rows, prompts' outputs dropped.

use std::collections::BTreeMap;

use kinsight_kernels::{AdapterNorm, AdapterPlacement, BlockTensor};

use crate::case::Case;
use crate::tape::{Mat, Tape, Var};

/// Every tensor's value, or gradient, by the names of `Outcome::tensors`.
pub type Tensors = BTreeMap<String, Vec<f64>>;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// A case's parameters and input in f64.
pub fn tensors(case: &Case) -> Tensors {
    let given = case.tensors.iter().filter_map(|(tensor, values)| Some((tensor.name().into(), wide(values.as_ref()?))));
    given.chain([("x".into(), wide(&case.x))]).collect()
}

/// One image's forward on a tape.
struct Image {
    tape: Tape,
    leaves: BTreeMap<String, Var>,
    out: Var,
}

impl Image {
    fn new(case: &Case, tensors: &Tensors, i: usize) -> Self {
        let (spec, dims) = (&case.spec, case.spec.dims());
        let width = dims.width;
        let mut image = Self { tape: Tape::default(), leaves: BTreeMap::new(), out: Var::default() };
        for tensor in BlockTensor::ALL.iter().filter(|tensor| **tensor != BlockTensor::Prompts) {
            let Some(values) = tensors.get(tensor.name()) else { continue };
            let rows = match tensor.shape(&dims, spec.adapter.map_or(0, |(.., r)| r))[..] {
                [rows, _] => rows,
                _ => 1,
            };
            let leaf = image.tape.leaf(Mat::new(rows, values.len() / rows, values.clone()));
            image.leaves.insert(tensor.name().into(), leaf);
        }
        let len = dims.tokens * width;
        let x = Mat::new(dims.tokens, width, tensors["x"][i * len..(i + 1) * len].to_vec());
        let x = image.tape.leaf(x);
        image.leaves.insert("x".into(), x);
        let mut z = x;
        if dims.prompts > 0 {
            let len = dims.prompts * width;
            let at = if spec.shared_prompts { 0 } else { i * len };
            let prompts = tensors["prompts"][at..at + len].to_vec();
            let prompts = image.tape.leaf(Mat::new(dims.prompts, width, prompts));
            image.leaves.insert("prompts".into(), prompts);
            z = image.tape.concat_rows(prompts, x);
        }
        let z = image.block(case, z);
        image.out = image.tape.rows(z, dims.prompts, dims.outputs);
        image
    }

    fn block(&mut self, case: &Case, x: Var) -> Var {
        let (spec, width) = (&case.spec, case.spec.dims().width);
        let n = self.norm("norm1", x);
        let qkv = self.linear("attn.qkv", n);
        let mut heads: Option<Var> = None;
        for head in 0..spec.heads {
            let at = head * spec.head_dim;
            let [q, k, v] = [0, 1, 2].map(|part| self.tape.cols(qkv, part * width + at, spec.head_dim));
            let k = self.tape.transpose(k);
            let scores = self.tape.matmul(q, k);
            let scores = self.tape.scale(scores, 1.0 / (spec.head_dim as f64).sqrt());
            let p = self.tape.softmax(scores);
            let o = self.tape.matmul(p, v);
            heads = Some(match heads {
                Some(left) => self.tape.concat_cols(left, o),
                None => o,
            });
        }
        let branch = self.linear("attn.proj", heads.unwrap());
        let branch = self.layer_scale("ls1.gamma", branch);
        let x2 = self.tape.add(x, branch);
        let n = self.norm("norm2", x2);
        let u = self.linear("mlp.fc1", n);
        let h = self.tape.gelu(u);
        let m = self.linear("mlp.fc2", h);
        let m = self.layer_scale("ls2.gamma", m);
        let out = self.tape.add(x2, m);
        let Some((placement, norm, _)) = spec.adapter else {
            return out;
        };
        let mut z = match placement {
            AdapterPlacement::Parallel => x2,
            AdapterPlacement::Sequential => m,
        };
        if norm == AdapterNorm::Pre {
            z = self.norm("adapter.adapter_ln", z);
        }
        z = self.linear("adapter.down_proj", z);
        z = self.tape.relu(z);
        z = self.linear("adapter.up_proj", z);
        if norm == AdapterNorm::Post {
            z = self.norm("adapter.adapter_ln", z);
        }
        self.tape.add(out, z)
    }

    fn norm(&mut self, name: &str, x: Var) -> Var {
        let x = self.tape.layer_norm(x, 1e-5);
        let x = self.tape.mul_row(x, self.leaves[&format!("{name}.weight")]);
        self.tape.add_row(x, self.leaves[&format!("{name}.bias")])
    }

    fn linear(&mut self, name: &str, x: Var) -> Var {
        let weight = self.tape.transpose(self.leaves[&format!("{name}.weight")]);
        let y = self.tape.matmul(x, weight);
        match self.leaves.get(&format!("{name}.bias")) {
            Some(&bias) => self.tape.add_row(y, bias),
            None => y,
        }
    }

    fn layer_scale(&mut self, name: &str, x: Var) -> Var {
        match self.leaves.get(name) {
            Some(&scale) => self.tape.mul_row(x, scale),
            None => x,
        }
    }
}

/// The block's output.
pub fn forward(case: &Case, tensors: &Tensors) -> Vec<f64> {
    (0..case.spec.batch)
        .flat_map(|i| {
            let image = Image::new(case, tensors, i);
            image.tape.value(image.out).data.clone()
        })
        .collect()
}

/// The block's output (`out`) and every gradient.
pub fn forward_backward(case: &Case, tensors: &Tensors) -> Tensors {
    let dims = case.spec.dims();
    let mut result: Tensors = tensors.iter().map(|(name, t)| (name.clone(), vec![0.0; t.len()])).collect();
    let mut out = Vec::new();
    for i in 0..case.spec.batch {
        let image = Image::new(case, tensors, i);
        let value = image.tape.value(image.out);
        let seed = wide(&case.d_out[i * value.data.len()..(i + 1) * value.data.len()]);
        let grads = image.tape.backward(&[(image.out, Mat::new(value.rows, value.cols, seed))]);
        out.extend_from_slice(&value.data);
        for (name, &leaf) in &image.leaves {
            let d = grads.of(leaf);
            let at = match name.as_str() {
                "x" => i * dims.tokens * dims.width,
                "prompts" if !case.spec.shared_prompts => i * dims.prompts * dims.width,
                _ => 0,
            };
            let sums = result.get_mut(name).unwrap();
            for (sum, d) in sums[at..].iter_mut().zip(d) {
                *sum += d;
            }
        }
    }
    result.insert("out".into(), out);
    result
}

#[test]
fn the_reference_agrees_with_finite_differences() {
    use crate::case::Spec;
    let adapters = [
        (AdapterPlacement::Parallel, AdapterNorm::Pre, 3),
        (AdapterPlacement::Parallel, AdapterNorm::Post, 3),
        (AdapterPlacement::Sequential, AdapterNorm::Pre, 3),
        (AdapterPlacement::Sequential, AdapterNorm::Post, 3),
    ];
    for (i, adapter) in adapters.into_iter().enumerate() {
        let case = Case::new(&Spec {
            prompts: 2,
            outputs: 3,
            shared_prompts: i % 2 == 0,
            layer_scale: true,
            adapter: Some(adapter),
            seed: i as u64,
            ..Spec::plain()
        });
        let tensors = tensors(&case);
        let grads = forward_backward(&case, &tensors);
        let loss = |tensors: &Tensors| -> f64 {
            let out = forward(&case, tensors);
            out.iter().zip(&case.d_out).map(|(y, &d)| y * f64::from(d)).sum()
        };
        let step = 1e-5;
        for (name, values) in &tensors {
            for at in (0..values.len()).step_by(values.len().div_ceil(4).max(1)) {
                let mut moved = tensors.clone();
                let mut at_offset = |offset: f64| {
                    moved.get_mut(name).unwrap()[at] = values[at] + offset;
                    loss(&moved)
                };
                let difference = (at_offset(step) - at_offset(-step)) / (2.0 * step);
                let gradient = grads[name][at];
                let error = (difference - gradient).abs();
                assert!(error < 1e-6 * gradient.abs().max(1.0), "{name}[{at}]: {difference} {gradient}");
            }
        }
    }
}
