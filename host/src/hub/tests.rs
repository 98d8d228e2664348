use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deft_core::{NoServices, Services};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::download::hex;
use super::server::{Reply, Server};
use super::*;

pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

const MODEL: &[(&str, &str)] = &[
    ("config.json", "{}"),
    ("tokenizer.json", "[]"),
    ("model.safetensors", "the weights"),
    ("tf_model.h5", "other weights"),
];

/// Answers as the hub does for the model `org/model` with these files: weights are large files.
fn repository(
    files: &'static [(&'static str, &'static str)],
) -> impl FnMut(&str) -> Reply + Send + 'static {
    move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/api/models/org/model/revision/") {
            let siblings: Vec<_> =
                files.iter().map(|(file, _)| json!({ "rfilename": file })).collect();
            let body = json!({ "sha": COMMIT, "siblings": siblings }).to_string().into_bytes();
            return Reply { body, ..Reply::of(200, &[]) };
        }
        let name = path.strip_prefix(&format!("/org/model/resolve/{COMMIT}/"));
        let found = files.iter().find(|(file, _)| Some(*file) == name);
        let Some((file, body)) = found else {
            return Reply::of(404, &["x-error-code: EntryNotFound"]);
        };
        let mut reply = content(request, body.as_bytes());
        if file.ends_with("json") {
            reply.headers.push(format!("etag: \"small-{file}\""));
        } else {
            reply.headers.push(format!("x-linked-etag: \"{}\"", sha256(body)));
            reply.headers.push(format!("x-linked-size: {}", body.len()));
        }
        reply
    }
}

/// The part of a body that is asked for.
pub(super) fn content(request: &str, body: &[u8]) -> Reply {
    let from = |line: &str| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok();
    let from: Option<usize> = request.lines().find_map(from);
    let (status, from) = match from {
        None => return Reply { body: body.to_vec(), ..Reply::of(200, &[]) },
        Some(from) if from < body.len() => (206, from),
        Some(_) => (416, body.len()),
    };
    let range = format!("content-range: bytes {from}-{}/{}", body.len(), body.len());
    Reply { body: body[from..].to_vec(), ..Reply::of(status, &[&range]) }
}

pub(super) fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

pub(super) fn hub(cache: &Path, server: &Server) -> Hub {
    Hub { cache: cache.to_owned(), endpoint: server.url.clone(), token: None, offline: false }
}

fn resolve(hub: &Hub, name: &str) -> Result<PathBuf> {
    hub.resolve(HubName::parse(name).unwrap(), &Context::new(&NoServices, 0, 1))
}

pub(super) fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[track_caller]
pub(super) fn fails<T: fmt::Debug>(result: Result<T>, kind: ErrorKind, parts: &[&str]) {
    let error = result.unwrap_err();
    let text = format!("{error}\n{}", error.hint().unwrap_or_default());
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "no «{part}» in: {text}");
    }
}

