//! Sixteen drawn butterflies in an index over a tiny random backbone, and a way to ask the server about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use kinsight_data::{Dataset, DecodeLimits, Preprocess, decode_file};
use kinsight_index::payload::fields;
use kinsight_index::{GraphSettings, Index, ModelSource, Payload, Point, PointId, Value as Field};
use kinsight_model::backbone::{CONFIG_KEY, PREPROCESS_KEY};
use kinsight_model::finetuned::{FineTuningInfo, save_fine_tuning};
use kinsight_model::hosting::HostedImages;
use kinsight_model::parameters::{RandomInit, named_tensors};
use kinsight_model::prompts::PromptSchedule;
use kinsight_model::weights::write_safetensors;
use kinsight_model::{Backbone, ComputeChoice, Device, Encoder, ModelRef, Tuning, VisionTransformer, VitConfig};
use kinsight_synthetic::{Film, SyntheticSpec, write_folder};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use tower::ServiceExt;

use crate::http::{App, router};
use crate::service::collection::{CollectionSpec, Opener, open_all};
use crate::service::{Keys, Service, prepare};
use crate::settings::Limits;

pub const READ_KEY: &str = "read-key-of-the-tests";
pub const WRITE_KEY: &str = "write-key-of-the-tests";

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub app: Arc<App>,
    router: Router,
}

/// An answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails unless the answer is this failure, says so in words, and keeps the server's disk to itself.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let error = &self.json()["error"];
        assert_eq!(error["code"], code, "{error}");
        let message = error["message"].as_str().unwrap_or_default().to_string();
        assert!(message.len() > 10 && !message.ends_with('.'), "{message}");
        assert!(!self.text().contains("/tmp"), "{}", self.text());
        message
    }

    /// Ids of the results, in order.
    pub fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        let results = self.json()["results"].as_array().cloned().unwrap_or_default();
        results.iter().map(|hit| hit["id"].as_str().unwrap_or_default().to_string()).collect()
    }
}

