//! Downloads into the cache: a file is written beside, checked, and put in its place.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use deft_core::{Context, Error, ErrorKind, Fingerprint, Result, ResultExt};
use sha2::{Digest, Sha256};

use super::cache::Folder;
use super::client::{Answer, Client, Head, Listing};
use super::data::{HubData, HubFiles};
use super::{Hub, HubName, errors, files};
use crate::console::Progress;
use crate::store;

const WRITE: &str = "cannot write to Hugging Face's cache";

/// Bytes of a file whose size the server does not tell: those are small ones.
const LARGEST_UNKNOWN: u64 = 256 << 20;

/// Downloads what a model needs and the cache has not, and returns its folder.
pub(super) fn model(
    hub: &Hub,
    folder: &Folder,
    name: HubName<'_>,
    ctx: Context<'_>,
) -> Result<PathBuf> {
    let _lock = folder.lock(name, &ctx)?;
    let known = folder.commit(name.revision);
    if folder.is_whole(&known) {
        // Whoever had the lock before has downloaded it.
        return Ok(folder.snapshot(&known));
    }
    log::info!("downloading {name} from {}", hub.endpoint);
    folder.prepare()?;
    let client = Client::new(hub, name, ctx);
    let listing = client.listing(&known)?;
    let commit = listing.commit.as_str();
    let download = Download { client: &client, folder, commit, ctx };
    // Nothing is linked before all is there: a model that is found is whole.
    let found = download.files(&listing.files)?;
    for (file, blob) in &found {
        folder.link(commit, file, blob)?;
    }
    folder.note_absent(commit, &listing.files)?;
    folder.note_revision(name.revision, commit)?;
    Ok(folder.snapshot(commit))
}

/// Downloads what a name stands for in a data set and the cache has not.
pub(super) fn data(
    hub: &Hub,
    folder: &Folder,
    data: &HubData,
    ctx: Context<'_>,
) -> Result<HubFiles> {
    let name = data.name();
    let _lock = folder.lock(name, &ctx)?;
    if let Some(found) = hub.known(data)? {
        // Whoever had the lock before has downloaded it.
        return Ok(found);
    }
    folder.prepare()?;
    let client = Client::new(hub, name, ctx);
    let (commit, all) = listing(&client, folder)?;
    let chosen = data.choose(&all).ok_or_else(|| errors::no_such_path(data, &all, folder))?;
    let snapshot = folder.snapshot(&commit);
    let missing: Vec<&str> =
        chosen.files.iter().copied().filter(|file| !snapshot.join(file).exists()).collect();
    log::info!("downloading {data} from {}: {} files", hub.endpoint, missing.len());
    let download = Download { client: &client, folder, commit: &commit, ctx };
    for file in missing {
        // Each at once: the list of files tells whether all is there.
        folder.link(&commit, file, &download.file(file)?)?;
    }
    folder.note_revision(name.revision, &commit)?;
    Ok(HubFiles::of(&chosen, &snapshot))
}

/// The commit of a data set and the names of its files: as noted, or as the hub says.
fn listing(client: &Client<'_>, folder: &Folder) -> Result<(String, Vec<String>)> {
    let known = folder.commit(client.name.revision);
    if let Some(all) = folder.listing(&known) {
        return Ok((known, all));
    }
    let Listing { commit, files } = client.listing(&known)?;
    folder.note_listing(&commit, &files)?;
    Ok((commit, files))
}

/// The files of one commit.
struct Download<'a> {
    client: &'a Client<'a>,
    folder: &'a Folder,
    commit: &'a str,
    ctx: Context<'a>,
}