#[test]
fn names_have_an_organisation_and_no_path_tricks() {
    let parse = |text| HubName::parse(text).map(|name| name.to_string());
    assert_eq!(parse("google/t5-small").unwrap(), "google/t5-small@main");
    assert_eq!(parse("a/b@v2").unwrap(), "a/b@v2");
    for text in ["t5-small", "../b", "a/b/c", "a/b@", "a/b@../c", "/b", "./b", "a/b c"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn a_download_has_the_layout_of_pythons_cache_and_is_found_again_without_a_connection() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(repository(MODEL));
    let hub = hub(cache.path(), &server);
    let snapshot = resolve(&hub, "org/model@v1").unwrap();
    let root = cache.path().join("models--org--model");
    assert_eq!(snapshot, root.join("snapshots").join(COMMIT));
    assert_eq!(names(&snapshot), ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(read(&snapshot, "model.safetensors"), "the weights");
    let link = fs::read_link(snapshot.join("config.json")).unwrap();
    assert_eq!(link, Path::new("../../blobs/small-config.json"));
    assert_eq!(read(&root, "refs/v1"), COMMIT);
    let mut blobs =
        [sha256("the weights"), "small-config.json".into(), "small-tokenizer.json".into()];
    blobs.sort();
    assert_eq!(names(&root.join("blobs")), blobs);
    assert!(names(&cache.path().join(".locks/models--org--model")).is_empty());
    assert_eq!(server.requests().len(), 4);

    let offline = Hub { offline: true, ..hub };
    for name in ["org/model@v1".to_owned(), format!("org/model@{COMMIT}")] {
        assert_eq!(resolve(&offline, &name).unwrap(), snapshot);
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_model_without_weights_and_one_in_shards_are_whole() {
    const BARE: &[(&str, &str)] = &[("config.json", "{}"), ("tokenizer.json", "[]")];
    const SHARDS: &[(&str, &str)] = &[
        ("config.json", "{}"),
        ("pytorch_model.bin.index.json", r#"{"weight_map": {"a": "p-1.bin", "b": "p-2.bin"}}"#),
        ("p-1.bin", "one"),
        ("p-2.bin", "two"),
    ];
    for files in [BARE, SHARDS] {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(repository(files));
        let hub = hub(cache.path(), &server);
        let snapshot = resolve(&hub, "org/model").unwrap();
        assert_eq!(names(&snapshot).len(), files.len());
        let asked = server.requests().len();
        assert_eq!(resolve(&hub, "org/model").unwrap(), snapshot);
        assert_eq!(server.requests().len(), asked);
    }
}

#[test]
fn what_python_left_in_part_is_completed_or_else_used_as_it_is() {
    let cache = tempfile::tempdir().unwrap();
    let snapshot = cache.path().join("models--org--model/snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::write(snapshot.join("config.json"), "{\"own\": 1}").unwrap();
    let name = format!("org/model@{COMMIT}");
    let refusing = Server::start(|_| Reply::of(503, &[]));
    assert_eq!(resolve(&hub(cache.path(), &refusing), &name).unwrap(), snapshot);
    assert_eq!(names(&snapshot), ["config.json"]);

    let server = Server::start(repository(MODEL));
    assert_eq!(resolve(&hub(cache.path(), &server), &name).unwrap(), snapshot);
    assert_eq!(read(&snapshot, "config.json"), "{\"own\": 1}");
    assert_eq!(names(&snapshot).len(), 3);
}

#[test]
fn offline_no_connection_is_opened_and_the_message_names_the_variable() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(repository(MODEL));
    let offline = Hub { offline: true, ..hub(cache.path(), &server) };
    let parts = ["`org/model@main`", "HF_HUB_OFFLINE", "hf download org/model --revision main"];
    fails(resolve(&offline, "org/model"), ErrorKind::Model, &parts);
    assert!(server.requests().is_empty());
}

#[test]
fn each_refusal_of_the_hub_says_what_to_do() {
    for (status, code, kind, parts) in [
        (404, "RepoNotFound", ErrorKind::Model, ["no model `org/model`", "/org/model"]),
        (404, "RevisionNotFound", ErrorKind::Model, ["no revision `v9`", "/org/model"]),
        (401, "RepoNotFound", ErrorKind::Model, ["or there is no such model", "HF_TOKEN"]),
        (403, "GatedRepo", ErrorKind::Model, ["gated", "HF_TOKEN"]),
        (503, "Busy", ErrorKind::Io, ["status 503", "later"]),
        (200, "None", ErrorKind::Model, ["does not answer as", "HF_ENDPOINT"]),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let code = format!("x-error-code: {code}");
        let server = Server::start(move |_| Reply::of(status, &[&code]));
        fails(resolve(&hub(cache.path(), &server), "org/model@v9"), kind, &parts);
    }
}

#[test]
fn without_a_network_the_message_names_the_hub_and_the_ways_out() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(repository(MODEL));
    // Nothing listens at port 1.
    let hub = Hub { endpoint: "http://127.0.0.1:1".to_owned(), ..hub(cache.path(), &server) };
    let parts = ["hub: http://127.0.0.1:1", "HF_HUB_OFFLINE=1", "hf download org/model"];
    fails(resolve(&hub, "org/model"), ErrorKind::Io, &parts);
}

#[test]
fn a_cut_connection_leaves_nothing_under_a_final_name_and_the_next_try_goes_on() {
    let cache = tempfile::tempdir().unwrap();
    let (mut whole, mut cuts) = (repository(MODEL), 1);
    let server = Server::start(move |request| {
        let mut reply = whole(request);
        if request.contains("model.safetensors") && cuts > 0 {
            cuts -= 1;
            reply.cut = Some(3);
        }
        reply
    });
    let hub = hub(cache.path(), &server);
    fails(resolve(&hub, "org/model"), ErrorKind::Io, &["cannot be downloaded"]);
    let root = cache.path().join("models--org--model");
    assert!(!root.join("snapshots").exists());
    assert!(names(&root.join("refs")).is_empty());
    assert!(!root.join("blobs").join(sha256("the weights")).exists());

    let snapshot = resolve(&hub, "org/model").unwrap();
    assert_eq!(read(&snapshot, "model.safetensors"), "the weights");
    let last = server.requests().pop().unwrap();
    assert!(last.contains("range: bytes=3-"), "{last}");
    assert_eq!(names(&root.join("blobs")).len(), 3, "nothing is left over");
}

#[test]
fn a_file_of_another_size_or_hash_is_not_kept() {
    for (header, what) in [
        ("x-linked-size: 12", "another size"),
        ("x-linked-size: 7", "another size"),
        ("x-linked-size: 11", "another SHA-256"),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let mut whole = repository(MODEL);
        let server = Server::start(move |request| {
            let mut reply = whole(request);
            if request.contains("model.safetensors") {
                let etag = format!("x-linked-etag: \"{}\"", sha256("others"));
                reply.headers = vec![etag, header.to_owned()];
            }
            reply
        });
        let found = resolve(&hub(cache.path(), &server), "org/model");
        fails(found, ErrorKind::Io, &[what, "model.safetensors", "again"]);
        let root = cache.path().join("models--org--model");
        assert!(!root.join("snapshots").exists());
        let small = ["small-config.json", "small-tokenizer.json"];
        assert_eq!(names(&root.join("blobs")), small, "{header}");
    }
}

#[test]
fn the_token_is_for_the_hub_and_not_for_those_it_redirects_to() {
    let cache = tempfile::tempdir().unwrap();
    let store = Server::start(|request| content(request, b"the weights"));
    let elsewhere = format!("location: {}/large", store.url);
    let mut whole = repository(MODEL);
    let server = Server::start(move |request| {
        let mut reply = whole(request);
        if request.contains("model.safetensors") {
            reply.status = 302;
            reply.body.clear();
            reply.headers.push(elsewhere.clone());
        }
        reply
    });
    let hub = Hub { token: Some("hf_secret".to_owned()), ..hub(cache.path(), &server) };
    let snapshot = resolve(&hub, "org/model").unwrap();
    assert_eq!(read(&snapshot, "model.safetensors"), "the weights");
    let told = |server: &Server| {
        server.requests().iter().filter(|head| head.contains("Bearer hf_secret")).count()
    };
    assert_eq!((told(&server), server.requests().len()), (4, 4));
    assert_eq!((told(&store), store.requests().len()), (0, 1));
}

#[test]
fn several_at_once_download_each_file_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(repository(MODEL));
    let hub = hub(cache.path(), &server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let snapshot = resolve(&hub, "org/model").unwrap();
                assert_eq!(read(&snapshot, "model.safetensors"), "the weights");
            });
        }
    });
    assert_eq!(server.requests().len(), 4);
}

/// Services of a user who asks to stop.
struct Stopping(Arc<AtomicBool>);

impl Services for Stopping {
    fn log(&self, _level: log::Level, _target: &str, _message: &str) {}

    fn progress(&self, _done: u64, _total: u64, _unit: &str) {}

    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    fn resolve(&self, name: &str) -> Result<PathBuf> {
        NoServices.resolve(name)
    }

    fn call(&self, name: &str, json: &str) -> Result<String> {
        NoServices.call(name, json)
    }
}

#[test]
fn a_stop_does_not_wait_for_a_server_that_is_silent() {
    let cache = tempfile::tempdir().unwrap();
    let pressed = Arc::new(AtomicBool::new(false));
    let press = Arc::clone(&pressed);
    let server = Server::start(move |_| {
        press.store(true, Ordering::SeqCst);
        loop {
            std::thread::park();
        }
    });
    let name = HubName::parse("org/model").unwrap();
    let services = Stopping(pressed);
    let start = Instant::now();
    let found = hub(cache.path(), &server).resolve(name, &Context::new(&services, 0, 1));
    fails(found, ErrorKind::Cancelled, &[]);
    assert!(start.elapsed() < Duration::from_secs(5));
}
