//! `kinsight serve`, as a process: killed, stopped, on a full disk, and under hostile uploads.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kinsight_data::thumbnail::thumbnail;
use kinsight_synthetic::render;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::fixture::{Fixture, assert_says, fail, kills, kinsight, succeed};

/// A running server.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts `command`, which prints the address once it listens.
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).unwrap_or_else(|| panic!("no address in {line:?}"));
        let address = address.split_whitespace().next().unwrap().to_string();
        Self { process, address }
    }

    fn of(fixture: &Fixture, index: &str) -> Self {
        Self::start(&mut serve(&fixture.path(index)))
    }

    /// One request; status and body, or `None` where the server went away meanwhile.
    fn ask(&self, method: &str, path: &str, body: &[u8], kind: &str) -> Option<(u16, String)> {
        ask(&self.address, method, path, body, kind)
    }

    fn add(&self, picture: &[u8]) -> Option<(u16, String)> {
        self.ask("POST", "/v1/collections/index/images", &multipart(picture), "multipart/form-data; boundary=XX")
    }

    fn search(&self, picture: &[u8]) -> (u16, String) {
        self.ask("POST", "/v1/collections/index/search", picture, "image/jpeg").unwrap()
    }

    #[cfg(target_os = "linux")]
    fn peak_memory_mb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ask(address: &str, method: &str, path: &str, body: &[u8], kind: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.parse().ok()?, body.to_string()))
}

fn multipart(picture: &[u8]) -> Vec<u8> {
    let head = b"--XX\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n";
    [&head[..], picture, b"\r\n--XX--\r\n"].concat()
}

/// A butterfly that no other number gives.
fn picture(number: u32, size_px: u32) -> Vec<u8> {
    thumbnail(&render(7, number, 40, size_px).unwrap(), size_px)
}

fn serve(index: &Path) -> Command {
    let mut command = kinsight();
    command.args(["serve", "--address", "127.0.0.1:0", "--log", "off", "--index"]).arg(index);
    command
}

/// The fixture's images in an index over its bare backbone.
fn indexed(fixture: &Fixture) {
    let mut index = kinsight();
    index.arg("index").arg(fixture.images()).arg("--backbone").arg(fixture.path("backbone.safetensors"));
    succeed(index.arg("--index").arg(fixture.path("index")));
}

#[test]
fn killed_while_adding_it_has_lost_nothing_that_it_acknowledged() {
    let fixture = Fixture::new();
    indexed(&fixture);
    let pictures: Vec<Vec<u8>> = (0..24).map(|number| picture(number, 40)).collect();
    let acknowledged = Mutex::new(Vec::<String>::new());
    let mut next = 0;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..kills() {
        let (patience, pause) = (rng.random_range(1..6), Duration::from_micros(rng.random_range(0..20_000)));
        let mut server = Server::of(&fixture, "index");
        let before = acknowledged.lock().unwrap().len();
        std::thread::scope(|scope| {
            let (address, pictures, acknowledged, first) = (server.address.clone(), &pictures, &acknowledged, next);
            scope.spawn(move || {
                for picture in pictures.iter().cycle().skip(first) {
                    let body = multipart(picture);
                    let path = "/v1/collections/index/images";
                    let Some((status, text)) = ask(&address, "POST", path, &body, "multipart/form-data; boundary=XX")
                    else {
                        return; // the server is gone
                    };
                    assert_eq!(status, 201, "{text}");
                    let id = text.split("\"id\":\"").nth(1).unwrap()[..32].to_string();
                    acknowledged.lock().unwrap().push(id);
                }
            });
            let started = Instant::now();
            while acknowledged.lock().unwrap().len() < before + patience && started.elapsed() < Duration::from_secs(20)
            {
                std::thread::sleep(Duration::from_millis(1));
            }
            // In the middle of whatever comes next.
            std::thread::sleep(pause);
            server.process.kill().unwrap();
            server.process.wait().unwrap();
        });
        next = acknowledged.lock().unwrap().len();
        assert!(next >= before + patience, "the server answered nothing in time");
        let server = Server::of(&fixture, "index");
        for id in acknowledged.lock().unwrap().iter() {
            let path = format!("/v1/collections/index/images/{id}");
            assert_eq!(server.ask("GET", &path, b"", "").unwrap().0, 200, "{id} was acknowledged");
            assert_eq!(server.ask("GET", &format!("{path}/thumbnail"), b"", "").unwrap().0, 200, "{id} has its file");
        }
    }
    succeed(kinsight().args(["index", "check", "--index"]).arg(fixture.path("index")));
}

