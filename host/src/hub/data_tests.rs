//! Tests of data sets, from a hub on this machine.

use std::fs;
use std::path::Path;

use deft_core::NoServices;
use serde_json::json;

use super::server::{Reply, Server};
use super::tests::{COMMIT, content, fails, hub, names, read, sha256};
use super::*;

const FILES: &[(&str, &str)] = &[
    (".gitattributes", "hidden"),
    ("README.md", "words"),
    ("a_b/train/0000.parquet", "a train"),
    ("a_b/train/0001.parquet", "more of a"),
    ("a_b/validation/0000.parquet", "a validation"),
    ("c/partial-train/0000.parquet", "c train"),
    ("odd name/\u{fc}.jsonl", "odd"),
];

const CONVERTED: &str = "hf://datasets/org/set@refs/convert/parquet";

/// Answers as the hub does for the data set `org/set`; Parquet files are large ones.
fn data_set(request: &str) -> Reply {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let revisions = ["main", "refs%2Fconvert%2Fparquet", COMMIT];
    let revision = path.strip_prefix("/api/datasets/org/set/revision/");
    if revision.is_some_and(|revision| revisions.contains(&revision)) {
        let siblings: Vec<_> = FILES.iter().map(|(file, _)| json!({ "rfilename": file })).collect();
        let body = json!({ "sha": COMMIT, "siblings": siblings }).to_string().into_bytes();
        return Reply { body, ..Reply::of(200, &[]) };
    }
    let name = path.strip_prefix(&format!("/datasets/org/set/resolve/{COMMIT}/"));
    let name = name.unwrap_or_default().replace("%20", " ").replace("%C3%BC", "\u{fc}");
    let Some((file, body)) = FILES.iter().find(|(file, _)| *file == name) else {
        return Reply::of(404, &["x-error-code: EntryNotFound"]);
    };
    let mut reply = content(request, body.as_bytes());
    let etag =
        if file.ends_with("parquet") { sha256(body) } else { format!("small-{}", body.len()) };
    reply.headers.push(format!("x-linked-etag: \"{etag}\""));
    reply.headers.push(format!("x-linked-size: {}", body.len()));
    reply
}

fn data(source: &str) -> HubData {
    HubData::parse(source).unwrap().unwrap()
}

fn get(hub: &Hub, source: &str) -> Result<HubFiles> {
    hub.data(&data(source), &Context::new(&NoServices, 0, 1))
}

fn snapshot(cache: &Path) -> PathBuf {
    cache.join("datasets--org--set/snapshots").join(COMMIT)
}

