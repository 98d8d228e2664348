//! What a source names: files and folders here, or in a data set of the Hugging Face Hub.

use std::ops::{Deref, Range};
use std::path::{Component, Path, PathBuf};

use deft_core::{Context, Error, ErrorKind, Result, ResultExt};

use crate::hub::{Hub, HubData, HubFiles};

/// What makes a source a glob.
pub(crate) const WILD: [char; 3] = ['*', '?', '['];

/// Files and folders that a source names, in order.
#[derive(Debug, Clone, Default)]
pub struct SourcePaths {
    paths: Vec<PathBuf>,
    /// What each is called, wherever its folder lies.
    names: Vec<String>,
    /// The globs among what named them.
    globs: Vec<Glob>,
}

/// A glob, and which of the paths it matches.
#[derive(Debug, Clone)]
struct Glob {
    pattern: String,
    matches: Range<usize>,
}

impl From<Vec<PathBuf>> for SourcePaths {
    fn from(paths: Vec<PathBuf>) -> Self {
        let names = paths.iter().map(|path| file_name(path)).collect();
        Self { paths, names, globs: Vec::new() }
    }
}

impl From<HubFiles> for SourcePaths {
    /// A commit's files do not change: no glob is looked at again.
    fn from(HubFiles { paths, names }: HubFiles) -> Self {
        Self { paths, names, globs: Vec::new() }
    }
}

impl Deref for SourcePaths {
    type Target = [PathBuf];

    fn deref(&self) -> &[PathBuf] {
        &self.paths
    }
}

impl SourcePaths {
    /// What each is called, wherever its folder lies: its name; of a glob's matches the path below
    /// the folder that the glob starts in; in a data set of the hub the path there.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Adds what another source names, after what is there.
    pub(crate) fn append(&mut self, other: Self) {
        let before = self.paths.len();
        self.paths.extend(other.paths);
        self.names.extend(other.names);
        self.globs.extend(other.globs.into_iter().map(|Glob { pattern, matches }| Glob {
            pattern,
            matches: matches.start + before..matches.end + before,
        }));
    }

    /// Makes sure that every glob still matches what it matched, after that was read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] naming a path that has come or gone; [`ErrorKind::Io`] as
    /// [`expand_source`].
    pub fn check_unchanged(&self) -> Result<()> {
        self.globs
            .iter()
            .try_for_each(|glob| check_matches(&glob.pattern, &self.paths[glob.matches.clone()]))
    }
}

fn check_matches(pattern: &str, before: &[PathBuf]) -> Result<()> {
    let matches =
        glob::glob(pattern).or_error(ErrorKind::Unexpected, "the source is no glob any more")?;
    let now = sorted(matches)?;
    if now == before {
        return Ok(());
    }
    let come = now.iter().find(|path| !before.contains(path));
    let other = come.or_else(|| before.iter().find(|path| !now.contains(path)));
    let path = other.map(|path| path.display().to_string()).unwrap_or_default();
    Err(Error::new(ErrorKind::Data, "the files of the source changed while it was read")
        .with_context(if come.is_some() { "new" } else { "gone" }, path)
        .with_hint("run again once nothing is added or removed any more"))
}

/// Files and folders that a source names: itself, or what its glob matches, sorted by bytes. What is
/// in a data set of the hub and not in the cache is downloaded.
///
/// # Errors
///
/// [`ErrorKind::Options`] when nothing is there; [`ErrorKind::Io`] naming a file or folder that
/// cannot be read, or when the network fails; [`ErrorKind::Data`] when the hub does not give out what
/// is named; [`ErrorKind::Cancelled`].
pub fn expand_source(source: &str, base: &Path, ctx: &Context<'_>) -> Result<SourcePaths> {
    match HubData::parse(source)? {
        Some(data) => Hub::from_env()?.data(&data, ctx).map(SourcePaths::from),
        None => expand_local(source, base),
    }
}

/// The same without a connection: none for a data set of the hub of which not all that is named is in
/// the cache.
///
/// # Errors
///
/// As [`expand_source`].
pub(crate) fn known_source(source: &str, base: &Path) -> Result<Option<SourcePaths>> {
    match HubData::parse(source)? {
        Some(data) => Ok(Hub::from_env()?.known(&data)?.map(SourcePaths::from)),
        None => expand_local(source, base).map(Some),
    }
}