#[cfg(unix)]
#[test]
fn a_full_disk_refuses_an_image_and_the_server_goes_on() {
    let fixture = Fixture::new();
    indexed(&fixture);
    // A limit on file sizes stands for the full disk: the write fails half way.
    let command = serve(&fixture.path("index"));
    let mut shell = Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "bash"]);
    shell.arg(command.get_program()).args(command.get_args());
    let server = Server::start(&mut shell);
    let large = picture(1, 1600);
    assert!(large.len() > 100 << 10, "{} bytes", large.len());
    let (status, text) = server.add(&large).unwrap();
    assert_eq!(status, 507, "{text}");
    assert_says(&text, &["disk_full", "nothing was added"]);
    assert_eq!(server.search(&large).0, 200);
    let uploads = fixture.path("index/uploads");
    let files = std::fs::read_dir(&uploads).into_iter().flatten().flat_map(|folder| {
        std::fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>()
    });
    assert_eq!(files.collect::<Vec<_>>(), Vec::<std::path::PathBuf>::new(), "half a picture was left");
    drop(server);
    // With room again it is added.
    assert_eq!(Server::of(&fixture, "index").add(&large).unwrap().0, 201);
}

#[cfg(target_os = "linux")]
#[test]
fn it_stops_when_asked_and_hostile_uploads_cost_bounded_memory() {
    let fixture = Fixture::new();
    let mut command = kinsight();
    command.args(["serve", "--address", "127.0.0.1:0", "--log", "json", "--backbone"]);
    command.arg(fixture.path("backbone.safetensors"));
    // Straight from the folder, which is indexed first.
    command.arg("--images").arg(fixture.images()).arg("--index").arg(fixture.path("index"));
    let mut server = Server::start(&mut command);
    let good = std::fs::read(fixture.some_image()).unwrap();
    assert_eq!(server.search(&good).0, 200);
    let before = server.peak_memory_mb();

    // 60,000 x 60,000 declared; a truncated picture; text; a body over the limit that is not even sent.
    let mut enormous = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR".to_vec();
    enormous.extend(60_000_u32.to_be_bytes());
    enormous.extend(60_000_u32.to_be_bytes());
    enormous.extend([8, 2, 0, 0, 0]);
    let crc = enormous[12..].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    });
    enormous.extend((!crc).to_be_bytes());
    enormous.extend(b"\x00\x00\x00\x00IDAT");
    for _ in 0..20 {
        assert_eq!(server.search(&enormous).0, 413);
        assert_eq!(server.search(&good[..good.len() / 2]).0, 422);
        assert_eq!(server.search(b"just text").0, 415);
    }
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let head = "POST /v1/collections/index/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/jpeg\r\n\
                connection: close\r\ncontent-length: 104857600\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let grown = server.peak_memory_mb() - before;
    assert!(grown < 100, "hostile uploads took {grown} MB");
    assert_eq!(server.search(&good).0, 200, "the server goes on");

    let stopped = Command::new("kill").args(["-TERM", &server.process.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert!(server.process.wait().unwrap().success(), "a stop that was asked for is no failure");
}

/// A PNG of black pixels: all of its bytes are zero, so that a few bits stand for many and the checksums are known.
#[cfg(target_os = "linux")]
fn blank_png(side: u32) -> Vec<u8> {
    fn crc(bytes: &[u8]) -> [u8; 4] {
        let of = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 * (c & 1)));
        (!bytes.iter().fold(!0u32, of)).to_be_bytes()
    }
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let named = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &named, &crc(&named)].concat()
    };
    // Deflate with fixed codes: a zero, then the longest match (258) again and again, the rest as zeros.
    let total = (1 + 3 * side as usize) * side as usize;
    let (mut data, mut buffer, mut filled) = (vec![0x78, 0x01], 0u32, 0);
    let mut put = |bits: u32, count: u32| {
        buffer |= bits << filled;
        filled += count;
        while filled >= 8 {
            data.push(buffer as u8);
            (buffer, filled) = (buffer >> 8, filled - 8);
        }
    };
    let code = |value: u32, count: u32| value.reverse_bits() >> (32 - count);
    put(0b011, 3);
    put(code(0b0011_0000, 8), 8);
    for _ in 0..(total - 1) / 258 {
        put(code(0b1100_0101, 8), 8);
        put(0, 5);
    }
    (0..(total - 1) % 258).for_each(|_| put(code(0b0011_0000, 8), 8));
    put(0, 7 + 7);
    data.extend(((total % 65521) as u16).to_be_bytes());
    data.extend([0, 1]);
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &data), &chunk(b"IEND", &[])].concat()
}

