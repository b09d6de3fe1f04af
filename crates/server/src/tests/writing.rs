//! Adding and removing.

use super::fixture::{Fixture, Part};

#[tokio::test]
async fn an_added_image_is_found_and_a_removed_one_is_not() {
    let fixture = Fixture::new();
    let picture = kinsight_synthetic::render(99, 1, 3, 64).unwrap();
    let bytes = kinsight_data::thumbnail::thumbnail(&picture, 64);
    let parts = [Part::File("image", &bytes), Part::Field("label", "new one"), Part::Field("price", "12.5")];
    let added = fixture.post("/v1/collections/index/images", &parts).await;
    assert_eq!(added.status.as_u16(), 201, "{}", added.text());
    let json = added.json();
    let id = json["id"].as_str().unwrap().to_string();
    assert_eq!((&json["label"], &json["fields"]["price"]), (&"new one".into(), &12.5.into()));
    assert_eq!(added.headers["location"], format!("/v1/collections/index/images/{id}"));

    assert_eq!(fixture.search(&[Part::File("image", &bytes)]).await.ids()[0], id);
    let priced = fixture.search(&[Part::File("image", &bytes), Part::Field("where", "price < 13")]).await;
    assert_eq!(priced.ids(), std::slice::from_ref(&id));
    let labels = fixture.get("/v1/collections/index").await.json();
    assert!(labels["labels"].as_array().unwrap().iter().any(|label| label["label"] == "new one"));
    assert_eq!(fixture.get(&format!("/v1/collections/index/images/{id}/thumbnail")).await.status.as_u16(), 200);

    // The same picture again is the same image.
    let again = fixture.post("/v1/collections/index/images", &parts).await.json();
    assert_eq!(again["id"], id.as_str());
    assert_eq!(fixture.get("/v1/collections/index").await.json()["images"], 17);

    let path = format!("/v1/collections/index/images/{id}");
    assert_eq!(fixture.delete(&path).await.status.as_u16(), 204);
    fixture.delete(&path).await.refused(404, "not_found");
    fixture.get(&format!("{path}/thumbnail")).await.refused(404, "not_found");
    assert!(!fixture.search(&[Part::File("image", &bytes)]).await.ids().contains(&id));
    let uploads = std::fs::read_dir(fixture.path("index/uploads")).unwrap();
    let left: usize = uploads.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum();
    assert_eq!(left, 0, "its file is gone");
    // Files that were indexed where they lie are never touched.
    let original = fixture.images()[0].clone();
    assert_eq!(fixture.delete(&format!("/v1/collections/index/images/{}", fixture.id(0))).await.status.as_u16(), 204);
    assert!(original.exists());
}

#[tokio::test]
async fn fields_of_the_server_are_not_the_clients_to_set() {
    let fixture = Fixture::new();
    let bytes = fixture.image(0);
    for name in ["path", "root", "width", "content_hash", "a/b", "", "$where"] {
        let parts = [Part::File("image", &bytes), Part::Field(name, "/etc/passwd")];
        fixture.post("/v1/collections/index/images", &parts).await.refused(400, "bad_field");
    }
    assert!(!fixture.path("index/uploads").exists(), "a refused picture is not kept");
}

#[tokio::test]
async fn another_writer_is_waited_for_by_the_client() {
    let fixture = Fixture::new();
    let index = kinsight_index::Index::open(&fixture.path("index")).unwrap();
    let _writer = index.writer().unwrap();
    let bytes = fixture.image(0);
    let answer = fixture.post("/v1/collections/index/images", &[Part::File("image", &bytes)]).await;
    answer.refused(503, "overloaded");
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn an_upload_that_began_before_its_collection_was_made_again_is_not_acknowledged() {
    let fixture = Fixture::new();
    assert_eq!(fixture.put("/v1/collections/c?like=index").await.status.as_u16(), 201);
    let (service, image) = (&fixture.app.service, fixture.image(0));
    let begun = service.collections.get("c").unwrap();
    assert_eq!(fixture.delete("/v1/collections/c").await.status.as_u16(), 204);
    assert_eq!(fixture.put("/v1/collections/c?like=index").await.status.as_u16(), 201);
    for i in [1, 2] {
        let bytes = fixture.image(i);
        let added = fixture.post("/v1/collections/c/images", &[Part::File("image", &bytes)]).await;
        assert_eq!(added.status.as_u16(), 201);
    }
    let held = service.uploads.hold(0).unwrap();
    let added = service.work(|work| service.add(work, begun, image.into(), [], held)).await;
    assert!(matches!(added, Err(crate::service::ServiceError::Overloaded(_))), "{added:?}");
    let index = kinsight_index::Index::open(&fixture.path("made/c")).unwrap();
    assert_eq!(index.store().check(&|_, _| ()).unwrap(), Vec::<String>::new());
    assert_eq!(index.store().len().unwrap(), 2);
}
