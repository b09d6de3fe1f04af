//! The encoder's forward pass in ONNX operators; each function is the counterpart of a `forward` of the model.

use burn::module::Param;
use burn::tensor::Tensor;

use super::graph::{Attribute, Graph};
use crate::attach::fold;
use crate::encoder::Encoder;
use crate::parameters::to_vec;
use crate::prompts::PromptRows;
use crate::vit::adapter::{Adapter, AdapterNorm, AdapterPlacement};
use crate::vit::{
    Activation, Attention, AttentionPool, Block, LayerNorm, LayerScale, Linear, Mlp, PatchEmbed, Pooling, Rotary,
    VisionTransformer,
};

/// Adds the whole encoder, which reads `images`; the name of its result.
pub fn write(graph: &mut Graph, encoder: &Encoder) -> String {
    // What is attached to layers is folded: it has no operators.
    let backbone = &fold(&encoder.backbone);
    let batch = batch_size(graph);
    let mut x = embed(graph, backbone, &batch);
    let mut prompts = encoder.block_prompts().into_iter();
    for (i, part) in backbone.blocks.iter().enumerate() {
        let rows = match prompts.next().flatten() {
            Some(PromptRows::Shared(rows)) => Some(rows),
            // An encoder's own prompts are the same for every image.
            Some(PromptRows::PerImage(_)) | None => None,
        };
        x = block(graph, part, &format!("blocks.{i}"), x, rows, &batch);
    }
    let pooled = pool(graph, backbone, x, encoder.pooling);
    let embedding = match &encoder.head {
        None => pooled,
        Some(head) => {
            let normed = layer_norm(graph, &head.norm, "head.norm", &pooled);
            linear(graph, &head.projection, "head.projection", &normed)
        }
    };
    let norm =
        graph.node("ReduceL2", &[&embedding], &[Attribute::Ints("axes", vec![1]), Attribute::Int("keepdims", 1)]);
    let smallest = graph.float(1e-12);
    let norm = graph.node("Max", &[&norm, &smallest], &[]);
    graph.node("Div", &[&embedding, &norm], &[])
}

/// A list with the batch size alone.
fn batch_size(graph: &mut Graph) -> String {
    graph.node("Shape", &["images"], &[Attribute::Int("start", 0), Attribute::Int("end", 1)])
}

/// `VisionTransformer::embed`
fn embed(graph: &mut Graph, model: &VisionTransformer, batch: &str) -> String {
    let config = &model.config;
    let width = config.width;
    let mut patches = patch_embed(graph, &model.patch_embed);
    // Class token, distillation token and registers are the same for every image, positions included.
    let mut special: Vec<f32> = model.cls_token.iter().chain(&model.dist_token).flat_map(values).collect();
    if let Some(positions) = &model.pos_embed {
        let positions = values(positions);
        let (of_special, of_patches) = positions.split_at(config.special_positions() * width);
        special.iter_mut().zip(of_special).for_each(|(token, position)| *token += position);
        let positions = graph.floats("pos_embed", &[1, config.patches(), width], of_patches);
        patches = graph.node("Add", &[&patches, &positions], &[]);
    }
    special.extend(model.reg_token.iter().flat_map(values));
    let mut tokens = patches;
    if !special.is_empty() {
        let special = repeated(graph, "special_tokens", &special, width, batch);
        tokens = graph.node("Concat", &[&special, &tokens], &[Attribute::Int("axis", 1)]);
    }
    match &model.norm_pre {
        None => tokens,
        Some(norm) => layer_norm(graph, norm, "norm_pre", &tokens),
    }
}

/// `PatchEmbed::forward`, as the convolution it is.
fn patch_embed(graph: &mut Graph, embed: &PatchEmbed) -> String {
    let weight = embed.proj.weight.val();
    let shape = weight.dims();
    let [width, _, patch, _] = shape;
    let weight = graph.floats("patch_embed.proj.weight", &shape, &values(&embed.proj.weight));
    let mut inputs = vec!["images".to_string(), weight];
    inputs.extend(embed.proj.bias.as_ref().map(|bias| graph.floats("patch_embed.proj.bias", &[width], &values(bias))));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let sides = vec![patch as i64; 2];
    let stride = [Attribute::Ints("kernel_shape", sides.clone()), Attribute::Ints("strides", sides)];
    let grid = graph.node("Conv", &inputs, &stride); // [B, D, rows, columns]
    let rows = reshape(graph, &grid, &[0, width as i64, -1]);
    transpose(graph, &rows, &[0, 2, 1])
}

