use super::*;

fn document(text: &str) -> Result<Document> {
    Document::parse(Path::new("m.yaml"), text.as_bytes(), &[])
}

fn place_of(text: &str, option: &str) -> String {
    let located = document(text).unwrap().locate(Error::option_at(option, "wrong"));
    located.context("at").unwrap().to_owned()
}

/// A text is refused at a place, with these words in the message and these in the hint.
fn check_refused(text: &[u8], at: &str, message: &str, hint: &str) {
    let shown = excerpt(&String::from_utf8_lossy(&text[..text.len().min(100)]));
    let error = Document::parse(Path::new("m.yaml"), text, &[]).expect_err(&shown);
    assert_eq!(error.context("at"), Some(at), "{error} for {shown}");
    assert!(error.message().contains(message), "{error} for {shown}");
    assert!(error.hint().is_some_and(|found| found.contains(hint)), "{error} for {shown}");
    let whole = error.to_string();
    assert!(!whole.contains('\n') && whole.len() < 500, "{whole}");
}

#[test]
fn options_are_located_by_line_and_column_through_lists_and_flow_maps() {
    let text = "name: x\npool:\n  - { reader: p3, source: a }\n  - reader:\n      use: p3\n      variant: paper\n";
    assert_eq!(place_of(text, "pool[0].source"), "m.yaml:3:19");
    assert_eq!(place_of(text, "pool[1].reader.variant"), "m.yaml:6:7");
    assert_eq!(place_of(text, "pool[1].reader.unknown.deep"), "m.yaml:4:5");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = "\u{feff}name: x\r\npool:\r\n  - { reader: p3 }\r\n";
    assert_eq!(place_of(text, "name"), "m.yaml:1:1");
    assert_eq!(place_of(text, "pool[0].reader"), "m.yaml:3:7");
    assert_eq!(document(text).unwrap().value()["name"], "x");
    check_refused(b"\xef\xbb\xbfa: 1\r\na: 2\r\n", "m.yaml:2:1", "there twice", "remove or rename");
}

#[test]
fn what_a_manifest_may_not_have_is_refused_with_its_place_and_what_to_do() {
    for (text, at, message, hint) in [
        ("", "m.yaml:1:1", "the manifest is empty", "version: 1"),
        ("# nothing\n", "m.yaml:1:1", "the manifest is empty", "version: 1"),
        ("- 1\n- 2\n", "m.yaml:1:1", "a map of keys and values", "version: 1"),
        ("just text", "m.yaml:1:1", "a map of keys and values", "version: 1"),
        ("a: 1\nb: 2\na: 3\n", "m.yaml:3:1", "`a` is there twice", "remove or rename"),
        ("a:\n  b: 1\n  b: 2\n", "m.yaml:3:3", "`b` is there twice", "remove or rename"),
        ("a: [{ b: { c: 1, c: 2 } }]\n", "m.yaml:1:18", "`c` is there twice", "rename"),
        ("a: 1\n---\nb: 2\n", "m.yaml:2:1", "one YAML document", "two files"),
        ("a:\n\tb: 1\n", "m.yaml:2:1", "no YAML", "spaces, not tabs"),
        ("a:\n  b: 1\n\tc: 1\n", "m.yaml:3:1", "no YAML", "spaces, not tabs"),
        ("a:\n  b: 1\n\n \tc: 1\n", "m.yaml:4:2", "no YAML", "spaces, not tabs"),
        ("a: [1, 2\nb: 3\n", "m.yaml:2:2", "no YAML", "check the indentation"),
        ("a: &x { b: 1 }\nc: { <<: *x }\n", "m.yaml:2:6", "merge keys", "write the block out"),
        ("a: *x\n", "m.yaml:1:4", "no YAML", "marked `&name`"),
        ("a: &x [*x]\n", "m.yaml:1:8", "inside of what it stands for", "write the block out"),
        ("[a, b]: 1\n", "m.yaml:1:1", "a key must be a text", "key: value"),
        ("? { a: 1 }\n: 2\n", "m.yaml:1:3", "a key must be a text", "key: value"),
        ("a: !path b\n", "m.yaml:1:4", "tags (`!path`)", "remove it"),
        ("seed: .nan\n", "m.yaml:1:7", "`.nan` is no number", "finite"),
        ("a: [1, -.INF]\n", "m.yaml:1:8", "`-.INF` is no number", "quote it"),
        ("a: 99999999999999999999999\n", "m.yaml:1:4", "a number is too large", "quote it"),
        ("\"a\\nb\": 1\n", "m.yaml:1:1", "line break", ""),
    ] {
        // Not every one of these has something to advise.
        if hint.is_empty() {
            let error = document(text).expect_err(text);
            assert_eq!(error.context("at"), Some(at), "{error}");
            assert!(error.message().contains(message) && !error.to_string().contains('\n'));
        } else {
            check_refused(text.as_bytes(), at, message, hint);
        }
    }
}

#[test]
fn other_encodings_are_refused_where_they_begin() {
    let utf8 = "not in UTF-8";
    check_refused(b"a: 1\nb: \xc3\xa9\xe9\n", "m.yaml:2:5", utf8, "encoding UTF-8");
    check_refused(b"\xff\xfea\0:\0", "m.yaml:1:1", utf8, "encoding UTF-8");
}

