//! Searching, embedding, explaining, and what is shown of a collection.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use super::fixture::{Fixture, Part};

#[tokio::test]
async fn an_uploaded_image_finds_itself_first() {
    let fixture = Fixture::new();
    for collection in ["index", "plain"] {
        let (image, id) = (fixture.image(5), fixture.id(5));
        let path = format!("/v1/collections/{collection}/search");
        let answer = fixture.post(&path, &[Part::File("image", &image), Part::Field("k", "3")]).await;
        let ids = answer.ids();
        assert_eq!((ids.len(), &ids[0]), (3, &id));
        let json = answer.json();
        assert!(json["results"][0]["score"].as_f64().unwrap() > 0.9999);
        let shares: f64 = json["classes"].as_array().unwrap().iter().map(|vote| vote["share"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-9, "the labels share all votes: {shares}");
        let scores: Vec<f64> =
            json["results"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]), "{scores:?}");
        // The picture itself as the body is the same question.
        let request = Request::post(&path).header("content-type", "image/jpeg").body(Body::from(image)).unwrap();
        assert_eq!(fixture.ask(request).await.ids()[0], id);
    }
}

#[tokio::test]
async fn a_stored_image_finds_the_others_and_json_will_do() {
    let fixture = Fixture::new();
    let id = fixture.id(3);
    let body = serde_json::json!({ "id": [id], "k": 15 }).to_string();
    let request = Request::post("/v1/collections/index/search")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let ids = fixture.ask(request).await.ids();
    assert_eq!(ids.len(), 15);
    assert!(!ids.contains(&id), "an image that is its own query is no answer");
}

#[tokio::test]
async fn several_queries_and_counter_examples_pull_and_push() {
    let fixture = Fixture::new();
    let (a, b, c) = (fixture.id(0), fixture.id(12), fixture.id(6));
    let score = async |parts: &[Part<'_>], id: &str| {
        let json = fixture.search(parts).await.json();
        let hits = json["results"].as_array().unwrap().clone();
        hits.iter().find(|hit| hit["id"] == id).map(|hit| hit["score"].as_f64().unwrap()).unwrap()
    };
    let by_a = score(&[Part::Field("id", &a)], &c).await;
    let by_b = score(&[Part::Field("id", &b)], &c).await;
    let by_both = score(&[Part::Field("id", &a), Part::Field("id", &b)], &c).await;
    // (a + b) / |a + b| . c, and |a + b| is at most 2.
    assert!(by_both >= (by_a + by_b) / 2.0 - 1e-6, "{by_both} of {by_a} and {by_b}");
    let towards = score(&[Part::Field("id", &a)], &b).await;
    let away = score(&[Part::Field("id", &a), Part::Field("not_id", &b)], &b).await;
    assert!(away < towards, "{away} < {towards}");
}

#[tokio::test]
async fn crops_filters_and_thresholds_narrow_the_answer() {
    let fixture = Fixture::new();
    let image = fixture.image(0);
    let whole = fixture.search(&[Part::File("image", &image)]).await.json();
    let part = fixture.search(&[Part::File("image", &image), Part::Field("crop", "0,0,20,20")]).await.json();
    assert_ne!(whole["results"][0]["score"], part["results"][0]["score"]);
    let exact = fixture.search(&[Part::File("image", &image), Part::Field("crop", "0,0,48,48")]).await.json();
    assert_eq!(whole["results"], exact["results"], "the whole picture is a part of itself");

    let label = whole["results"][0]["label"].as_str().unwrap().to_string();
    let labeled = fixture.search(&[Part::File("image", &image), Part::Field("label", &label)]).await;
    assert_eq!(labeled.ids().len(), 4);
    let filter = format!("not label = '{label}' and width > 40");
    let filtered = fixture.search(&[Part::File("image", &image), Part::Field("where", &filter)]).await;
    assert_eq!(filtered.ids().len(), 12);
    let none = fixture.search(&[Part::File("image", &image), Part::Field("where", "width > 400")]).await;
    assert!(none.ids().is_empty());

    let scores = |json: &serde_json::Value| -> Vec<f64> {
        json["results"].as_array().unwrap().iter().map(|hit| hit["score"].as_f64().unwrap()).collect()
    };
    let threshold = scores(&whole)[4];
    let text = (threshold + 1e-7).to_string();
    let cut = fixture.search(&[Part::File("image", &image), Part::Field("threshold", &text)]).await.json();
    assert!(scores(&cut).len() <= 5 && scores(&cut).iter().all(|score| *score >= threshold));
}