/// `Block::forward_composed`
fn block(graph: &mut Graph, block: &Block, name: &str, x: String, prompts: Option<Tensor<2>>, batch: &str) -> String {
    let mut x = x;
    let mut count = 0;
    if let Some(rows) = prompts {
        let [rows_used, width] = rows.dims();
        let rows = to_vec(rows);
        let rows = repeated(graph, &format!("{name}.prompts"), &rows, width, batch);
        x = graph.node("Concat", &[&rows, &x], &[Attribute::Int("axis", 1)]);
        count = rows_used;
    }
    let normed = layer_norm(graph, &block.norm1, &format!("{name}.norm1"), &x);
    let branch = attention(graph, &block.attn, &format!("{name}.attn"), &normed, count);
    let branch = scaled(graph, &block.ls1, &format!("{name}.ls1"), branch);
    let x = graph.node("Add", &[&x, &branch], &[]);
    let normed = layer_norm(graph, &block.norm2, &format!("{name}.norm2"), &x);
    let branch = mlp(graph, &block.mlp, &format!("{name}.mlp"), &normed);
    let branch = scaled(graph, &block.ls2, &format!("{name}.ls2"), branch);
    let mut y = graph.node("Add", &[&x, &branch], &[]);
    if let Some(part) = &block.adapter {
        let input = match part.placement {
            AdapterPlacement::Parallel => &x,
            AdapterPlacement::Sequential => &branch,
        };
        let adapted = adapter(graph, part, &format!("{name}.adapter"), input);
        y = graph.node("Add", &[&y, &adapted], &[]);
    }
    if count == 0 { y } else { slice(graph, &y, 1, count as i64, i64::MAX) }
}

/// `Attention::forward`
fn attention(graph: &mut Graph, attention: &Attention, name: &str, x: &str, prompts: usize) -> String {
    let width = attention.qkv.weight.dims()[1];
    let head_dim = width / attention.heads;
    let qkv = linear(graph, &attention.qkv, &format!("{name}.qkv"), x);
    let [q, k, v] = heads(graph, &qkv, attention.heads, head_dim);
    let [q, k] = match &attention.rotary {
        None => [q, k],
        Some(rotary) => {
            [("q", q), ("k", k)].map(|(which, x)| turn(graph, rotary, &format!("{name}.{which}"), &x, prompts))
        }
    };
    let mixed = attend(graph, &q, &k, &v, head_dim);
    linear(graph, &attention.proj, &format!("{name}.proj"), &mixed)
}

/// `[B, N, PARTS * D]` to `PARTS` times `[B, H, N, D/H]`
fn heads<const PARTS: usize>(graph: &mut Graph, x: &str, heads: usize, head_dim: usize) -> [String; PARTS] {
    let split = reshape(graph, x, &[0, 0, PARTS as i64, heads as i64, head_dim as i64]);
    let split = transpose(graph, &split, &[2, 0, 3, 1, 4]);
    std::array::from_fn(|part| {
        let part = slice(graph, &split, 0, part as i64, part as i64 + 1);
        let axes = graph.ints(&[0]);
        graph.node("Squeeze", &[&part, &axes], &[])
    })
}

/// `softmax(Q Kᵀ / sqrt(D/H)) V` with the heads put together again: `[B, N, D]`
fn attend(graph: &mut Graph, q: &str, k: &str, v: &str, head_dim: usize) -> String {
    let scale = graph.float((head_dim as f32).powf(-0.5));
    let q = graph.node("Mul", &[q, &scale], &[]);
    let k = transpose(graph, k, &[0, 1, 3, 2]);
    let scores = graph.node("MatMul", &[&q, &k], &[]);
    let weights = graph.node("Softmax", &[&scores], &[Attribute::Int("axis", -1)]);
    let mixed = graph.node("MatMul", &[&weights, v], &[]);
    let mixed = transpose(graph, &mixed, &[0, 2, 1, 3]);
    let width = graph.ints(&[0, 0, -1]);
    graph.node("Reshape", &[&mixed, &width], &[])
}

/// `Rotary::turn`
fn turn(graph: &mut Graph, rotary: &Rotary, name: &str, x: &str, prompts: usize) -> String {
    let (first, patches, head_dim) = rotary.extent(prompts);
    let (cos, sin) = rotary.tables();
    let shape = [1, 1, patches, head_dim];
    let cos = graph.floats(&format!("{name}.cos"), &shape, cos);
    let sin = graph.floats(&format!("{name}.sin"), &shape, sin);
    let (start, end, half) = (first as i64, (first + patches) as i64, head_dim as i64 / 2);
    let before = slice(graph, x, 2, 0, start);
    let turned = slice(graph, x, 2, start, end);
    let after = slice(graph, x, 2, end, i64::MAX);
    let low = slice(graph, &turned, 3, 0, half);
    let high = slice(graph, &turned, 3, half, i64::MAX);
    let high = graph.node("Neg", &[&high], &[]);
    let crossed = graph.node("Concat", &[&high, &low], &[Attribute::Int("axis", 3)]);
    let straight = graph.node("Mul", &[&turned, &cos], &[]);
    let crossed = graph.node("Mul", &[&crossed, &sin], &[]);
    let turned = graph.node("Add", &[&straight, &crossed], &[]);
    graph.node("Concat", &[&before, &turned, &after], &[Attribute::Int("axis", 2)])
}

