//! Models and data sets of the Hugging Face Hub, from a hub on this machine.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deft_e2e::{Deft, Project, RETRIEVER_BM25, RETRIEVER_DENSE, TRAINER};
use serde_json::json;

const COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A hub with one repository; it lives as long as the process.
struct Hub {
    url: String,
    requests: Arc<AtomicUsize>,
}

/// What a hub has.
struct Repository {
    /// Where its list of files is asked for.
    list: &'static str,
    /// What the addresses of its files begin with.
    files: String,
    contents: Vec<(String, String)>,
}

impl Hub {
    /// Serves the description and the tokenizer of a folder as the model `tiny/t5`, which has no
    /// weights.
    fn serve(model: &Path) -> Self {
        let read = |name: &str| (name.to_owned(), fs::read_to_string(model.join(name)).unwrap());
        Self::start(Repository {
            list: "/api/models/tiny/t5/revision/v1",
            files: format!("/tiny/t5/resolve/{COMMIT}/"),
            contents: ["config.json", "tokenizer.json"].map(read).to_vec(),
        })
    }

    /// Serves the pool of a project in two files, its queries and its evaluation examples as the
    /// data set `tiny/set`.
    fn serve_data(project: &Project) -> Self {
        let read = |name: &str| fs::read_to_string(project.path(name)).unwrap();
        let pool = read("pool.jsonl");
        let half = pool.match_indices('\n').nth(499).unwrap().0 + 1;
        let (queries, evaluation) = (read("queries.jsonl"), read("evaluation.jsonl"));
        let contents = [
            ("README.md", "Not a pool."),
            ("pool/0.jsonl", &pool[..half]),
            ("pool/1.jsonl", &pool[half..]),
            ("task/queries.jsonl", queries.as_str()),
            ("task/evaluation.jsonl", evaluation.as_str()),
        ];
        Self::start(Repository {
            list: "/api/datasets/tiny/set/revision/refs%2Fconvert%2Fparquet",
            files: format!("/datasets/tiny/set/resolve/{COMMIT}/"),
            contents: contents.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec(),
        })
    }

