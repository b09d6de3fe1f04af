//! Making collections and removing them.

use kinsight_model::ComputeChoice;

use super::fixture::{Fixture, Part};
use crate::service::collection::{Opener, open_all};
use crate::service::hosted::made_before;
use crate::settings::Limits;

#[tokio::test]
async fn a_collection_that_is_made_is_filled_searched_and_removed() {
    let fixture = Fixture::new();
    let made = fixture.put("/v1/collections/summer?like=index").await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text());
    assert_eq!(made.headers["location"], "/v1/collections/summer");
    assert_eq!((&made.json()["images"], &made.json()["removable"]), (&0.into(), &true.into()));
    let (of_index, of_summer) = (fixture.get("/v1/collections/index").await.json(), made.json());
    assert_eq!(of_index["model"], of_summer["model"]);
    assert_eq!(of_index["removable"], false);

    let (wanted, other) = (fixture.image(0), fixture.image(9));
    for (label, bytes) in [("wanted", &wanted), ("other", &other)] {
        let parts = [Part::File("image", bytes), Part::Field("label", label)];
        assert_eq!(fixture.post("/v1/collections/summer/images", &parts).await.status.as_u16(), 201);
    }
    let found = fixture.post("/v1/collections/summer/search", &[Part::File("image", &wanted)]).await;
    assert_eq!(found.json()["results"][0]["label"], "wanted", "{}", found.text());
    assert_eq!(found.ids().len(), 2);

    // A server that starts again finds it, with its model and its images.
    let specs = made_before(&fixture.path("made"), ComputeChoice::default()).unwrap();
    let again = open_all(&specs, &mut Opener::default()).unwrap();
    assert_eq!((again.len(), again[0].name(), again[0].len().unwrap()), (1, "summer", 2));
    drop(again);

    assert_eq!(fixture.delete("/v1/collections/summer").await.status.as_u16(), 204);
    fixture.get("/v1/collections/summer").await.refused(404, "not_found");
    assert!(made_before(&fixture.path("made"), ComputeChoice::default()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(fixture.path("made")).unwrap().count(), 0, "its files are gone");
    assert_eq!(fixture.put("/v1/collections/summer?like=plain").await.status.as_u16(), 201, "the name is free again");
}

#[tokio::test]
async fn what_cannot_be_made_or_removed_is_refused_with_the_reason() {
    let fixture = Fixture::with(Limits { max_collections: 3, ..Limits::default() }, Default::default());
    let refused = fixture.put("/v1/collections/new").await;
    refused.refused(400, "no_model");
    assert!(refused.text().contains("there are: index, plain"), "{}", refused.text());
    fixture.put("/v1/collections/new?like=nothing").await.refused(404, "not_found");
    fixture.put("/v1/collections/index?like=index").await.refused(409, "exists");
    for name in ["%2e%2e", "..%2Fmade", "New", "a%20b", &"x".repeat(65), ".removed-x"] {
        fixture.put(&format!("/v1/collections/{name}?like=index")).await.refused(400, "bad_field");
    }
    fixture.delete("/v1/collections/index").await.refused(403, "not_made_here");
    fixture.delete("/v1/collections/nothing").await.refused(404, "not_found");
    assert!(!fixture.path("made").exists(), "nothing was made");
    assert_eq!(fixture.put("/v1/collections/one?like=plain").await.status.as_u16(), 201);
    fixture.put("/v1/collections/two?like=plain").await.refused(409, "too_many_collections");
    assert_eq!(fixture.get("/v1/collections").await.json()["collections"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_a_crash_left_behind_is_no_collection() {
    let fixture = Fixture::new();
    let made = fixture.path("made");
    // Killed while making one: no manifest yet. Killed while removing one: moved aside, not yet deleted.
    std::fs::create_dir_all(made.join("half/generations/1")).unwrap();
    std::fs::create_dir_all(made.join(".removed-old-1/generations/1")).unwrap();
    assert!(made_before(&made, ComputeChoice::default()).unwrap().is_empty());
    assert!(!made.join(".removed-old-1").exists());
    assert_eq!(fixture.put("/v1/collections/half?like=index").await.status.as_u16(), 201);
    assert_eq!(made_before(&made, ComputeChoice::default()).unwrap().len(), 1);
}
