//! What many clients, large images and defects cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower::ServiceExt;

use super::bad_input::{bomb, png};
use super::fixture::{Fixture, Part};
use crate::http::{App, Failure, layered};
use crate::service::{Decoder, Keys, ServiceError, Source};
use crate::settings::Limits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_no_room_suffices_for_is_refused_with_the_sizes() {
    let limits = Limits { max_decode_memory_bytes: 4 << 20, ..Limits::default() };
    let fixture = Fixture::with(limits, Keys::default());
    let large = png(2000, 2000, &bomb(40_000));
    let answer = fixture.search(&[Part::File("image", &large)]).await;
    let message = answer.refused(413, "too_many_pixels");
    assert!(message.contains("2000 x 2000") && message.contains("12 MB (allowed: 3 MB)"), "{message}");
    assert!(fixture.search(&[Part::File("image", &fixture.image(0))]).await.status.is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decoded_images_stay_within_their_memory_and_small_ones_pass_large_ones() {
    // Room for two of the large ones, which have a lane of half the threads: four, more than there is memory for.
    let limits = Limits { max_decode_memory_bytes: 10 << 20, ..Limits::default() };
    let service = Arc::new(crate::service::Service::start(Vec::new(), None, limits).unwrap());
    let decoder = Decoder::for_cores(&limits, 8);
    let held = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let large = bytes::Bytes::from(png_of_zeros(1000, 1000));
    let small = bytes::Bytes::from(png_of_zeros(10, 10));
    let decode = |bytes: &bytes::Bytes, pause: Duration| {
        let (service, decoder, held, most) = (service.clone(), decoder.clone(), held.clone(), most.clone());
        let sources = vec![Source { bytes: bytes.clone(), crop: None }];
        tokio::spawn(async move {
            let then = move |images: Vec<kinsight_data::RgbImage>| {
                let bytes = images[0].pixels().len();
                use std::sync::atomic::Ordering::SeqCst;
                most.fetch_max(held.fetch_add(bytes, SeqCst) + bytes, SeqCst);
                std::thread::sleep(pause);
                held.fetch_sub(bytes, SeqCst);
                Ok(())
            };
            service.work(async |work| decoder.decode(&work, sources, then).await).await
        })
    };
    let many: Vec<_> = (0..16).map(|_| decode(&large, Duration::from_millis(100))).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let started = Instant::now();
    decode(&small, Duration::ZERO).await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_millis(300), "a small image waited {:?}", started.elapsed());
    for task in many {
        let done: Result<(), ServiceError> = task.await.unwrap();
        done.unwrap();
    }
    let most = most.load(std::sync::atomic::Ordering::SeqCst);
    assert!((3_000_000..=8 << 20).contains(&most), "{most} bytes at once");
}

/// A PNG of black pixels that decodes: all its bytes are zero, and so its checksum is known.
pub fn png_of_zeros(width: u32, height: u32) -> Vec<u8> {
    let total = (1 + 3 * width as usize) * height as usize;
    let stored = total.div_ceil(65535);
    let mut data = vec![0x78, 0x01];
    for block in 0..stored {
        let length = (total - block * 65535).min(65535) as u16;
        data.push(u8::from(block + 1 == stored));
        data.extend(length.to_le_bytes());
        data.extend((!length).to_le_bytes());
        data.extend(std::iter::repeat_n(0, usize::from(length)));
    }
    data.extend(((total as u64 % 65521) as u32).to_be_bytes()[2..].iter());
    data.extend([0, 1]);
    png(width, height, &data)
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_500_and_counted_out() {
    let fixture = Fixture::new();
    async fn panics() -> Result<&'static str, Failure> {
        panic!("a defect")
    }
    let router: Router<Arc<App>> = Router::new().route("/panic", get(panics));
    let router = layered(router, &fixture.app);
    let response = router.oneshot(Request::get("/panic").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), 500);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(fixture.app.service.metrics.requests_in_progress.get(), 0);
}

#[tokio::test]
async fn metrics_name_each_method_and_only_collections_that_there_are() {
    let fixture = Fixture::new();
    assert_eq!(fixture.put("/v1/collections/passing?like=index").await.status.as_u16(), 201);
    let text = fixture.get("/metrics").await.text();
    assert!(text.contains("collection_images{collection=\"passing\"} 0"), "{text}");
    assert!(text.contains("method=\"PUT\",route=\"/v1/collections/{collection}\",status=\"201\""), "{text}");
    assert_eq!(fixture.delete("/v1/collections/passing").await.status.as_u16(), 204);
    let text = fixture.get("/metrics").await.text();
    assert!(!text.contains("passing") && text.contains("collection=\"index\"} 16"), "{text}");
}
