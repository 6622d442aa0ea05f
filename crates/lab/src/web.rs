//! A web page that tells of its container, and a client to fetch one.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use crate::{
    Problem, dns, inside,
    output::{say, warn},
};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEAD_BYTES: u64 = 16 * 1024;

/// Serves the page on all addresses without end.
pub(crate) fn serve(port: u16) -> Result<u8, Problem> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .map_err(Problem::of(format!("listen on port {port}")))?;
    let address = listener.local_addr().map_err(Problem::of("listen"))?;
    say(&format!("serving on {address}"))?;
    for connection in listener.incoming() {
        match connection {
            Ok(stream) => {
                let answered = thread::Builder::new().spawn(move || {
                    // A client that goes away is its own business.
                    drop(answer(stream));
                });
                if let Err(error) = answered {
                    warn(&format!("start a thread: {error}"));
                }
            }
            Err(error) => {
                warn(&format!("accept: {error}"));
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Ok(0)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut head = BufReader::new((&stream).take(MAX_HEAD_BYTES));
    let mut first = String::new();
    head.read_line(&mut first)?;
    let mut line = String::new();
    while head.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or("/");
    let (status, kind, body) = match path.split('?').next().unwrap_or_default() {
        "/" => ("200 OK", "text/html; charset=utf-8", page()),
        "/json" => ("200 OK", "application/json", json()),
        _ => ("404 Not Found", "text/plain", "not found\n".to_owned()),
    };
    say(first.trim_end()).map_err(|_problem| io::ErrorKind::BrokenPipe)?;
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn page() -> String {
    let mut html = format!(
        "<!doctype html><title>{0}</title><h1>Hello from {0}</h1><table>\n",
        escape(&inside::hostname())
    );
    for (name, value) in inside::facts() {
        let row = format!(
            "<tr><th align=left>{}<td>{}\n",
            escape(&name),
            escape(&value)
        );
        html.push_str(&row);
    }
    html.push_str("</table>\n");
    html
}

fn json() -> String {
    let facts: Vec<String> = inside::facts()
        .iter()
        .map(|(name, value)| format!("{}:{}", quoted(name), quoted(value)))
        .collect();
    format!("{{{}}}\n", facts.join(","))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => {
                json.extend(format!("\\u{:04x}", u32::from(control)).chars());
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// Fetches a URL over HTTP and prints the body. Exit status 1 when the server answers an error.
pub(crate) fn get(url: &str) -> Result<u8, Problem> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    if rest.contains("://") {
        return Err(Problem::Usage("only http:// is spoken".into()));
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port
                .parse()
                .map_err(|_digits| Problem::Usage(format!("{port:?} is no port")))?;
            (host, port)
        }
        _ => (authority, 80),
    };
    let addresses = dns::resolve(host)?;
    let mut stream = connect(url, &addresses, port)?;
    let asked = format!(
        "GET {path} HTTP/1.0\r\nHost: {authority}\r\nUser-Agent: lab\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(asked.as_bytes())
        .map_err(Problem::of(format!("ask {url}")))?;
    let mut answer = BufReader::new(stream);
    let mut status = String::new();
    answer
        .read_line(&mut status)
        .map_err(Problem::of(format!("read {url}")))?;
    let mut line = String::new();
    while answer
        .read_line(&mut line)
        .map_err(Problem::of(format!("read {url}")))?
        > 2
    {
        line.clear();
    }
    let code: u16 = status
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    if code == 0 {
        return Err(Problem::Failed(format!(
            "read {url}: that is no answer of HTTP"
        )));
    }
    io::copy(&mut answer, &mut io::stdout().lock()).map_err(Problem::of(format!("read {url}")))?;
    if code >= 400 {
        warn(&format!("{url}: {}", status.trim_end()));
        return Ok(1);
    }
    Ok(0)
}

fn connect(url: &str, addresses: &[std::net::IpAddr], port: u16) -> Result<TcpStream, Problem> {
    let mut last = Problem::Failed(format!("connect to {url}: no address"));
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), TIMEOUT) {
            Ok(stream) => {
                stream
                    .set_read_timeout(Some(TIMEOUT))
                    .map_err(Problem::of("set timeout"))?;
                return Ok(stream);
            }
            Err(error) => last = Problem::of(format!("connect to {address} port {port}"))(error),
        }
    }
    Err(last)
}
