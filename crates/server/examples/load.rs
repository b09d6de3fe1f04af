//! A closed loop of clients against a search server: each uploads an image, waits for the answer, uploads the next.
//!
//! ```sh
//! cargo run --release -p kinsight-server --example load -- 127.0.0.1:7878 IMAGES 8 10 /v1/collections/photos/search
//! ```
//! Arguments: address, folder of JPEGs, clients, seconds, and one path or several, taken in turn. Prints one JSON object:
//! requests a second, and the 50th and 99th percentile of their times in milliseconds. Any answer but 200 is a failure.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, images, clients, seconds, paths @ ..] = &arguments[..] else {
        return Err("expected ADDRESS IMAGES CLIENTS SECONDS PATH...".into());
    };
    let (clients, seconds): (usize, f64) = (clients.parse()?, seconds.parse()?);
    let bodies = bodies(Path::new(images))?;
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    let started = Instant::now();
    let mut times = std::thread::scope(|scope| {
        let (bodies, paths) = (&bodies, &paths);
        let threads: Vec<_> =
            (0..clients).map(|client| scope.spawn(move || run(address, bodies, paths, client, deadline))).collect();
        threads.into_iter().try_fold(Vec::new(), |mut all, thread| -> Result<_, Failure> {
            all.extend(thread.join().map_err(|_| "a client failed")??);
            Ok(all)
        })
    })?;
    let took = started.elapsed().as_secs_f64();
    times.sort_unstable();
    let percentile = |share: f64| {
        let at = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
        times.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    let line = format!(
        "{{\"clients\": {clients}, \"requests\": {}, \"per_second\": {:.2}, \"p50_ms\": {:.1}, \"p99_ms\": {:.1}}}",
        times.len(),
        times.len() as f64 / took,
        percentile(0.5),
        percentile(0.99)
    );
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Multipart bodies of at most 64 images, spread over the folder.
fn bodies(folder: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let step = files.len().div_ceil(64).max(1);
    let body = |file: &std::path::PathBuf| -> Result<Vec<u8>, Failure> {
        let head = b"--XX\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\
                     content-type: image/jpeg\r\n\r\n";
        Ok([&head[..], &std::fs::read(file)?, b"\r\n--XX--\r\n"].concat())
    };
    let bodies = files.iter().step_by(step).map(body).collect::<Result<Vec<_>, _>>()?;
    if bodies.is_empty() { Err("no JPEG in the folder".into()) } else { Ok(bodies) }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("jpg")) {
            files.push(path);
        }
    }
    Ok(())
}

/// One client: requests over one connection until the deadline; the time of each.
fn run(
    address: &str,
    bodies: &[Vec<u8>],
    paths: &[String],
    client: usize,
    deadline: Instant,
) -> Result<Vec<Duration>, Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut times = Vec::new();
    for turn in 0.. {
        if Instant::now() >= deadline {
            break;
        }
        let body = &bodies[(client * 7 + turn) % bodies.len()];
        let path = &paths[(client + turn) % paths.len()];
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=XX\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        let started = Instant::now();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        answer(&mut reader)?;
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Reads an answer, which must be 200 and say how long it is.
fn answer(reader: &mut impl BufRead) -> Result<(), Failure> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(format!("answered {line:?}").into());
    }
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let trimmed = line.trim_end();
        if trimmed.is_empty() {
            break;
        }
        if let Some((name, value)) = trimmed.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    Ok(())
}
