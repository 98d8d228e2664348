//! Models of the Hugging Face Hub, from a hub on this machine.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deft_e2e::{Deft, Project, RETRIEVER_DENSE};
use serde_json::json;

const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A hub with one model, `tiny/t5`, which has no weights; it lives as long as the process.
struct Hub {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Hub {
    /// Serves the description and the tokenizer of a folder.
    fn serve(model: &Path) -> Self {
        let files = ["config.json", "tokenizer.json"]
            .map(|name| (name, fs::read_to_string(model.join(name)).unwrap()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                answer(&stream.unwrap(), &files);
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: &TcpStream, files: &[(&str, String)]) {
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let _rest = lines.take_while(|line| !line.is_empty()).count();
    let path = first.split(' ').nth(1).unwrap();
    let name = path.strip_prefix(&format!("/tiny/t5/resolve/{COMMIT}/"));
    let found = files.iter().find(|(file, _)| Some(*file) == name);
    let (etag, body) = if let Some((file, body)) = found {
        (*file, body.clone())
    } else {
        assert_eq!(path, "/api/models/tiny/t5/revision/v1");
        let siblings = files.iter().map(|(file, _)| json!({ "rfilename": file }));
        let siblings: Vec<_> = siblings.collect();
        ("list", json!({ "sha": COMMIT, "siblings": siblings }).to_string())
    };
    let length = body.len();
    let head = format!("content-length: {length}\r\netag: \"{etag}\"\r\nconnection: close");
    write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}").unwrap();
}

/// A call that may use the hub, with a cache in the project.
fn on_hub(call: Deft, hub: &Hub, project: &Project) -> Deft {
    call.env("HF_HUB_OFFLINE", "0")
        .env("HF_ENDPOINT", &hub.url)
        .env("HF_HUB_CACHE", project.path("cache"))
        .env("HF_TOKEN", "none")
}

#[test]
fn a_model_of_the_hub_is_fetched_once_and_used_without_a_network() {
    let project = Project::new();
    let hub = Hub::serve(&project.path("model"));
    project.manifest(&[&RETRIEVER_DENSE.replace("model: model", "model: tiny/t5@v1")]);

    on_hub(project.deft("check"), &hub, &project).succeed();
    assert_eq!(hub.requests(), 0, "a check opens no connection");

    let fetched = on_hub(project.deft("fetch"), &hub, &project).succeed();
    let snapshot = project.path("cache/models--tiny--t5/snapshots").join(COMMIT);
    assert_eq!(fetched.stdout, format!("tiny/t5@v1\t{}\n", snapshot.display()));
    assert_eq!(hub.requests(), 3);

    project.write("texts.txt", "say the film was good\nsay no\n");
    let encode = |model: &str, output: &str| {
        let encoder = format!("{{use: t5, model: {model}, init: random}}");
        let call = Deft::new(&["encode", "--encoder", &encoder, "--input"])
            .arg(project.path("texts.txt"))
            .arg("--output")
            .arg(project.path(output));
        on_hub(call, &hub, &project).succeed();
        fs::read(project.path(output)).unwrap()
    };
    let local = encode(&project.path("model").display().to_string(), "local.npy");
    assert_eq!(encode("tiny/t5@v1", "hub.npy"), local);
    let offline = on_hub(project.deft("index"), &hub, &project).env("HF_HUB_OFFLINE", "1");
    offline.succeed();
    assert_eq!(hub.requests(), 3, "what is in the cache is not asked for again");
}

#[test]
fn a_component_downloads_the_model_that_it_needs() {
    let project = Project::new();
    let hub = Hub::serve(&project.path("model"));
    project.manifest(&[&RETRIEVER_DENSE.replace("model: model", "model: tiny/t5@v1")]);
    let output = on_hub(project.deft("index"), &hub, &project).succeed();
    assert!(output.stderr.contains("downloading tiny/t5@v1 from http://127."), "{}", output.stderr);
    assert_eq!(hub.requests(), 3);
}