impl Download<'_> {
    /// Brings everything that a model needs, and says where each file is.
    fn files(&self, all: &[String]) -> Result<Vec<(String, PathBuf)>> {
        let mut wanted: VecDeque<String> =
            files::wanted(all).into_iter().map(str::to_owned).collect();
        if wanted.is_empty() {
            let message = format!("`{}` has no file that a model is made of", self.client.name);
            return Err(Error::new(ErrorKind::Model, message)
                .with_hint("that is config.json, tokenizer.json, model.safetensors and the like"));
        }
        let mut found = Vec::new();
        while let Some(file) = wanted.pop_front() {
            let known = self.folder.snapshot(self.commit).join(&file);
            let path = if known.exists() { known } else { self.file(&file)? };
            if files::is_index(&file) {
                wanted.extend(files::shards(&path)?);
            }
            found.push((file, path));
        }
        Ok(found)
    }

    /// Brings one file and returns its blob.
    fn file(&self, file: &str) -> Result<PathBuf> {
        let partial = self.folder.partial(self.commit, file);
        let have = fs::metadata(&partial).map_or(0, |metadata| metadata.len());
        let mut answer = self.client.file(self.commit, file, have)?;
        let head = &answer.head;
        let is_too_long = head.status == 416 && head.size() != Some(have);
        if have > 0 && (is_too_long || head.sha256().is_none()) {
            // What is there cannot be gone on with, or not be checked.
            answer = self.client.file(self.commit, file, 0)?;
        }
        let head = &answer.head;
        // Where the server names no content, any name will do.
        let other = || Fingerprint::new().with(self.commit).with(file).short();
        let blob = self.folder.blob(&head.etag().map_or_else(other, str::to_owned));
        let fits = |found: fs::Metadata| head.size().is_none_or(|size| size == found.len());
        if fs::metadata(&blob).is_ok_and(fits) {
            // Another revision has the same file.
            let _ = fs::remove_file(&partial);
            return Ok(blob);
        }
        if head.sha256().is_some() {
            self.resume(file, &answer, &partial)?;
            store::commit(&blob, |path| fs::rename(&partial, path).or_io(WRITE, &partial))?;
        } else {
            store::commit(&blob, |path| {
                let mut sink = Sink::create(path)?;
                self.receive(file, &answer, &mut sink)?;
                sink.check(file, &answer.head)
            })?;
        }
        Ok(blob)
    }

    /// Writes a large file, after what an earlier download has left of it: its hash tells whether
    /// the two belong together.
    fn resume(&self, file: &str, answer: &Answer, partial: &Path) -> Result<()> {
        let mut sink = match answer.head.status {
            200 => Sink::create(partial)?,
            _ => Sink::reopen(partial, &self.ctx)?,
        };
        // With status 416 nothing is missing.
        if answer.head.status != 416 {
            self.receive(file, answer, &mut sink)?;
        }
        sink.check(file, &answer.head).inspect_err(|_| {
            // What is wrong is not to be gone on with.
            let _ = fs::remove_file(partial);
        })
    }

    fn receive(&self, file: &str, answer: &Answer, sink: &mut Sink) -> Result<()> {
        let progress = Progress::new(&format!("download {file}"));
        let size = answer.head.size();
        while let Some(piece) = self.client.piece(answer)? {
            sink.write(&piece)?;
            // More than the server said, or than a small file can have.
            if sink.length > size.unwrap_or(LARGEST_UNKNOWN) {
                break;
            }
            progress.update(megabytes(sink.length), size.map_or(0, megabytes), "MB");
        }
        Ok(())
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// A file that is being written, with the hash of what it has so far.
struct Sink {
    out: File,
    path: PathBuf,
    length: u64,
    sha256: Sha256,
}

impl Sink {
    fn create(path: &Path) -> Result<Self> {
        let out = File::create(path).or_io(WRITE, path)?;
        Ok(Self { out, path: path.to_owned(), length: 0, sha256: Sha256::new() })
    }

    /// Opens a file to go on after what it has.
    fn reopen(path: &Path, ctx: &Context<'_>) -> Result<Self> {
        let out = File::options().read(true).append(true).open(path).or_io(WRITE, path)?;
        let mut sink = Self { out, path: path.to_owned(), length: 0, sha256: Sha256::new() };
        let mut buffer = vec![0; 1 << 20];
        loop {
            ctx.check()?;
            let length = sink.out.read(&mut buffer).or_io(WRITE, path)?;
            if length == 0 {
                return Ok(sink);
            }
            sink.add(&buffer[..length]);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).or_io(WRITE, &self.path)?;
        self.add(bytes);
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// Makes sure that the file is what the server said.
    fn check(self, file: &str, head: &Head) -> Result<()> {
        let wrong = |what: &str, found: &str, wanted: &str| {
            let message = format!("the download of {file} has another {what} than the hub says");
            Err(Error::new(ErrorKind::Io, message)
                .with_context("found", found)
                .with_context("wanted", wanted)
                .with_hint("it was removed: run the same command again"))
        };
        if let Some(size) = head.size().filter(|size| *size != self.length) {
            return wrong("size", &self.length.to_string(), &size.to_string());
        }
        let sha256 = hex(&self.sha256.finalize());
        match head.sha256() {
            Some(wanted) if wanted != sha256 => wrong("SHA-256", &sha256, wanted),
            _ => Ok(()),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