#[test]
fn names_have_a_revision_with_or_without_slashes() {
    let parse = |text: &str| HubData::parse(text).unwrap().map(|data| data.to_string());
    for (text, wanted) in [
        ("hf://datasets/a/b/c.jsonl", "hf://datasets/a/b@main/c.jsonl"),
        ("hf://datasets/a/b@v2/c/", "hf://datasets/a/b@v2/c"),
        (
            "hf://datasets/a/b@refs/convert/parquet/c/*",
            "hf://datasets/a/b@refs/convert/parquet/c/*",
        ),
        ("hf://datasets/a/b@refs%2Fpr%2F7/c", "hf://datasets/a/b@refs/pr/7/c"),
        ("hf://datasets/a/b@refs/pr/7/c", "hf://datasets/a/b@refs/pr/7/c"),
        ("hf://datasets/a/b/c@d", "hf://datasets/a/b@main/c@d"),
    ] {
        assert_eq!(parse(text).unwrap(), wanted);
    }
    for text in ["data/a.jsonl", "datasets/a/b/c", "/hf/a", ""] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn a_name_that_is_none_says_what_is_wrong() {
    for (text, says) in [
        ("hf:/datasets/a/b/c", "is misspelt"),
        ("HF://datasets/a/b/c", "is misspelt"),
        ("hf://a/b", "is no data set"),
        ("hf://datasets/a", "names no data set"),
        ("hf://datasets/../b/c", "names no data set"),
        ("hf://datasets/a/b", "names no file"),
        ("hf://datasets/a/b@v1", "names no file"),
        ("hf://datasets/a/b@refs/convert/parquet", "names no file"),
        ("hf://datasets/a/b@/c", "has no branch"),
        ("hf://datasets/a/b@..%2Fx/c", "has no branch"),
        ("hf://datasets/a/b/../c", "hidden step"),
        ("hf://datasets/a/b/c//d", "empty or a hidden step"),
        ("hf://datasets/a/b/c[", "is no glob"),
    ] {
        fails(
            HubData::parse(text),
            ErrorKind::Options,
            &[text, says, "hf://datasets/ORG/NAME/PATH"],
        );
    }
}

#[test]
fn what_a_glob_matches_is_downloaded_once_and_found_again_without_a_connection() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(data_set);
    let hub = hub(cache.path(), &server);
    let source = format!("{CONVERTED}/*/*train/*.parquet");
    assert_eq!(hub.known(&data(&source)).unwrap(), None);
    assert!(server.requests().is_empty(), "what is known is known without a connection");

    let found = get(&hub, &source).unwrap();
    let wanted =
        ["a_b/train/0000.parquet", "a_b/train/0001.parquet", "c/partial-train/0000.parquet"];
    assert_eq!(found.names, wanted);
    let snapshot = snapshot(cache.path());
    assert_eq!(found.paths, wanted.map(|name| snapshot.join(name)));
    assert_eq!(fs::read_to_string(&found.paths[1]).unwrap(), "more of a");
    let link = fs::read_link(&found.paths[0]).unwrap();
    assert_eq!(link, Path::new("../../../../blobs").join(sha256("a train")));
    let root = cache.path().join("datasets--org--set");
    assert_eq!(read(&root, "refs/refs/convert/parquet"), COMMIT);
    assert_eq!(names(&snapshot), ["a_b", "c"]);
    // Python's library takes what is beside the files of a commit for such a file.
    assert_eq!(names(&root.join("snapshots")), [COMMIT]);
    assert_eq!(server.requests().len(), 4);

    let offline = Hub { offline: true, ..hub };
    let same = "hf://datasets/org/set@refs%2Fconvert%2Fparquet/*/*train/*.parquet";
    let by_commit = format!("hf://datasets/org/set@{COMMIT}/*/*train/*.parquet");
    for source in [source.as_str(), same, by_commit.as_str()] {
        assert_eq!(get(&offline, source).unwrap(), found);
        assert_eq!(offline.known(&data(source)).unwrap().as_ref(), Some(&found));
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_folder_is_all_below_it_and_the_list_of_files_is_asked_for_once() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(data_set);
    let hub = hub(cache.path(), &server);
    let one = get(&hub, &format!("{CONVERTED}/a_b/train/0001.parquet")).unwrap();
    assert_eq!(one.names, ["a_b/train/0001.parquet"]);
    assert_eq!(server.requests().len(), 2);
    let folder = get(&hub, &format!("{CONVERTED}/a_b")).unwrap();
    assert_eq!(folder.paths, [snapshot(cache.path()).join("a_b")]);
    assert_eq!(names(&folder.paths[0].join("train")), ["0000.parquet", "0001.parquet"]);
    assert_eq!(names(&folder.paths[0].join("validation")), ["0000.parquet"]);
    assert_eq!(server.requests().len(), 4, "two more files, and no list");
    // What is hidden is not meant; a folder that matches stands for what is in it.
    let all = get(&hub, &format!("{CONVERTED}/*")).unwrap();
    assert_eq!(all.names, ["README.md", "a_b", "c", "odd name"]);
    assert_eq!(fs::read_to_string(all.paths[3].join("\u{fc}.jsonl")).unwrap(), "odd");
}

#[test]
fn of_what_has_gone_from_the_cache_nothing_is_taken_for_all() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(data_set);
    let hub = hub(cache.path(), &server);
    let source = format!("{CONVERTED}/a_b/train/*.parquet");
    let found = get(&hub, &source).unwrap();
    fs::remove_file(&found.paths[0]).unwrap();
    assert_eq!(hub.known(&data(&source)).unwrap(), None);
    let offline = Hub { offline: true, ..hub };
    let parts = ["org/set@refs/convert/parquet", "HF_HUB_OFFLINE", "--repo-type dataset"];
    fails(get(&offline, &source), ErrorKind::Data, &parts);
    assert!(!offline.may_have(&data(&source)));
    let asked = server.requests().len();
    let online = Hub { offline: false, ..offline };
    assert!(online.may_have(&data(&source)));
    assert_eq!(get(&online, &source).unwrap(), found);
    assert_eq!(server.requests().len(), asked + 1);
}