#[test]
fn anchors_repeat_a_block() {
    let text = "a: &x { b: 1 }\nc: *x\nd: [*x, &y z, *y]\n&k e: *k\n";
    let document = document(text).unwrap();
    assert_eq!(document.value()["c"]["b"], 1);
    assert_eq!(document.value()["d"][2], "z");
    assert_eq!(document.value()["e"], "e");
    let error = document.locate(Error::option_at("d[0].b", "wrong"));
    assert_eq!(error.context("at"), Some("m.yaml:3:5"));
}

#[test]
fn aliases_of_aliases_cannot_fill_the_memory() {
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..10 {
        let before = format!("*a{} ", i - 1).repeat(10).trim_end().replace(' ', ", ");
        text = format!("{text}a{i}: &a{i} [{before} ]\n");
    }
    // 10⁶ texts of three letters and their lists are more than 16 bytes each.
    check_refused(text.as_bytes(), "m.yaml:7:25", "larger than 64 MiB", "fewer aliases");
    let long = format!("a: &x \"{}\"\nb: [{}]\n", "y".repeat(1 << 20), "*x , ".repeat(100));
    check_refused(long.as_bytes(), "m.yaml:2:320", "larger than 64 MiB", "fewer aliases");
}

#[test]
fn deep_nesting_is_refused_in_either_style() {
    let deep = "64 levels deep";
    let flow = format!("a: {}1{}\n", "[".repeat(1000), "]".repeat(1000));
    // The parser's own limit comes first where it must look ahead.
    check_refused(flow.as_bytes(), "m.yaml:1:259", deep, "every bracket");
    let block: Vec<String> = (0..1000).map(|i| format!("{}a:\n", " ".repeat(i))).collect();
    check_refused(block.concat().as_bytes(), "m.yaml:65:65", deep, "indentation");
    let lists = format!("a:\n {}1\n", "- ".repeat(1000));
    check_refused(lists.as_bytes(), "m.yaml:2:128", deep, "indentation");
    let open = "[".repeat(4 << 20);
    check_refused(open.as_bytes(), "m.yaml:1:256", deep, "every bracket");
    check_refused(&open.as_bytes()[..100], "m.yaml:1:65", deep, "every bracket");
}

#[test]
fn long_keys_and_long_texts_take_a_short_message() {
    let key = format!("{}: 1\n", "k".repeat(1000));
    let error = document(&key).expect_err("a long key");
    assert!(error.message().contains("longer than 200 bytes") && error.to_string().len() < 300);
    let text = format!("a: \"{}\"\n", "x".repeat(1 << 20));
    assert_eq!(document(&text).unwrap().value()["a"].as_str().unwrap().len(), 1 << 20);
}

#[test]
fn many_keys_take_time_and_memory_in_proportion() {
    let keys: Vec<String> = (0..300_000).map(|i| format!("k{i}: 1\n")).collect();
    let start = std::time::Instant::now();
    assert_eq!(place_of(&keys.concat(), "k299999"), "m.yaml:300000:1");
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_file_of_100_mb_is_refused_after_4() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.yaml");
    File::create(&path).and_then(|file| file.set_len(100 << 20)).unwrap();
    let error = Document::read(&path, &[]).unwrap_err();
    assert_eq!(error.message(), "the manifest is larger than 4 MiB");
    assert_eq!(error.context("at"), Some(path.to_str().unwrap()));
    assert!(error.hint().is_some());
    assert_eq!(Document::read(Path::new("/dev/zero"), &[]).unwrap_err().message(), error.message());
    let error = Document::read(dir.path(), &[]).unwrap_err();
    assert_eq!(error.message(), "cannot read the manifest");
    assert!(error.hint().is_some());
}

#[test]
fn overrides_reach_into_bare_names_and_lists() {
    let text = b"retriever: bm25\npool:\n  - { reader: p3 }\n";
    let parse = |set: &str| Document::parse(Path::new("m.yaml"), text, &[set.to_owned()]);
    let sets = ["retriever.k1=1.2".to_owned(), "pool[0].limit=5".to_owned()];
    let document = Document::parse(Path::new("m.yaml"), text, &sets).unwrap();
    assert_eq!(document.value()["retriever"]["use"], "bm25");
    assert_eq!(document.value()["retriever"]["k1"], 1.2);
    assert_eq!(document.value()["pool"][0]["limit"], 5);
    let error = document.locate(Error::option_at("retriever.k1", "too large"));
    assert_eq!(error.context("at"), Some("--set retriever.k1"));
    // `seed` was set, `seeds` was not.
    let error = parse("seed=3").unwrap().locate(Error::option_at("seeds[0]", "wrong"));
    assert_eq!(error.context("at"), Some("m.yaml"));
    assert!(parse("pool[3].limit=5").is_err());
    for set in ["", "=", "a=", "a", "seed=.nan", "a={b: 1, b: 2}", "a=[", "pool.x=1", "a=!b c"] {
        let error = parse(set).expect_err(set);
        assert_eq!(error.context("at"), Some(format!("--set {set}").as_str()), "{error}");
    }
    assert!(parse("a").unwrap_err().hint().is_some());
    let deep = format!("{}=1", "a.".repeat(100_000));
    assert!(parse(&deep).unwrap_err().message().contains("32 steps"));
}
