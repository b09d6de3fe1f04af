//! Over a real socket: slow clients, too many clients, and the stop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::fixture::{Fixture, Part, multipart_body};
use crate::guard::Keys;
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
    let (router, app, asked) = (fixture.router(), fixture.app.clone(), stop.clone());
    let done = tokio::spawn(crate::connection::accept(listener, router, app, async move { asked.notified().await }));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_told_to_come_back() {
    let limits = Limits { max_requests: 1, body_timeout: Duration::from_secs(5), ..short() };
    let server = start(limits).await;
    let body = multipart_body(&[Part::File("image", &server.fixture.image(0))]);
    // One request that has been begun and not finished takes the only place.
    let mut holding = TcpStream::connect(server.address).unwrap();
    holding.write_all(&search_request(&body[..100], body.len())).unwrap();
    let mut refused = String::new();
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        refused = talk(server.address, search_request(&body, body.len())).await.0;
        if refused.starts_with("HTTP/1.1 503") {
            break;
        }
    }
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 1") && refused.contains("overloaded"), "{refused}");
    let health =
        talk(server.address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".to_vec());
    assert!(health.await.0.starts_with("HTTP/1.1 200"), "health is answered at any load");
    holding.write_all(&body[100..]).unwrap();
    holding.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut first = Vec::new();
    holding.read_to_end(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"), "the one that had the place is answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_together_stay_within_their_memory() {
    let limits = Limits { max_upload_memory_bytes: 64 << 10, ..Limits::default() };
    let server = start(limits).await;
    let answer = talk(server.address, search_request(b"", 200 << 10)).await.0;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("memory"), "{answer}");
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
