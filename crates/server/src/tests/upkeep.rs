//! What other programs write is followed, and collections are kept fit.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kinsight_index::{Index, Payload, Point, PointId, Value, payload::fields};

use super::fixture::{Fixture, Part};
use crate::service::collection::Opener;
use crate::service::maintenance::Keeper;

/// An upkeep that waits for nothing and compacts what it can.
fn keeper() -> Keeper {
    Keeper::new(Opener::default(), Duration::ZERO, (1, 0.1))
}

/// A unit vector that no other number gives.
fn vector(number: usize, dim: usize) -> Vec<f32> {
    let values: Vec<f32> = (0..dim).map(|i| ((number * 31 + i * 7) as f32).sin()).collect();
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / norm).collect()
}

fn points(count: usize, dim: usize) -> Vec<Point> {
    let point = |i: usize| Point {
        id: PointId::of_path("elsewhere", &i.to_string()),
        vector: vector(i, dim),
        payload: Payload::from([(fields::LABEL.to_string(), Value::from("written elsewhere"))]),
    };
    (0..count).map(point).collect()
}

#[tokio::test]
async fn counts_follow_what_another_program_writes() {
    let fixture = Fixture::new();
    let labels = async || fixture.get("/v1/collections/index").await.json()["labels"].clone();
    assert_eq!(labels().await.as_array().unwrap().len(), 4);
    let other = Index::open(&fixture.path("index")).unwrap();
    other.writer().unwrap().upsert(&points(30, 16)).unwrap();
    assert_eq!(labels().await[0], serde_json::json!({ "label": "written elsewhere", "images": 30 }));
}

#[tokio::test]
async fn a_thumbnail_is_that_of_the_image_that_there_is_now() {
    let fixture = Fixture::new();
    let id = fixture.id(0);
    let path = format!("/v1/collections/index/images/{id}/thumbnail");
    let first = fixture.get(&path).await;
    assert_eq!(first.status.as_u16(), 200);
    // Another program indexes the file again, with other content.
    let other = Index::open(&fixture.path("index")).unwrap();
    std::fs::write(&fixture.images()[0], fixture.image(9)).unwrap();
    let mut point = other.store().get(&[id.parse().unwrap()]).unwrap().pop().flatten().unwrap();
    point.payload.insert(fields::CONTENT_HASH.into(), Value::from("another"));
    other.writer().unwrap().upsert(&[point]).unwrap();
    let second = fixture.get(&path).await;
    assert!(second.status.is_success() && second.body != first.body, "the old picture is still shown");
    // It removes the image.
    other.writer().unwrap().remove(&[id.parse().unwrap()]).unwrap();
    fixture.get(&path).await.refused(404, "not_found");
}

#[tokio::test]
async fn graphs_are_built_and_removed_rows_are_left_behind() {
    let fixture = Fixture::with_graphs();
    let stats = || fixture.app.service.collections.get("index").unwrap().index().store().stats().unwrap();
    let other = Index::open(&fixture.path("index")).unwrap();
    other.writer().unwrap().upsert(&points(400, 16)).unwrap();
    let mut keeper = keeper();
    assert!(stats().graph.is_none());
    (0..3).for_each(|_| keeper.look(&fixture.app.service));
    assert!(stats().graph.is_some_and(|graph| graph.rows >= 400), "no graph: {:?}", stats());
    let revision = fixture.app.service.collections.get("index").unwrap().revision().unwrap();
    (0..3).for_each(|_| keeper.look(&fixture.app.service));
    let later = fixture.app.service.collections.get("index").unwrap().revision().unwrap();
    assert_eq!(revision, later, "what is done is not done again");

    let ids: Vec<PointId> = points(300, 16).iter().map(|point| point.id).collect();
    other.writer().unwrap().remove(&ids).unwrap();
    (0..4).for_each(|_| keeper.look(&fixture.app.service));
    assert_eq!((stats().points, stats().tombstones), (116, 0));
    let image = fixture.image(2);
    assert_eq!(fixture.search(&[Part::File("image", &image)]).await.ids()[0], fixture.id(2));
}

/// Log lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_index_that_cannot_be_opened_is_logged_once_and_when_that_changes() {
    let fixture = Fixture::new();
    let manifest = fixture.path("index/index.json");
    let whole = std::fs::read(&manifest).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut keeper = keeper();
        std::fs::write(&manifest, b"damaged").unwrap();
        (0..5).for_each(|_| keeper.look(&fixture.app.service));
        std::fs::write(&manifest, whole).unwrap();
        (0..5).for_each(|_| keeper.look(&fixture.app.service));
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("upkeep failed").count(), 1, "{text}");
    assert_eq!(text.matches("upkeep goes on").count(), 1, "{text}");
}