#[test]
fn where_nothing_is_the_names_that_are_there_are_told() {
    for (path, parts) in [
        ("a_b/trian/*.parquet", ["nothing is at `a_b/trian/*.parquet`", "did you mean `train`?"]),
        ("a_b/*.parquet", ["nothing is at", "`a_b/` has: train/, validation/"]),
        ("*.txt", ["nothing is at", "it has: README.md, a_b/, c/, odd name/"]),
        ("README", ["nothing is at `README`", "it has: README.md"]),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(data_set);
        let hub = hub(cache.path(), &server);
        let source = format!("{CONVERTED}/{path}");
        fails(get(&hub, &source), ErrorKind::Options, &parts);
        // A branch is not held for a name that nothing has.
        assert!(!cache.path().join("datasets--org--set/refs/refs").exists());
        let found = get(&hub, &format!("{CONVERTED}/c"));
        assert_eq!(found.unwrap().names, ["c"]);
        let noted = "refs/refs/convert/parquet to look again";
        fails(hub.known(&data(&source)), ErrorKind::Options, &[parts[0], noted]);
    }
}

#[test]
fn what_python_left_is_used_offline_and_completed_online() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(data_set);
    let hub = hub(cache.path(), &server);
    let folder = snapshot(cache.path()).join("a_b/train");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("0001.parquet"), "more of a").unwrap();
    let at = format!("hf://datasets/org/set@{COMMIT}/a_b/train");
    let alone = get(&hub, &format!("{at}/0001.parquet")).unwrap();
    assert_eq!(alone.names, ["a_b/train/0001.parquet"]);
    let offline = Hub { offline: true, ..hub };
    let glob = format!("{at}/*.parquet");
    assert_eq!(offline.known(&data(&glob)).unwrap(), None);
    assert_eq!(get(&offline, &glob).unwrap(), alone);
    assert!(server.requests().is_empty());
    let online = Hub { offline: false, ..offline };
    assert_eq!(get(&online, &glob).unwrap().names.len(), 2);
    assert_eq!(server.requests().len(), 2, "the list, and the other file");
}

#[test]
fn a_download_that_was_cut_goes_on_and_keeps_the_files_before() {
    let cache = tempfile::tempdir().unwrap();
    let mut cuts = 1;
    let server = Server::start(move |request| {
        let mut reply = data_set(request);
        if request.contains("0001.parquet") && cuts > 0 {
            cuts -= 1;
            reply.cut = Some(4);
        }
        reply
    });
    let hub = hub(cache.path(), &server);
    let source = format!("{CONVERTED}/a_b/train");
    fails(get(&hub, &source), ErrorKind::Io, &["cannot be downloaded"]);
    assert_eq!(names(&snapshot(cache.path()).join("a_b/train")), ["0000.parquet"]);
    let before = server.requests().len();
    let found = get(&hub, &source).unwrap();
    assert_eq!(read(&found.paths[0], "0001.parquet"), "more of a");
    let asked = server.requests()[before..].to_vec();
    assert!(asked.last().unwrap().contains("range: bytes=4-"), "{asked:?}");
    assert!(!asked.iter().any(|request| request.contains("0000.parquet")), "{asked:?}");
}

#[test]
fn each_refusal_speaks_of_a_data_set() {
    for (status, code, parts) in [
        (404, "RepoNotFound", ["no data set `org/set`", "/datasets/org/set"]),
        (
            404,
            "RevisionNotFound",
            ["the data set `org/set` has no revision `v9`", "/datasets/org/set"],
        ),
        (401, "RepoNotFound", ["or there is no such data set", "HF_TOKEN"]),
        (403, "GatedRepo", ["a gated data set's terms", "HF_TOKEN"]),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let code = format!("x-error-code: {code}");
        let server = Server::start(move |_| Reply::of(status, &[&code]));
        let found = get(&hub(cache.path(), &server), "hf://datasets/org/set@v9/a");
        fails(found, ErrorKind::Data, &parts);
    }
}

#[test]
fn names_that_lead_out_of_the_cache_are_not_among_the_files() {
    let all = ["../up", "a/../../up", "/root", "a//b", "a/.hidden", "a/b\n", "a/b"];
    let all = all.map(str::to_owned);
    for source in ["hf://datasets/org/set/**", "hf://datasets/org/set/*", "hf://datasets/org/set/a"]
    {
        assert_eq!(data(source).choose(&all).unwrap().files, ["a/b"], "{source}");
    }
}
