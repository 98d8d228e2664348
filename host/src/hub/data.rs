//! What a name of the form `hf://datasets/org/name@revision/path` stands for.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use deft_core::{Error, Result, excerpt};
use glob::{MatchOptions, Pattern};

use super::{HubName, Kind, is_plain};
use crate::pool::WILD;

/// What the name of a data set begins with.
pub(super) const START: &str = "hf://datasets/";

const FORM: &str = "write `hf://datasets/ORG/NAME/PATH` or `hf://datasets/ORG/NAME@REVISION/PATH`; \
                    PATH is a file, a folder or a glob";

/// As the globs of local sources: `*` stays within a folder.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Most names that a message has of a folder.
const SHOWN: usize = 8;

/// A file, a folder or a glob in a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubData {
    repository: String,
    revision: String,
    /// Steps separated by `/`, none of them hidden.
    path: String,
    pattern: Option<Pattern>,
}

/// What of a list of files a name stands for, in the order of bytes.
#[derive(Debug)]
pub(super) struct Chosen<'a> {
    /// Files and folders, none below another.
    pub(super) paths: Vec<&'a str>,
    /// These files, and all in these folders.
    pub(super) files: Vec<&'a str>,
}

/// Files and folders of a data set in the cache, in the order of bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HubFiles {
    /// Where each is.
    pub(crate) paths: Vec<PathBuf>,
    /// The path of each within the data set.
    pub(crate) names: Vec<String>,
}

impl HubFiles {
    pub(super) fn of(chosen: &Chosen<'_>, snapshot: &Path) -> Self {
        Self {
            paths: chosen.paths.iter().map(|path| snapshot.join(path)).collect(),
            names: chosen.paths.iter().map(|&path| path.to_owned()).collect(),
        }
    }

    /// The one file that is named, if it is there.
    pub(super) fn alone(data: &HubData, snapshot: &Path) -> Option<Self> {
        let path = snapshot.join(&data.path);
        path.is_file().then(|| Self { paths: vec![path], names: vec![data.path.clone()] })
    }
}

impl HubData {
    /// What a source names, if that is something of the hub and no local path.
    ///
    /// # Errors
    ///
    /// [`deft_core::ErrorKind::Options`] for a name that begins as one of the hub and is none.
    pub(crate) fn parse(source: &str) -> Result<Option<Self>> {
        if Self::is_meant(source) { Self::of(source).map(Some) } else { Ok(None) }
    }

    /// Whether a source means something of the hub, be it well written or not.
    pub(crate) fn is_meant(source: &str) -> bool {
        source.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("hf:"))
    }

    fn of(source: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::option_at("", format!("`{}` {what}", excerpt(source))).with_hint(FORM)
        };
        let rest = source.strip_prefix(START).ok_or_else(|| {
            wrong(if source.starts_with("hf://") {
                "is no data set: after `hf://` comes `datasets/`"
            } else {
                "is misspelt: a data set of the hub begins with `hf://datasets/`"
            })
        })?;
        let (org, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, rest) = rest.split_at(rest.find(['/', '@']).unwrap_or(rest.len()));
        let (revision, path) = match rest.strip_prefix('@') {
            None => ("main".to_owned(), rest),
            Some(rest) => split_revision(rest),
        };
        if !is_plain(org) || !is_plain(name) {
            return Err(wrong("names no data set: organisation and name are missing or wrong"));
        }
        if !revision.split('/').all(is_plain) {
            return Err(wrong("has no branch, tag or commit after `@`"));
        }
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Err(wrong("names no file of the data set"));
        }
        if !is_visible(path) {
            return Err(wrong("has an empty or a hidden step in its path"));
        }
        let pattern = path.contains(WILD).then(|| Pattern::new(path)).transpose();
        let pattern = pattern.map_err(|error| wrong(&format!("is no glob: {error}")))?;
        Ok(Self { repository: format!("{org}/{name}"), revision, path: path.to_owned(), pattern })
    }

    /// The repository with the revision.
    pub(super) fn name(&self) -> HubName<'_> {
        HubName { kind: Kind::DataSet, repository: &self.repository, revision: &self.revision }
    }

    /// The path in the repository, which may be a glob.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What of all files is meant: what has exactly this name, or else what the glob matches. A
    /// folder stands for all below it; nothing hidden is meant. None if there is nothing.
    pub(super) fn choose<'a>(&self, all: &'a [String]) -> Option<Chosen<'a>> {
        let exact = choose(all, |path| path == self.path);
        exact.or_else(|| {
            let pattern = self.pattern.as_ref()?;
            choose(all, |path| pattern.matches_with(path, OPTIONS))
        })
    }

    /// What is there in place of what was named, for a hint.
    pub(super) fn nearest(&self, all: &[String]) -> String {
        let visible = || all.iter().map(String::as_str).filter(|file| is_visible(file));
        // As far as the path leads, with a slash at its end.
        let mut folder = String::new();
        let mut missing = "";
        for step in self.path.split('/') {
            let deeper = format!("{folder}{step}/");
            missing = step;
            if step.contains(WILD) || !visible().any(|file| file.starts_with(&deeper)) {
                break;
            }
            folder = deeper;
        }
        let names: BTreeSet<&str> = visible()
            .filter_map(|file| file.strip_prefix(&folder)?.split_inclusive('/').next())
            .collect();
        let place = if folder.is_empty() { "it".to_owned() } else { format!("`{folder}`") };
        let bare = names.iter().map(|name| name.trim_end_matches('/'));
        let meant = deft_core::options::nearest(missing, bare)
            .filter(|_| !missing.contains(WILD))
            .map_or_else(String::new, |name| format!("did you mean `{name}`? "));
        let shown: Vec<&str> = names.iter().take(SHOWN).copied().collect();
        let more =
            if names.len() > SHOWN { format!(", … ({})", names.len()) } else { String::new() };
        format!("{meant}{place} has: {}{more}", shown.join(", "))
    }
}

impl fmt::Display for HubData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name(), self.path)
    }
}

/// The revision at the start of a text, and the rest. The hub's own names of revisions have slashes,
/// as they are or as `%2F`.
fn split_revision(text: &str) -> (String, &str) {
    let is_own = ["refs/convert/", "refs/pr/"].iter().any(|own| text.starts_with(own));
    let slash = if is_own { 2 } else { 0 };
    let end = text.match_indices('/').nth(slash).map_or(text.len(), |(end, _)| end);
    (text[..end].replace("%2F", "/").replace("%2f", "/"), &text[end..])
}

/// Whether every step of a path is a name, and none is hidden. Names of the hub that are none would
/// lead out of the cache's folder.
fn is_visible(path: &str) -> bool {
    let is_name = |step: &str| !step.is_empty() && !step.starts_with('.');
    path.split('/').all(is_name) && !path.contains(char::is_control)
}

/// The files and folders that fit, each file by the topmost that has it.
fn choose(all: &[String], fits: impl Fn(&str) -> bool) -> Option<Chosen<'_>> {
    let (mut paths, mut files) = (BTreeSet::new(), BTreeSet::new());
    for file in all.iter().map(String::as_str).filter(|file| is_visible(file)) {
        let folders = file.match_indices('/').map(|(end, _)| &file[..end]);
        if let Some(path) = folders.chain([file]).find(|path| fits(path)) {
            paths.insert(path);
            files.insert(file);
        }
    }
    let chosen = Chosen { paths: paths.into_iter().collect(), files: files.into_iter().collect() };
    (!chosen.files.is_empty()).then_some(chosen)
}
