//! What hostile and mistaken clients send: each a clear status and message, and the server goes on.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;

use super::fixture::{Fixture, Part, multipart_body, spec_of};
use crate::service::collection::{Opener, open_all};

/// A PNG chunk.
fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u32).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(data);
    let crc = bytes[4..].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    });
    bytes.extend((!crc).to_be_bytes());
    bytes
}

/// A PNG of RGB pixels that declares this size.
pub fn png(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut header = width.to_be_bytes().to_vec();
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", data), &chunk(b"IEND", &[])].concat()
}

/// A zlib stream of `blocks` times 258 zeros: one literal, then the longest match again and again.
pub fn bomb(blocks: usize) -> Vec<u8> {
    let mut bits: Vec<bool> = vec![true, true, false];
    let mut code = |value: u32, count: u32| bits.extend((0..count).rev().map(|i| value >> i & 1 == 1));
    code(0b0011_0000, 8);
    for _ in 0..blocks {
        code(0b1100_0101, 8);
        code(0, 5);
    }
    code(0, 7);
    let body = bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0u8, |sum, (i, bit)| sum | u8::from(*bit) << i));
    [0x78, 0x01].into_iter().chain(body).chain([0, 0, 0, 1]).collect()
}

/// A GIF of `frames` frames of one pixel.
pub fn gif(frames: usize) -> Vec<u8> {
    let mut bytes = b"GIF89a\x08\x00\x08\x00\x80\x00\x00\xff\x00\x00\x00\x00\xff".to_vec();
    for _ in 0..frames {
        bytes.extend(b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00");
    }
    bytes.push(0x3b);
    bytes
}

#[tokio::test]
async fn pictures_that_are_none() {
    let fixture = Fixture::new();
    let whole = fixture.image(0);
    let header = png(60_000, 60_000, &[]);
    let cases: [(&[u8], u16, &str); 5] = [
        (&whole[..whole.len() * 6 / 10], 422, "undecodable"),
        (b"", 422, "undecodable"),
        (b"hello, I am a picture", 415, "unknown_format"),
        (&header, 413, "too_many_pixels"),
        (b"\x89PNG\r\n\x1a\n garbage", 422, "undecodable"),
    ];
    for (bytes, status, code) in cases {
        for path in ["search", "embed", "images"] {
            let path = format!("/v1/collections/index/{path}");
            fixture.post(&path, &[Part::File("image", bytes)]).await.refused(status, code);
        }
    }
    assert!(header.len() < 100, "nothing was allocated for pixels that are not there");
    assert!(fixture.search(&[Part::File("image", &whole)]).await.status.is_success(), "the server goes on");
}

#[tokio::test]
async fn bombs_and_endless_animations_cost_little() {
    let fixture = Fixture::new();
    let started = Instant::now();
    // Ten pixels a side, and 256 MiB of data behind them.
    let bomb = png(10, 10, &bomb(1_040_448));
    assert!(bomb.len() < 2 << 20);
    let answer = fixture.search(&[Part::File("image", &bomb)]).await;
    assert!([200, 422].contains(&answer.status.as_u16()), "{}", answer.text());
    // Within the bytes allowed, and over the pixels.
    let wide = png(20_000, 20_000, &self::bomb(1000));
    fixture.search(&[Part::File("image", &wide)]).await.refused(413, "too_many_pixels");
    let animation = gif(10_000);
    let answer = fixture.search(&[Part::File("image", &animation)]).await;
    assert_eq!(answer.status.as_u16(), 200, "the first frame alone is read: {}", answer.text());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let fixture = Fixture::new();
    // Declared: refused before a byte of it is read.
    let unread = Body::new(Endless(None));
    let request = Request::post("/v1/collections/index/search")
        .header("content-type", "image/png")
        .header("content-length", 100 << 20)
        .body(unread)
        .unwrap();
    fixture.ask(request).await.refused(413, "too_large");
    // Undeclared: refused at the limit.
    let endless = Body::new(Endless(Some(Bytes::from(vec![0; 1 << 20]))));
    let request =
        Request::post("/v1/collections/index/search").header("content-type", "image/png").body(endless).unwrap();
    fixture.ask(request).await.refused(413, "too_large");
}

/// An endless body, piece by piece; `None` is one that must not be read.
struct Endless(Option<Bytes>);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        let piece = self.0.clone().expect("the body is not to be read");
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(piece))))
    }
}