#[tokio::test]
async fn embeddings_are_those_that_search_uses() {
    let fixture = Fixture::new();
    let images = [fixture.image(1), fixture.image(2)];
    let parts = [Part::File("image", &images[0]), Part::File("image", &images[1])];
    let json = fixture.post("/v1/collections/index/embed", &parts).await.json();
    let rows = json["embeddings"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let values: Vec<f64> = row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(values.len(), 16);
        assert!((values.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-5);
    }
}

#[tokio::test]
async fn an_explanation_adds_up_and_can_be_a_picture() {
    let fixture = Fixture::new();
    let image = fixture.image(0);
    let against = fixture.id(1);
    let parts = [Part::File("image", &image), Part::Field("against", &against)];
    let json = fixture.post("/v1/collections/index/explain", &parts).await.json();
    let number = |name: &str| json[name].as_f64().unwrap();
    assert!((number("from_patches") + number("rest") - number("similarity")).abs() < 1e-6);
    assert_eq!(json["grid"], 4);
    for side in ["first", "second"] {
        assert_eq!(json[side]["evidence"].as_array().unwrap().len(), 16);
        assert_eq!(json[side]["prompts"].as_array().unwrap().len(), 3);
    }
    let searched = fixture.search(&[Part::File("image", &image)]).await.json();
    let hits = searched["results"].as_array().unwrap();
    let score = hits.iter().find(|hit| hit["id"] == against.as_str()).unwrap()["score"].as_f64().unwrap();
    assert!((score - number("similarity")).abs() < 1e-4, "the explained number is the score");

    let parts = [Part::Field("id", &against), Part::Field("against", &against), Part::Field("format", "png")];
    let png = fixture.post("/v1/collections/index/explain", &parts).await;
    assert_eq!(png.headers["content-type"], "image/png");
    assert!(png.body.starts_with(b"\x89PNG"));
}

#[tokio::test]
async fn collections_images_and_thumbnails_are_shown() {
    let fixture = Fixture::new();
    let json = fixture.get("/v1/collections").await.json();
    let listed = json["collections"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[0]["images"], listed[0]["labels"].as_array().unwrap().len()), (&16.into(), 4));
    assert_eq!(listed[0]["model"]["shares_batches"], true);

    let id = fixture.id(0);
    let image = fixture.get(&format!("/v1/collections/index/images/{id}")).await;
    assert!(!image.text().contains("root"), "where an image lies on the disk is not shown: {}", image.text());
    let thumbnail = fixture.get(image.json()["thumbnail"].as_str().unwrap()).await;
    assert_eq!(thumbnail.status, StatusCode::OK);
    assert!(thumbnail.body.starts_with(&[0xff, 0xd8]));

    let page = fixture.get("/v1/collections/index/images?limit=10").await.json();
    assert_eq!(page["images"].as_array().unwrap().len(), 10);
    let rest = fixture.get(&format!("/v1/collections/index/images?limit=10&start={}", page["next"])).await.json();
    assert_eq!(rest["images"].as_array().unwrap().len(), 6);
    let sample = fixture.get("/v1/collections/index/images?sample=4").await.json();
    let labels: std::collections::BTreeSet<String> =
        sample["images"].as_array().unwrap().iter().map(|image| image["label"].to_string()).collect();
    assert_eq!(labels.len(), 4, "one of each label");
}

#[tokio::test]
async fn requests_in_flight_share_a_pass_through_the_model() {
    let fixture = Fixture::new();
    let image = fixture.image(0);
    let one = |collection: &'static str| {
        let (fixture, image) = (&fixture, &image);
        async move {
            let path = format!("/v1/collections/{collection}/search");
            fixture.post(&path, &[Part::File("image", image)]).await.json()["results"][0].clone()
        }
    };
    let (alone, plain) = (one("index").await, one("plain").await);
    let asked = ["index", "plain", "index", "index", "plain", "index", "plain", "plain"];
    let before = fixture.app.service.metrics.batches.get();
    let (a, b, c, d, e, f, g, h) = tokio::join!(
        one(asked[0]),
        one(asked[1]),
        one(asked[2]),
        one(asked[3]),
        one(asked[4]),
        one(asked[5]),
        one(asked[6]),
        one(asked[7])
    );
    let passes = fixture.app.service.metrics.batches.get() - before;
    assert!(passes < 8, "eight requests took {passes} passes");
    for (found, asked) in [a, b, c, d, e, f, g, h].iter().zip(asked) {
        let expected = if asked == "index" { &alone } else { &plain };
        assert_eq!(found, expected, "what else is in the batch changes no bit");
    }
}