#[cfg(target_os = "linux")]
#[test]
fn large_blank_images_cost_bounded_memory_and_others_are_answered() {
    let fixture = Fixture::new();
    indexed(&fixture);
    let server = Server::of(&fixture, "index");
    let good = std::fs::read(fixture.some_image()).unwrap();
    assert_eq!(server.search(&good).0, 200);
    // As many as a request may hold, as large as one may be: 50 million pixels each.
    let blank = blank_png(7071);
    let one = multipart(&blank);
    let part = &one[..one.len() - b"--XX--\r\n".len()];
    let body = [part.repeat(16), b"--XX--\r\n".to_vec()].concat();
    assert!(body.len() < 20 << 20, "{} bytes", body.len());
    let slowest = std::thread::scope(|scope| {
        let (address, body) = (&server.address, &body);
        let path = "/v1/collections/index/search";
        let large = || ask(address, "POST", path, body, "multipart/form-data; boundary=XX");
        let attacks: Vec<_> = (0..4).map(|_| scope.spawn(large)).collect();
        std::thread::sleep(Duration::from_millis(500));
        let mut slowest = Duration::ZERO;
        while attacks.iter().any(|attack| !attack.is_finished()) {
            let started = Instant::now();
            assert_eq!(server.search(&good).0, 200, "another client is answered meanwhile");
            slowest = slowest.max(started.elapsed());
            std::thread::sleep(Duration::from_millis(50));
        }
        for attack in attacks {
            // Answered, or told that it took too long on a slow machine.
            let answer = attack.join().unwrap();
            assert!(answer.as_ref().is_none_or(|(status, _)| [200, 503].contains(status)), "{answer:?}");
        }
        slowest
    });
    let peak = server.peak_memory_mb();
    assert!(peak < 1000, "the server took {peak} MB");
    assert!(slowest < Duration::from_secs(10), "another client waited {slowest:?}");
}

#[cfg(unix)]
#[test]
fn a_costly_filter_holds_up_neither_others_nor_the_stop() {
    let fixture = Fixture::new();
    indexed(&fixture);
    let index = kinsight_index::Index::open(&fixture.path("index")).unwrap();
    let dim = index.store().dim();
    let mut vector = vec![0.0; dim];
    vector[0] = 1.0;
    let points: Vec<kinsight_index::Point> = (0..40_000)
        .map(|i| {
            let name = format!("folder {}/a rather long name of an image number {i}.jpg", i % 100);
            let id = kinsight_index::PointId::of_path("elsewhere", &name);
            let payload = kinsight_index::Payload::from([("path".into(), kinsight_index::Value::from(name))]);
            kinsight_index::Point { id, vector: vector.clone(), payload }
        })
        .collect();
    index.writer().unwrap().upsert(&points).unwrap();
    drop(index);
    let mut server = Server::of(&fixture, "index");
    let good = std::fs::read(fixture.some_image()).unwrap();
    let conditions: Vec<String> = (0..1000).map(|i| format!("path~*q{i}")).collect();
    let filter = conditions.join("%20or%20");
    std::thread::scope(|scope| {
        let (address, path) = (&server.address, format!("/v1/collections/index/images?where={filter}"));
        let costly: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                scope.spawn(move || ask(address, "GET", &path, b"", ""))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(100));
        let started = Instant::now();
        assert_eq!(server.search(&good).0, 200, "others are answered meanwhile");
        assert!(started.elapsed() < Duration::from_secs(5), "a search waited {:?}", started.elapsed());
        for costly in costly {
            let (status, text) = costly.join().unwrap().expect("an answer");
            assert!([400, 503].contains(&status) && text.contains("hint"), "{status}: {text}");
        }
        // Again, and nobody waits for it: the stop comes while it works.
        for _ in 0..4 {
            let path = path.clone();
            scope.spawn(move || ask(address, "GET", &path, b"", ""));
        }
        std::thread::sleep(Duration::from_millis(200));
        let started = Instant::now();
        let stopped = Command::new("kill").args(["-TERM", &server.process.id().to_string()]).status().unwrap();
        assert!(stopped.success() && server.process.wait().unwrap().success());
        assert!(started.elapsed() < Duration::from_secs(20), "the stop took {:?}", started.elapsed());
    });
}

#[test]
fn what_cannot_be_served_is_said_before_anything_listens() {
    let fixture = Fixture::new();
    let message = fail(&mut serve(&fixture.path("nowhere")));
    assert_says(&message, &["no index in", "nowhere", "hint:"]);
    indexed(&fixture);
    let open = ["--address", "0.0.0.0:0"];
    let message = fail(serve(&fixture.path("index")).args(open));
    assert_says(&message, &["can be reached from other machines", "hint:", "KINSIGHT_WRITE_KEY"]);
    let message = fail(serve(&fixture.path("index")).env("KINSIGHT_READ_KEY", "short"));
    assert_says(&message, &["KINSIGHT_READ_KEY", "5 characters", "hint:"]);
    let mut empty = kinsight();
    empty.args(["serve", "--address", "127.0.0.1:0", "--collections"]).arg(fixture.path("made"));
    assert_says(&fail(&mut empty), &["no collections to serve", "hint:", "--index"]);
}