#[tokio::test]
async fn requests_that_make_no_sense() {
    let fixture = Fixture::new();
    let image = fixture.image(0);
    let picture = Part::File("image", &image);
    let file = || Part::File("image", &image);
    fixture.search(&[]).await.refused(400, "no_picture");
    fixture.search(&[Part::File("picture", &image)]).await.refused(400, "no_picture");
    for (field, text, code) in [
        ("k", "0", "bad_field"),
        ("k", "ten", "bad_field"),
        ("k", "1000000", "bad_field"),
        ("threshold", "2", "bad_field"),
        ("threshold", "NaN", "bad_field"),
        ("crop", "0,0,9999,10", "bad_field"),
        ("crop", "1,2", "bad_field"),
        ("where", "label =", "bad_filter"),
        ("where", "((((", "bad_filter"),
        ("limit", "3", "unknown_field"),
    ] {
        let message = fixture.search(&[file(), Part::Field(field, text)]).await.refused(400, code);
        assert!(message.contains(field) || code == "bad_filter", "{message}");
    }
    let too_many: Vec<Part<'_>> = (0..17).map(|_| file()).collect();
    fixture.search(&too_many).await.refused(400, "too_many_images");
    let long = "x".repeat(40_000);
    fixture.search(&[picture, Part::Field("where", &long)]).await.refused(413, "too_large");
    let unknown = "0".repeat(32);
    fixture.search(&[Part::Field("id", &unknown)]).await.refused(404, "not_found");
    fixture.post("/v1/collections/nowhere/search", &[file()]).await.refused(404, "not_found");
    fixture.post("/v1/collections/index/explain", &[file()]).await.refused(400, "bad_field");
    fixture.get("/v1/collections/index/images?limit=0").await.refused(400, "bad_field");
    fixture.get("/v1/collections/index/images?limit=x").await.refused(400, "bad_field");
    fixture.get("/nothing").await.refused(404, "not_found");
}

#[tokio::test]
async fn malformed_bodies() {
    let fixture = Fixture::new();
    let image = fixture.image(0);
    let whole = multipart_body(&[Part::File("image", &image)]);
    let ask = |kind: &str, body: &[u8]| {
        Request::post("/v1/collections/index/search")
            .header("content-type", kind)
            .body(Body::from(body.to_vec()))
            .unwrap()
    };
    let boundary = "multipart/form-data; boundary=XX";
    for (kind, body, status, code) in [
        ("multipart/form-data", &whole[..], 400, "malformed_multipart"),
        (boundary, &whole[..whole.len() / 2], 400, "malformed_multipart"),
        (boundary, b"--XX\r\nno headers here", 400, "malformed_multipart"),
        (boundary, b"\x00\x01\x02", 400, "malformed_multipart"),
        (boundary, b"", 400, "malformed_multipart"),
        ("application/json", b"{\"id\": ", 400, "malformed_json"),
        ("application/json", b"[1, 2]", 400, "malformed_json"),
        ("application/json", b"{\"id\": {\"$ne\": null}}", 400, "malformed_json"),
        ("text/plain", b"hello", 415, "unknown_body"),
        ("", b"hello", 415, "unknown_body"),
    ] {
        fixture.ask(ask(kind, body)).await.refused(status, code);
    }
}

#[tokio::test]
async fn a_picture_is_told_by_its_file_name_or_its_type() {
    let fixture = Fixture::new();
    let (image, id) = (fixture.image(3), fixture.id(3));
    let ask = async |head: &str| {
        let mut body = format!("--XX\r\n{head}\r\n\r\n").into_bytes();
        body.extend(&image);
        body.extend(b"\r\n--XX--\r\n");
        let kind = "multipart/form-data; boundary=XX";
        let request = Request::post("/v1/collections/index/search").header("content-type", kind);
        fixture.ask(request.body(Body::from(body)).unwrap()).await
    };
    for head in [
        "content-disposition: form-data; name=\"image\"; filename=\"a.png\"",
        "content-disposition: form-data; name=\"image\"\r\nContent-Type: image/png",
        "content-disposition: form-data; name=\"image\"; filename*=UTF-8''%C3%A9.png",
    ] {
        assert_eq!(ask(head).await.ids()[0], id, "{head}");
    }
    let answer = ask("content-disposition: form-data; name=\"image\"").await;
    let message = answer.refused(400, "no_picture");
    assert!(message.contains("text field") && answer.text().contains("filename"), "{}", answer.text());
}