    fn start(repository: Repository) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                answer(&stream.unwrap(), &repository);
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: &TcpStream, repository: &Repository) {
    let Repository { list, files, contents } = repository;
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    let _rest = lines.take_while(|line| !line.is_empty()).count();
    let path = first.split(' ').nth(1).unwrap();
    let name = path.strip_prefix(files.as_str());
    let found = contents.iter().find(|(file, _)| Some(file.as_str()) == name);
    let (etag, body) = if let Some((file, body)) = found {
        (file.replace('/', "-"), body.clone())
    } else {
        assert_eq!(path, *list);
        let siblings = contents.iter().map(|(file, _)| json!({ "rfilename": file }));
        let siblings: Vec<_> = siblings.collect();
        ("list".to_owned(), json!({ "sha": COMMIT, "siblings": siblings }).to_string())
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

const DATA: &str = "hf://datasets/tiny/set@refs/convert/parquet";

/// Names every source of the project's manifest as a file of the hub, the pool's in a list.
fn name_sources_of_hub(project: &Project) {
    let manifest = fs::read_to_string(project.path("manifest.yaml")).unwrap();
    let manifest = manifest
        .replace("source: pool.jsonl", "source: { list: lists/pool.txt }")
        .replace("query_source: ", &format!("query_source: {DATA}/task/"))
        .replace("evaluation_source: ", &format!("evaluation_source: {DATA}/task/"));
    project.write("manifest.yaml", &manifest);
    project.write("lists/pool.txt", &format!("# The pool\n\n{DATA}/pool/*.jsonl\n"));
}

#[test]
fn a_pool_and_a_task_of_the_hub_are_fetched_once_and_give_what_local_files_give() {
    let project = Project::new();
    let hub = Hub::serve_data(&project);
    project.manifest(&[RETRIEVER_BM25, TRAINER]);
    let outcome = || {
        let task = project.path("runs/small/tasks/mood");
        ["retrieved/selection.jsonl", "retrieved/seed-1/predictions.jsonl"]
            .map(|name| fs::read_to_string(task.join(name)).unwrap())
    };
    project.deft("run").succeed();
    let local = outcome();
    for name in ["runs", "pool.jsonl", "queries.jsonl", "evaluation.jsonl"] {
        let path = project.path(name);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.unwrap();
    }
    name_sources_of_hub(&project);

    on_hub(project.deft("check"), &hub, &project).succeed();
    let plan = on_hub(project.deft("plan"), &hub, &project).run();
    assert_eq!(plan.code, 1, "{}", plan.stderr);
    assert!(plan.stderr.contains("lists/pool.txt:3"), "{}", plan.stderr);
    assert!(plan.stderr.contains("`deft fetch MANIFEST` does"), "{}", plan.stderr);
    assert_eq!(hub.requests(), 0, "neither opens a connection");

    let fetched = on_hub(project.deft("fetch"), &hub, &project).succeed();
    let snapshot = project.path("cache/datasets--tiny--set/snapshots").join(COMMIT);
    let lines = [
        ("pool/*.jsonl", "pool/0.jsonl"),
        ("pool/*.jsonl", "pool/1.jsonl"),
        ("task/queries.jsonl", "task/queries.jsonl"),
        ("task/evaluation.jsonl", "task/evaluation.jsonl"),
    ]
    .map(|(source, file)| format!("{DATA}/{source}\t{}\n", snapshot.join(file).display()));
    assert_eq!(fetched.stdout, lines.concat());
    assert_eq!(hub.requests(), 5, "the list of files, and four of them");

    on_hub(project.deft("run"), &hub, &project).env("HF_HUB_OFFLINE", "1").succeed();
    assert_eq!(outcome(), local);
    on_hub(project.deft("run"), &hub, &project).succeed();
    assert_eq!(hub.requests(), 5, "what is in the cache is not asked for again");
}

#[test]
fn a_run_downloads_the_sources_that_it_needs_and_says_where_a_wrong_one_is_named() {
    let project = Project::new();
    let hub = Hub::serve_data(&project);
    project.manifest(&[RETRIEVER_BM25]);
    name_sources_of_hub(&project);
    let output = on_hub(project.deft("retrieve"), &hub, &project).succeed();
    let said = format!("downloading {DATA}/pool/*.jsonl from http://127.");
    assert!(output.stderr.contains(&said), "{}", output.stderr);

    let task = "manifest.yaml:10:";
    let elsewhere = format!("query_source: {DATA}/tasks/");
    for (wrong, code, parts) in [
        ("query_source: hf:/datasets/tiny/set/", 2, ["is misspelt", task]),
        (elsewhere.as_str(), 2, ["did you mean `task`?", task]),
        ("query_source: hf://datasets/tiny/other@v1/", 1, ["HF_HUB_OFFLINE", task]),
    ] {
        let manifest = fs::read_to_string(project.path("manifest.yaml")).unwrap();
        let right = format!("query_source: {DATA}/task/");
        project.write("manifest.yaml", &manifest.replace(&right, wrong));
        let call = on_hub(project.deft("retrieve"), &hub, &project).env("HF_HUB_OFFLINE", "1");
        let output = call.run();
        project.write("manifest.yaml", &manifest);
        assert_eq!(output.code, code, "{}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "no «{part}» in {}", output.stderr);
        }
    }
}

#[test]
fn one_component_reads_a_file_of_the_hub() {
    let project = Project::new();
    let hub = Hub::serve_data(&project);
    let read = |source: &str| {
        let call = Deft::new(&["read", "--reader", "p3", "--limit", "2", "--source"]).arg(source);
        on_hub(call, &hub, &project)
    };
    let local = read(&project.path("queries.jsonl").display().to_string()).succeed();
    let output = read(&format!("{DATA}/task/queries.jsonl")).succeed();
    assert_eq!(output.stdout, local.stdout);
    assert_eq!(output.stdout.lines().count(), 2);
    let output = read(&format!("{DATA}/task/query.jsonl")).run();
    assert_eq!(output.code, 2, "{}", output.stderr);
    assert!(output.stderr.contains("evaluation.jsonl, queries.jsonl"), "{}", output.stderr);
}
