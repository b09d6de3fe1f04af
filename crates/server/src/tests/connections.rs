//! Over a real socket: slow clients, too many clients, and the stop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::fixture::{Fixture, Part, multipart_body};
use crate::service::{Keys, ServiceError};
use crate::settings::Limits;

/// A server on a port of its own, and what stops it.
struct Running {
    fixture: Fixture,
    address: SocketAddr,
    stop: std::sync::Arc<Notify>,
    done: tokio::task::JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    let fixture = Fixture::with(limits, Keys::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = std::sync::Arc::new(Notify::new());
    let (router, service, asked) = (fixture.router(), fixture.app.service.clone(), stop.clone());
    let accept = crate::http::connection::accept(listener, router, service, async move { asked.notified().await });
    let done = tokio::spawn(async move {
        accept.await;
    });
    Running { fixture, address, stop, done }
}

/// Sends `bytes` and reads to the end, away from the runtime.
async fn talk(address: SocketAddr, bytes: Vec<u8>) -> (String, Duration) {
    tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
    })
    .await
    .unwrap()
}

fn search_request(body: &[u8], declared: usize) -> Vec<u8> {
    let head = format!(
        "POST /v1/collections/index/search HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: multipart/form-data; boundary=XX\r\ncontent-length: {declared}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn short() -> Limits {
    Limits { header_timeout: Duration::from_millis(300), body_timeout: Duration::from_millis(300), ..Limits::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_cut_off_and_others_served() {
    let server = start(short()).await;
    let body = multipart_body(&[Part::File("image", &server.fixture.image(0))]);
    let slow_headers = talk(server.address, b"GET /healthz HTTP/1.1\r\nhost: loc".to_vec());
    let slow_body = talk(server.address, search_request(&body[..100], body.len()));
    let good = talk(server.address, search_request(&body, body.len()));
    let ((headers, headers_took), (slow, slow_took), (good, _)) = tokio::join!(slow_headers, slow_body, good);
    assert!(headers_took < Duration::from_secs(5) && !headers.contains("200 OK"), "{headers}");
    assert!(slow_took < Duration::from_secs(5), "{slow_took:?}");
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("slow_body"), "{slow}");
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
}

const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Takes a place to work until something is sent or the sender is dropped, and does not look whether it is cancelled.
async fn busy(server: &Running) -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), ServiceError>>) {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = tokio::sync::oneshot::channel();
    let service = server.fixture.app.service.clone();
    let working = tokio::spawn(async move {
        let task = move |_: &_| {
            begun.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        };
        service.work(async |work| work.run(task).await).await
    });
    begins.await.unwrap();
    (release, working)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_told_to_come_back() {
    let limits = Limits { max_requests: 1, body_timeout: Duration::from_secs(5), ..short() };
    let server = start(limits).await;
    let body = multipart_body(&[Part::File("image", &server.fixture.image(0))]);
    let (release, first) = busy(&server).await;
    let refused = talk(server.address, search_request(&body, body.len())).await.0;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("overloaded"), "{refused}");
    assert!(
        talk(server.address, HEALTH.to_vec()).await.0.starts_with("HTTP/1.1 200"),
        "health is answered at any load"
    );
    release.send(()).unwrap();
    assert!(first.await.unwrap().is_ok(), "the one that had the place is answered");
    let answer = talk(server.address, search_request(&body, body.len())).await.0;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled_uploads_take_no_place_and_no_memory_from_others() {
    // Room for one of those that declare as much as they may.
    let server = start(Limits { max_requests: 4, max_upload_memory_bytes: 27 << 20, ..Limits::default() }).await;
    let body = multipart_body(&[Part::File("image", &server.fixture.image(0))]);
    let stalled: Vec<TcpStream> = (0..64)
        .map(|i| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            // Some declare as much as they may.
            let declared = if i % 2 == 0 { 9999 } else { 20 << 20 };
            stream.write_all(&search_request(&body[..80], declared)).unwrap();
            stream
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (answer, took) = talk(server.address, search_request(&body, body.len())).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Nor from a large one, which needs more than the share of the first bytes.
    let large = multipart_body(&[Part::File("image", &super::load::png_of_zeros(1000, 1000))]);
    let answer = talk(server.address, search_request(&large, large.len())).await.0;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_free_when_its_work_has_ended_not_when_its_client_was_answered() {
    let limits = Limits { max_requests: 1, work_timeout: Duration::from_secs(1), ..Limits::default() };
    let server = start(limits).await;
    let (release, late) = busy(&server).await;
    let told = late.await.unwrap();
    assert!(matches!(told, Err(ServiceError::TookTooLong)), "{told:?}");
    let list = || {
        talk(server.address, b"GET /v1/collections HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec())
    };
    let refused = list().await.0;
    assert!(refused.starts_with("HTTP/1.1 503"), "its thread still works: {refused}");
    release.send(()).unwrap();
    let mut answer = String::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = list().await.0;
        if answer.starts_with("HTTP/1.1 200") {
            break;
        }
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_cancelled_at_its_deadline_and_when_its_client_goes_away() {
    let limits = Limits { work_timeout: Duration::from_secs(20), ..Limits::default() };
    let server = start(limits).await;
    let service = server.fixture.app.service.clone();
    let (ended, end) = std::sync::mpsc::channel();
    let working = tokio::spawn(async move {
        let task = move |cancel: &kinsight_index::Cancel| {
            while !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            ended.send(()).unwrap();
            Ok(())
        };
        service.work(async |work| work.run(task).await).await
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    // As a connection that ends drops the future of its request.
    working.abort();
    let heard = tokio::task::spawn_blocking(move || end.recv_timeout(Duration::from_secs(5))).await.unwrap();
    assert!(heard.is_ok(), "the work went on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_together_stay_within_their_memory() {
    let limits = Limits { max_upload_memory_bytes: 64 << 10, ..Limits::default() };
    let server = start(limits).await;
    let answer = talk(server.address, search_request(b"", 200 << 10)).await.0;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("memory"), "{answer}");
    // Each of two would fit, both together do not.
    let large = multipart_body(&[Part::File("image", &[0; 50 << 10])]);
    let mut first = TcpStream::connect(server.address).unwrap();
    first.write_all(&search_request(&large[..40 << 10], large.len())).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = talk(server.address, search_request(&large, large.len())).await.0;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("memory"), "{answer}");
    drop(first);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let body = multipart_body(&[Part::File("image", &server.fixture.image(0))]);
    let answer = talk(server.address, search_request(&body, body.len())).await.0;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_is_in_progress() {
    let server = start(Limits { body_timeout: Duration::from_secs(5), ..Limits::default() }).await;
    let body = multipart_body(&[Part::File("image", &server.fixture.image(0))]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(&search_request(&body[..100], body.len())).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.notify_one();
    tokio::time::sleep(Duration::from_millis(100)).await;
    stream.write_all(&body[100..]).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    tokio::time::timeout(Duration::from_secs(5), server.done).await.expect("the server ends").unwrap();
    assert!(TcpStream::connect(server.address).is_err(), "nobody listens any more");
}
