//! A graph of ONNX operators under construction; field numbers are those of `onnx.proto`.

use super::protobuf::Message;

/// Version of the file format and of the operators.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Element types of `TensorProto`.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// The size of each dimension; `None` is the batch.
pub type Shape<'a> = &'a [Option<i64>];

/// Nodes and constants in the order they were added; an operator's result is known by its name.
#[derive(Debug, Default)]
pub struct Graph {
    body: Message,
    nodes: usize,
    constants: usize,
}

/// An attribute of an operator.
#[derive(Clone, Debug)]
pub enum Attribute {
    Int(&'static str, i64),
    Ints(&'static str, Vec<i64>),
    Float(&'static str, f32),
}

impl Graph {
    /// Adds operator `kind` on `inputs`; the name of its result.
    pub fn node(&mut self, kind: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let name = format!("{}_{}", kind.to_lowercase(), self.nodes);
        self.nodes += 1;
        let node = inputs.iter().fold(Message::default(), |node, input| node.text(1, input));
        let node = node.text(2, &name).text(3, &name).text(4, kind);
        let node = attributes.iter().fold(node, |node, attribute| node.message(5, attribute.message()));
        self.body = std::mem::take(&mut self.body).message(1, node);
        name
    }

    /// Adds a constant called `name` with its row-major values.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name.to_string(), shape, FLOAT, &bytes)
    }

    /// Adds a single number.
    pub fn float(&mut self, value: f32) -> String {
        let name = self.unnamed();
        self.floats(&name, &[], &[value])
    }

    /// Adds a list of integers, as operators take shapes and indices.
    pub fn ints(&mut self, values: &[i64]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let name = self.unnamed();
        self.constant(name, &[values.len()], INT64, &bytes)
    }

    fn unnamed(&mut self) -> String {
        self.constants += 1;
        format!("constant_{}", self.constants)
    }

    fn constant(&mut self, name: String, shape: &[usize], kind: i64, bytes: &[u8]) -> String {
        let shape: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        let tensor = Message::default().numbers(1, &shape).number(2, kind).text(8, &name).bytes(9, bytes);
        self.body = std::mem::take(&mut self.body).message(5, tensor);
        name
    }

    /// The finished model: `input` by name, `result` under the name it shall have outside, string metadata.
    pub fn finish(
        mut self,
        (input, input_shape): (&str, Shape),
        (result, output, output_shape): (&str, &str, Shape),
        metadata: &[(&str, &str)],
    ) -> Vec<u8> {
        let renamed = Message::default().text(1, result).text(2, output).text(3, output).text(4, "Identity");
        self.body = self.body.message(1, renamed);
        let graph = self
            .body
            .text(2, "encoder")
            .message(11, value_info(input, input_shape))
            .message(12, value_info(output, output_shape));
        let model = Message::default()
            .number(1, IR_VERSION)
            .text(2, "kinsight")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, graph)
            .message(8, Message::default().text(1, "").number(2, OPSET));
        let entry = |(key, value): &(&str, &str)| Message::default().text(1, key).text(2, value);
        metadata.iter().fold(model, |model, pair| model.message(14, entry(pair))).into_bytes()
    }
}

fn value_info(name: &str, shape: Shape) -> Message {
    let dimension = |size: &Option<i64>| match size {
        Some(size) => Message::default().number(1, *size),
        None => Message::default().text(2, "batch"),
    };
    let shape = shape.iter().fold(Message::default(), |message, size| message.message(1, dimension(size)));
    let tensor = Message::default().number(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

impl Attribute {
    fn message(&self) -> Message {
        // The last field is the attribute's type: 1 a float, 2 an integer, 7 integers.
        match self {
            Self::Float(name, value) => Message::default().text(1, name).float(2, *value).number(20, 1),
            Self::Int(name, value) => Message::default().text(1, name).number(3, *value).number(20, 2),
            Self::Ints(name, values) => Message::default().text(1, name).numbers(8, values).number(20, 7),
        }
    }
}
