//! Names of the Hugging Face Hub, as the host takes them: `org/name` or `org/name@revision`.

use std::path::Path;

/// `org/name@commit` for a folder of the hub's cache, `models--org--name/snapshots/commit`.
pub(crate) fn name_of(dir: &Path) -> Option<String> {
    let commit = dir.file_name()?.to_str()?;
    let snapshots = dir.parent().filter(|dir| dir.ends_with("snapshots"))?;
    let repository = snapshots.parent()?.file_name()?.to_str()?.strip_prefix("models--")?;
    let (org, name) = repository.split_once("--")?;
    Some(format!("{org}/{name}@{commit}"))
}

/// The two parts of `org/name@revision`; a path has none.
pub(crate) fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((repository, revision)) if is_repository(repository) => (repository, Some(revision)),
        _ => (name, None),
    }
}

/// The name of a revision; a path, or a name that has a revision, stays as it is.
pub(crate) fn join(name: String, revision: Option<&str>) -> String {
    match revision {
        Some(revision) if is_repository(&name) => format!("{name}@{revision}"),
        _ => name,
    }
}

/// Whether a text is `org/name` by its form.
pub(crate) fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain)
    };
    name.split_once('/').is_some_and(|(org, model)| is_part(org) && is_part(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_cache_is_named_with_its_commit() {
        let name = |path: &str| name_of(Path::new(path));
        let cached = name("/cache/hub/models--google--t5-small/snapshots/abc123");
        assert_eq!(cached.as_deref(), Some("google/t5-small@abc123"));
        for other in ["/data/models/tiny", "/data/snapshots/abc", "snapshots", "/"] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn names_have_revisions_and_paths_have_none() {
        for (whole, parts) in [
            ("org/name@v1", ("org/name", Some("v1"))),
            ("org/name", ("org/name", None)),
            ("/home/me@work/model", ("/home/me@work/model", None)),
            ("./org@work/name", ("./org@work/name", None)),
        ] {
            assert_eq!(split(whole), parts);
            assert_eq!(join(parts.0.to_owned(), parts.1), whole);
        }
        assert_eq!(join("/data/model".to_owned(), Some("main")), "/data/model");
        assert_eq!(join("org/name@v1".to_owned(), Some("v2")), "org/name@v1");
    }
}