#[test]
fn a_collection_that_a_client_made_outlives_a_kill() {
    let fixture = Fixture::new();
    indexed(&fixture);
    let start = || Server::start(serve(&fixture.path("index")).arg("--collections").arg(fixture.path("made")));
    let mut server = start();
    assert_eq!(server.ask("PUT", "/v1/collections/mine", b"", "").unwrap().0, 201);
    let (path, kind) = ("/v1/collections/mine/images", "multipart/form-data; boundary=XX");
    assert_eq!(server.ask("POST", path, &multipart(&picture(5, 40)), kind).unwrap().0, 201);
    server.process.kill().unwrap();
    server.process.wait().unwrap();

    let server = start();
    let (status, found) = server.ask("POST", "/v1/collections/mine/search", &picture(5, 40), "image/jpeg").unwrap();
    assert!(status == 200 && found.matches("\"id\"").count() == 1, "{found}");
    succeed(kinsight().args(["index", "check", "--index"]).arg(fixture.path("made/mine")));
    assert_eq!(server.ask("DELETE", "/v1/collections/mine", b"", "").unwrap().0, 204);
    assert!(!fixture.path("made/mine").exists());
}

#[test]
fn two_pictures_are_explained() {
    let fixture = Fixture::new();
    succeed(&mut fixture.train("run", &[]));
    let image = fixture.some_image();
    let explain = |more: &[&str]| {
        let mut command = kinsight();
        command.current_dir(fixture.path(""));
        command.arg("explain").args([&image, &image]).arg("--run").arg(fixture.path("run")).args(more);
        command
    };
    let printed = succeed(&mut explain(&["--out", "why.html", "--out", "why.png"]));
    assert_says(&printed, &["similarity 1.000", "strongest pair", "along the proxy of", "wrote why.html"]);
    let page = std::fs::read_to_string(fixture.path("why.html")).unwrap();
    assert_says(&page, &["<!doctype html>", "Matching parts", "Attention", "Prompt 2", "Proxies", "data:image/png"]);
    assert!(std::fs::read(fixture.path("why.png")).unwrap().starts_with(b"\x89PNG"));
    let json: serde_json::Value = serde_json::from_str(&succeed(&mut explain(&["--json"]))).unwrap();
    assert!((json["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-5);
    assert_eq!(json["first"]["prompts"].as_array().unwrap().len(), 2);
    assert!(!json["proxies"].as_array().unwrap().is_empty());
    assert_says(&fail(&mut explain(&["--out", "why.docx"])), &["why.docx", ".html or .png"]);
}

/// Images of the classes that a run was trained on, with the class that `kinsight explain` finds them nearest to.
fn named_proxies(fixture: &Fixture, run: &str) -> Vec<(String, String)> {
    let info = kinsight_model::finetuned::read_info(&fixture.path(run).join("model.safetensors")).unwrap();
    let mut found = Vec::new();
    for class in info.training.unwrap().class_names {
        let mut images: Vec<_> =
            std::fs::read_dir(fixture.images().join(&class)).unwrap().map(|entry| entry.unwrap().path()).collect();
        images.sort();
        for image in &images[..2] {
            let mut command = kinsight();
            command.arg("explain").args([image, image]).arg("--json").arg("--run").arg(fixture.path(run));
            let json: serde_json::Value = serde_json::from_str(&succeed(&mut command)).unwrap();
            let nearest = json["proxies"][0]["class"].as_str().unwrap_or_default().to_owned();
            found.push((class.clone(), nearest));
        }
    }
    found
}

#[test]
fn proxies_have_the_names_of_their_classes() {
    let fixture = Fixture::new();
    // Random weights tell nothing apart; the built-in ones do.
    let settings = ["--backbone", "kinsight_nano", "--method", "bitfit", "--epochs", "10"];
    let settings = [&settings[..], &["--validation-share", "0.25", "--batch-size", "6", "--lr", "0.005"]].concat();
    succeed(&mut fixture.train("carved", &settings));
    let soft_triple =
        [&settings[..], &["--set", "loss.kind=soft-triple", "--set", "loss.soft_triple.centers=3"]].concat();
    succeed(&mut fixture.train("centers", &soft_triple));
    for run in ["carved", "centers"] {
        let found = named_proxies(&fixture, run);
        assert_eq!(found.len(), 6, "three classes are left to train on");
        let right = found.iter().filter(|(class, nearest)| nearest.starts_with(class.as_str())).count();
        assert!(right >= 5, "{run}: {found:?}");
    }
    assert!(named_proxies(&fixture, "centers").iter().all(|(_, nearest)| nearest.contains(", center ")));
}