#[tokio::test]
async fn json_is_bounded_before_it_is_parsed() {
    let fixture = Fixture::new();
    let ask = async |body: String| {
        let request = Request::post("/v1/collections/index/search").header("content-type", "application/json");
        fixture.ask(request.body(Body::from(body)).unwrap()).await
    };
    // A list of numbers takes two bytes a number, and took 32 in memory.
    let list = format!("{{\"id\": [{}0]}}", "0,".repeat(3 << 20));
    ask(list).await.refused(400, "too_many_fields");
    let long = format!("{{\"where\": \"{}\"}}", "x".repeat(9 << 20));
    ask(long).await.refused(413, "too_large");
    let deep = format!("{{\"id\": {}", "[".repeat(1 << 20));
    ask(deep).await.refused(400, "malformed_json");
    // Too large as it arrives, before it is known that little is in it.
    ask(format!("{{\"where\": \"\"{}}}", " ".repeat(9 << 20))).await.refused(413, "too_large");
    // What follows the first field too many is not looked at.
    ask(format!("{{\"id\": [{}not JSON", "0,".repeat(1000))).await.refused(400, "too_many_fields");
}

#[tokio::test]
async fn ids_and_names_are_never_paths() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("secret.jpg"), fixture.image(0)).unwrap();
    for trick in [
        "..%2f..%2fsecret.jpg",
        "%2e%2e%2fsecret.jpg",
        "%2fetc%2fpasswd",
        "secret.jpg",
        "%00",
        "%ff%fe",
        "+0000000000000000000000000000000",
        "00000000000000000000000000000000%00",
        &"a".repeat(5000),
    ] {
        for path in [
            format!("/v1/collections/index/images/{trick}"),
            format!("/v1/collections/index/images/{trick}/thumbnail"),
            format!("/v1/collections/{trick}"),
            format!("/assets/{trick}"),
        ] {
            let answer = fixture.get(&path).await;
            assert!([400, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
        }
    }
    for url in ["http://127.0.0.1:1/a.jpg", "file:///etc/passwd", "/etc/passwd"] {
        fixture.search(&[Part::Field("id", url)]).await.refused(404, "not_found");
        fixture.search(&[Part::Field("image", url)]).await.refused(400, "no_picture");
    }
}

#[tokio::test]
async fn a_file_that_left_its_folder_is_not_followed() {
    let fixture = Fixture::new();
    let (id, file) = (fixture.id(0), fixture.images()[0].clone());
    std::fs::write(fixture.path("outside.jpg"), fixture.image(1)).unwrap();
    std::fs::remove_file(&file).unwrap();
    let path = format!("/v1/collections/index/images/{id}/thumbnail");
    fixture.get(&path).await.refused(410, "file_gone");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(fixture.path("outside.jpg"), &file).unwrap();
        fixture.get(&path).await.refused(410, "file_gone");
    }
    // What is known of it without its file is still known.
    assert!(fixture.get(&format!("/v1/collections/index/images/{id}")).await.status.is_success());
    assert!(fixture.search(&[Part::Field("id", &id)]).await.status.is_success());
}

#[test]
fn an_index_of_another_version_or_model_is_refused_at_the_start() {
    let fixture = Fixture::new();
    let root = fixture.folder.path();
    let open = |spec| open_all(&[spec], &mut Opener::default()).unwrap_err();

    let other = crate::CollectionSpec { run: Some(fixture.path("run")), ..spec_of(root, "plain") };
    let error = open(other);
    assert!(error.to_string().contains("was made with another model"), "{error}");
    assert!(error.hint().is_some());

    let manifest = fixture.path("index/index.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("\"format\": 2", "\"format\": 999", 1)).unwrap();
    let error = open(spec_of(root, "index"));
    assert!(error.to_string().contains("format version 999"), "{error}");

    let error = open(spec_of(root, "images"));
    assert!(error.to_string().contains("no index in"), "{error}");
    for name in ["", "A", "a/b", "..", &"a".repeat(65)] {
        let error = open(crate::CollectionSpec { name: name.into(), ..spec_of(root, "plain") });
        assert!(error.to_string().contains("collection name"), "{error}");
    }
}