/// Whether a source means a data set of the hub.
pub(crate) fn is_of_hub(source: &str) -> bool {
    HubData::is_meant(source)
}

/// Whether a source is still to be downloaded, in part at least.
///
/// # Errors
///
/// As [`known_source`], but for local sources, which are not looked at.
pub(crate) fn needs_download(source: &str) -> Result<bool> {
    match HubData::parse(source)? {
        Some(data) => Ok(!Hub::from_env()?.has(&data)?),
        None => Ok(false),
    }
}

fn expand_local(source: &str, base: &Path) -> Result<SourcePaths> {
    if source.is_empty() {
        return Err(Error::option_at("", "the source is empty: name a file, a folder or a glob"));
    }
    let path = base.join(source);
    if path.exists() {
        check_readable(&path)?;
        return Ok(vec![path].into());
    }
    let nothing = || {
        Error::option_at("", format!("nothing is at `{source}`"))
            .with_context("looked at", path.display())
            .with_hint(relative_to(base))
    };
    let pattern = path.to_str().filter(|_| source.contains(WILD)).ok_or_else(nothing)?;
    let matches = glob::glob(pattern)
        .map_err(|error| Error::option_at("", format!("`{source}` is no glob: {error}")))?;
    let paths = sorted(matches)?;
    paths.iter().try_for_each(|path| check_readable(path))?;
    if paths.is_empty() {
        return Err(nothing());
    }
    let start = start_of(pattern);
    let names = paths.iter().map(|path| name_below(&start, path)).collect();
    let glob = Glob { pattern: pattern.to_owned(), matches: 0..paths.len() };
    Ok(SourcePaths { paths, names, globs: vec![glob] })
}

/// The folder that a glob starts in.
fn start_of(pattern: &str) -> PathBuf {
    let is_wild = |step: &Component<'_>| step.as_os_str().to_string_lossy().contains(WILD);
    plain(Path::new(pattern)).components().take_while(|step| !is_wild(step)).collect()
}

fn name_below(start: &Path, path: &Path) -> String {
    let path = plain(path);
    let below = path.strip_prefix(start).ok().filter(|below| !below.as_os_str().is_empty());
    below.map_or_else(|| file_name(&path), |below| below.to_string_lossy().into_owned())
}

/// A path without `.`, which globs leave out or not.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|step| *step != Component::CurDir).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a source names anything that is there; of the hub, that may be there. A name that is none
/// counts as there: to open it tells what is wrong.
pub(crate) fn is_there(source: &str, base: &Path) -> bool {
    match HubData::parse(source) {
        Ok(None) => is_there_local(source, base),
        Ok(Some(data)) => Hub::from_env().is_ok_and(|hub| hub.may_have(&data)),
        Err(_) => true,
    }
}

fn is_there_local(source: &str, base: &Path) -> bool {
    let path = base.join(source);
    let matches = || glob::glob(path.to_str()?).ok()?.find_map(Result::ok);
    let is_glob = source.contains(WILD);
    !source.is_empty() && (path.exists() || (is_glob && matches().is_some()))
}

/// What a glob matches, by bytes. A folder that cannot be searched is an error: left out, the pool
/// would be smaller, and nobody would know.
fn sorted(matches: glob::Paths) -> Result<Vec<PathBuf>> {
    let mut paths = matches.collect::<Result<Vec<_>, _>>().map_err(|error| {
        Error::new(ErrorKind::Io, "cannot search the folder for the source's files")
            .with_context("path", error.path().display())
            .with_source(error.error())
            .with_hint("make it readable, or name the files so that it is not searched")
    })?;
    paths.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
    Ok(paths)
}

/// Refuses what is neither file nor folder (reading a pipe would never end), or may not be read.
fn check_readable(path: &Path) -> Result<()> {
    let metadata = path.metadata().or_io("cannot read the source", path)?;
    if metadata.is_dir() {
        return std::fs::read_dir(path).map(|_| ()).or_io("cannot read the source", path);
    }
    if metadata.is_file() {
        return std::fs::File::open(path).map(|_| ()).or_io("cannot read the source", path);
    }
    Err(Error::option_at("", "the source is neither a file nor a folder")
        .with_context("path", path.display()))
}

/// Where relative paths start, for a hint.
pub(crate) fn relative_to(base: &Path) -> String {
    let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
    format!("relative paths start at {}", base.display())
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