/// `Mlp::forward`
fn mlp(graph: &mut Graph, mlp: &Mlp, name: &str, x: &str) -> String {
    let inner = linear(graph, &mlp.fc1, &format!("{name}.fc1"), x);
    let inner = if mlp.gated {
        let hidden = mlp.fc2.weight.dims()[1] as i64;
        let gate = slice(graph, &inner, 2, 0, hidden);
        let value = slice(graph, &inner, 2, hidden, i64::MAX);
        let sigmoid = graph.node("Sigmoid", &[&gate], &[]);
        let silu = graph.node("Mul", &[&gate, &sigmoid], &[]);
        graph.node("Mul", &[&silu, &value], &[])
    } else {
        activation(graph, mlp.activation, &inner)
    };
    linear(graph, &mlp.fc2, &format!("{name}.fc2"), &inner)
}

/// `Activation::forward`; the operator `Gelu` is younger than the operator set.
fn activation(graph: &mut Graph, activation: Activation, x: &str) -> String {
    let constant = |graph: &mut Graph, value: f64| graph.float(value as f32);
    match activation {
        Activation::QuickGelu => {
            let slope = constant(graph, 1.702);
            let scaled = graph.node("Mul", &[x, &slope], &[]);
            let sigmoid = graph.node("Sigmoid", &[&scaled], &[]);
            graph.node("Mul", &[x, &sigmoid], &[])
        }
        Activation::Gelu | Activation::GeluTanh => {
            let squashed = if activation == Activation::Gelu {
                let root = constant(graph, std::f64::consts::SQRT_2);
                let scaled = graph.node("Div", &[x, &root], &[]);
                graph.node("Erf", &[&scaled], &[])
            } else {
                // tanh(sqrt(2 / pi) (x + 0.044715 x³))
                let square = graph.node("Mul", &[x, x], &[]);
                let cube = graph.node("Mul", &[&square, x], &[]);
                let small = constant(graph, 0.044715);
                let cube = graph.node("Mul", &[&cube, &small], &[]);
                let sum = graph.node("Add", &[x, &cube], &[]);
                let root = constant(graph, (2.0 / std::f64::consts::PI).sqrt());
                let scaled = graph.node("Mul", &[&sum, &root], &[]);
                graph.node("Tanh", &[&scaled], &[])
            };
            let (one, half) = (constant(graph, 1.0), constant(graph, 0.5));
            let squashed = graph.node("Add", &[&squashed, &one], &[]);
            let squashed = graph.node("Mul", &[&squashed, &half], &[]);
            graph.node("Mul", &[x, &squashed], &[])
        }
    }
}

/// `Adapter::forward`
fn adapter(graph: &mut Graph, adapter: &Adapter, name: &str, x: &str) -> String {
    let norm = |graph: &mut Graph, x: &str| layer_norm(graph, &adapter.adapter_ln, &format!("{name}.adapter_ln"), x);
    let x = if adapter.norm == AdapterNorm::Pre { norm(graph, x) } else { x.to_string() };
    let down = linear(graph, &adapter.down_proj, &format!("{name}.down_proj"), &x);
    let down = graph.node("Relu", &[&down], &[]);
    let up = linear(graph, &adapter.up_proj, &format!("{name}.up_proj"), &down);
    if adapter.norm == AdapterNorm::Post { norm(graph, &up) } else { up }
}

/// `VisionTransformer::pool`
fn pool(graph: &mut Graph, model: &VisionTransformer, tokens: String, pooling: Pooling) -> String {
    let special = model.config.special_tokens() as i64;
    let axis = Attribute::Ints("axes", vec![1]);
    match pooling {
        Pooling::Class => {
            let token = slice(graph, &tokens, 1, 0, 1);
            let token = layer_norm(graph, &model.norm, "norm", &token);
            let axes = graph.ints(&[1]);
            graph.node("Squeeze", &[&token, &axes], &[])
        }
        Pooling::Avg => {
            let patches = slice(graph, &tokens, 1, special, i64::MAX);
            let patches = layer_norm(graph, &model.norm, "norm", &patches);
            graph.node("ReduceMean", &[&patches], &[axis, Attribute::Int("keepdims", 0)])
        }
        Pooling::Map => {
            let normed = layer_norm(graph, &model.norm, "norm", &tokens);
            match &model.attn_pool {
                Some(pool) => attention_pool(graph, pool, &normed),
                // Settings are held against `VitConfig::check_pooling`, so that this does not come up.
                None => graph.node("ReduceMean", &[&normed], &[axis, Attribute::Int("keepdims", 0)]),
            }
        }
    }
}

