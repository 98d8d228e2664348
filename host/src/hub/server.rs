//! A hub for tests: on this machine, with answers that are a function of what is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Lines of its head, beside the length.
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    pub(super) cut: Option<usize>,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn of(status: u16, headers: &[&str]) -> Self {
        let headers = headers.iter().map(|&header| header.to_owned()).collect();
        Self { status, headers, ..Self::default() }
    }
}

/// A server that lives as long as the process.
pub(super) struct Server {
    pub(super) url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(super) fn start(mut answer: impl FnMut(&str) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = read_head(&stream);
                seen.lock().unwrap().push(head.clone());
                // The client may have gone.
                let _ = send(&mut stream, &answer(&head));
            }
        });
        Self { url, heads }
    }

    /// What has been asked so far: the lines of each request's head.
    pub(super) fn requests(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn read_head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    head.join("\n")
}

fn send(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let own = [
        format!("HTTP/1.1 {} _", reply.status),
        format!("content-length: {}", reply.body.len()),
        "connection: close".to_owned(),
    ];
    let lines: Vec<&str> = own.iter().chain(&reply.headers).map(String::as_str).collect();
    stream.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes())?;
    stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])
}