/// Part of a multipart body.
pub enum Part<'a> {
    File(&'a str, &'a [u8]),
    Field(&'a str, &'a str),
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(Limits::default(), Keys::default())
    }

    pub fn with(limits: Limits, keys: Keys) -> Self {
        Self::start(limits, keys, false, GraphSettings::default())
    }

    /// Collections of more than a hundred images are worth a graph.
    pub fn with_graphs() -> Self {
        let graph = GraphSettings { exact_values: 1600, ..GraphSettings::default() };
        Self::start(Limits::default(), Keys::default(), false, graph)
    }

    /// A server that anyone may read from.
    pub fn public(keys: Keys) -> Self {
        Self::start(Limits::default(), keys, true, GraphSettings::default())
    }

    fn start(limits: Limits, keys: Keys, public: bool, graph: GraphSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let spec = SyntheticSpec { seed: 1, classes: 0..4, images_per_class: 4, size_px: 48, film: Film::Positive };
        write_folder(&spec, &root.join("images"), |_| {}).unwrap();
        write_backbone(&root.join("backbone.safetensors"));
        write_run(root, "run");
        build_index(root, "index", Some("run"), graph.clone());
        build_index(root, "plain", None, graph);
        let specs = ["index", "plain"].map(|name| spec_of(root, name));
        let opened = open_all(&specs, &mut Opener::default()).unwrap();
        let service = Arc::new(Service::start(opened, Some(root.join("made")), limits).unwrap());
        let app = Arc::new(App { service, keys, address: "127.0.0.1:0".parse().unwrap(), public });
        Self { folder, router: router(&app), app }
    }

    pub fn router(&self) -> Router {
        self.router.clone()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The image files, in order.
    pub fn images(&self) -> Vec<PathBuf> {
        Dataset::from_folder(&self.path("images")).unwrap().items.into_iter().map(|item| item.path).collect()
    }

    pub fn image(&self, i: usize) -> Vec<u8> {
        std::fs::read(&self.images()[i]).unwrap()
    }

    pub fn id(&self, i: usize) -> String {
        id_of(&self.path("images"), &self.images()[i]).to_string()
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn put(&self, path: &str) -> Answer {
        self.ask(Request::put(path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.ask(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, parts: &[Part<'_>]) -> Answer {
        self.ask(multipart(path, parts)).await
    }

    pub async fn search(&self, parts: &[Part<'_>]) -> Answer {
        self.post("/v1/collections/index/search", parts).await
    }
}

pub fn multipart(path: &str, parts: &[Part<'_>]) -> Request<Body> {
    let body = multipart_body(parts);
    Request::post(path)
        .header("content-type", "multipart/form-data; boundary=XX")
        .header("content-length", body.len())
        .body(Body::from(body))
        .unwrap()
}

pub fn multipart_body(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for part in parts {
        body.extend(b"--XX\r\n");
        match part {
            Part::Field(name, text) => {
                body.extend(format!("content-disposition: form-data; name=\"{name}\"\r\n\r\n{text}").bytes());
            }
            Part::File(name, bytes) => {
                let head = format!(
                    "content-disposition: form-data; name=\"{name}\"; filename=\"../../etc/passwd\"\r\n\
                     content-type: application/octet-stream\r\n\r\n"
                );
                body.extend(head.bytes());
                body.extend(*bytes);
            }
        }
        body.extend(b"\r\n");
    }
    body.extend(b"--XX--\r\n");
    body
}

fn write_backbone(path: &Path) {
    let device = Device::flex();
    let config = VitConfig::new(32, 8, 32, 2, 2);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let model = VisionTransformer::from_source(&mut RandomInit::new(&mut rng, &device), "", &config, None);
    let preprocess = Preprocess { input_size_px: 32, resize_size_px: 36, ..Preprocess::default() };
    let metadata = BTreeMap::from([
        (CONFIG_KEY.to_string(), serde_json::to_string(&config).unwrap()),
        (PREPROCESS_KEY.to_string(), serde_json::to_string(&preprocess).unwrap()),
    ]);
    write_safetensors(path, &named_tensors(&model), metadata).unwrap();
}

/// A run folder with a fine-tuning of random prompts, biases and head.
fn write_run(root: &Path, name: &str) {
    let device = Device::flex();
    let backbone = Backbone::open(root.join("backbone.safetensors").to_str().unwrap(), None).unwrap();
    let prompts = Some(PromptSchedule { count: 3, depth: 2, step: 0 });
    let tuning = Tuning { bitfit: true, prompts, embedding: Some(16), ..Tuning::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let encoder = Encoder::from_source(&mut RandomInit::new(&mut rng, &device), &backbone.config, &tuning);
    let info = FineTuningInfo {
        version: "test".into(),
        backbone: root.join("backbone.safetensors").display().to_string(),
        backbone_fingerprint: backbone.fingerprint.clone(),
        tuning,
        preprocess: backbone.preprocess,
        training: None,
    };
    std::fs::create_dir(root.join(name)).unwrap();
    save_fine_tuning(&root.join(name).join("model.safetensors"), &encoder, &info).unwrap();
}

pub fn spec_of(root: &Path, name: &str) -> CollectionSpec {
    CollectionSpec {
        name: name.into(),
        index: root.join(name),
        run: None,
        backbone: None,
        compute: ComputeChoice::default(),
    }
}

fn id_of(images: &Path, file: &Path) -> PointId {
    let (root, path) = (images.canonicalize().unwrap(), file.strip_prefix(images).unwrap());
    PointId::of_path(root.to_str().unwrap(), path.to_str().unwrap())
}

/// Indexes the images with the model of `run`, or the bare backbone.
fn build_index(root: &Path, name: &str, run: Option<&str>, graph: GraphSettings) {
    let backbone = root.join("backbone.safetensors").display().to_string();
    let run = run.map(|run| root.join(run));
    let named = ModelRef { run: run.clone(), backbone: Some(backbone.clone()) };
    let (model, fingerprint, _) = Opener::default().model(&named, ComputeChoice::default()).unwrap();
    let images = root.join("images");
    let dataset = Dataset::from_folder(&images).unwrap();
    let points: Vec<Point> = dataset
        .items
        .iter()
        .map(|item| {
            let picture = decode_file(&item.path, DecodeLimits::default()).unwrap();
            let values = prepare(&picture, model.encoder.preprocess()).unwrap();
            let embedded =
                model.backbone.embed(vec![HostedImages { encoder: &model.encoder, images: values }]).unwrap();
            let path = item.path.strip_prefix(&images).unwrap().display().to_string();
            let payload = Payload::from([
                (fields::ROOT.to_string(), Field::from(images.canonicalize().unwrap().display().to_string())),
                (fields::PATH.to_string(), Field::from(path)),
                (fields::LABEL.to_string(), Field::from(dataset.class_names[item.label as usize].as_str())),
                (fields::WIDTH.to_string(), Field::from(f64::from(picture.width()))),
            ]);
            Point { id: id_of(&images, &item.path), vector: embedded[0].clone(), payload }
        })
        .collect();
    let source = ModelSource { run, backbone };
    let index = Index::create(&root.join(name), fingerprint, source, graph).unwrap();
    index.writer().unwrap().upsert(&points).unwrap();
}