/// `AttentionPool::forward`
fn attention_pool(graph: &mut Graph, pool: &AttentionPool, tokens: &str) -> String {
    let width = pool.q.weight.dims()[1];
    let head_dim = width / pool.heads;
    let latent = graph.floats("attn_pool.latent", &[1, 1, width], &values(&pool.latent));
    let q = linear(graph, &pool.q, "attn_pool.q", &latent);
    let [q] = heads(graph, &q, pool.heads, head_dim);
    let kv = linear(graph, &pool.kv, "attn_pool.kv", tokens);
    let [k, v] = heads(graph, &kv, pool.heads, head_dim);
    let mixed = attend(graph, &q, &k, &v, head_dim);
    let x = linear(graph, &pool.proj, "attn_pool.proj", &mixed);
    let normed = layer_norm(graph, &pool.norm, "attn_pool.norm", &x);
    let branch = mlp(graph, &pool.mlp, "attn_pool.mlp", &normed);
    let pooled = graph.node("Add", &[&x, &branch], &[]);
    let axes = graph.ints(&[1]);
    graph.node("Squeeze", &[&pooled, &axes], &[])
}

fn scaled(graph: &mut Graph, scale: &Option<LayerScale>, name: &str, branch: String) -> String {
    match scale {
        None => branch,
        Some(scale) => {
            let gamma = values(&scale.gamma);
            let gamma = graph.floats(&format!("{name}.gamma"), &[gamma.len()], &gamma);
            graph.node("Mul", &[&branch, &gamma], &[])
        }
    }
}

/// `LayerNorm::forward` over the last dimension.
fn layer_norm(graph: &mut Graph, norm: &LayerNorm, name: &str, x: &str) -> String {
    let (weight, bias) = (values(&norm.weight), values(&norm.bias));
    let weight = graph.floats(&format!("{name}.weight"), &[weight.len()], &weight);
    let bias = graph.floats(&format!("{name}.bias"), &[bias.len()], &bias);
    let attributes = [Attribute::Int("axis", -1), Attribute::Float("epsilon", norm.eps as f32)];
    graph.node("LayerNormalization", &[x, &weight, &bias], &attributes)
}

/// `Linear::forward`; the weight is kept transposed, `[in, out]`.
fn linear(graph: &mut Graph, linear: &Linear, name: &str, x: &str) -> String {
    let [output, input] = linear.weight.dims();
    let transposed = to_vec(linear.weight.val().transpose());
    let weight = graph.floats(&format!("{name}.weight"), &[input, output], &transposed);
    let product = graph.node("MatMul", &[x, &weight], &[]);
    match &linear.bias {
        None => product,
        Some(bias) => {
            let bias = graph.floats(&format!("{name}.bias"), &[output], &values(bias));
            graph.node("Add", &[&product, &bias], &[])
        }
    }
}

/// `rows` `[P, D]` for every image of the batch: `[B, P, D]`
fn repeated(graph: &mut Graph, name: &str, rows: &[f32], width: usize, batch: &str) -> String {
    let count = rows.len() / width;
    let rows = graph.floats(name, &[1, count, width], rows);
    let size = graph.ints(&[count as i64, width as i64]);
    let shape = graph.node("Concat", &[batch, &size], &[Attribute::Int("axis", 0)]);
    graph.node("Expand", &[&rows, &shape], &[])
}

fn slice(graph: &mut Graph, x: &str, axis: i64, start: i64, end: i64) -> String {
    let [start, end, axis] = [start, end, axis].map(|value| graph.ints(&[value]));
    graph.node("Slice", &[x, &start, &end, &axis], &[])
}

/// In `shape` a 0 keeps the dimension and a -1 is what is left.
fn reshape(graph: &mut Graph, x: &str, shape: &[i64]) -> String {
    let shape = graph.ints(shape);
    graph.node("Reshape", &[x, &shape], &[])
}

fn transpose(graph: &mut Graph, x: &str, order: &[i64]) -> String {
    graph.node("Transpose", &[x], &[Attribute::Ints("perm", order.to_vec())])
}

fn values<const R: usize>(parameter: &Param<Tensor<R>>) -> Vec<f32> {
    to_vec(parameter.val())
}
