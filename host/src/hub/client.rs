//! Requests to the hub. Each has a thread of its own: Ctrl-C need not wait for a server.

use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use deft_core::{Context, ErrorKind, Result, ResultExt};
use serde::Deserialize;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::download::hex;
use super::{Hub, HubName, is_plain};

/// How often it is looked whether the user asked to stop.
const TICK: Duration = Duration::from_millis(100);
/// How long a server may take until it is reached.
const REACHED: Duration = Duration::from_secs(10);
/// How long it may be silent then.
const SILENT: Duration = Duration::from_secs(30);
/// The largest piece of a body, in bytes.
const PIECE: usize = 1 << 17;
/// Pieces that wait to be written.
const AHEAD: usize = 8;
/// The longest list of files that is read, in bytes.
const MAX_LISTING: usize = 64 << 20;
/// Most addresses that one file is looked for at.
const MAX_REDIRECTS: usize = 10;

/// What the hub says of a repository.
#[derive(Debug)]
pub(super) struct Listing {
    /// What the revision is.
    pub(super) commit: String,
    /// Every file of the repository.
    pub(super) files: Vec<String>,
}

/// The same as it comes.
#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Asks the hub for one repository.
pub(super) struct Client<'a> {
    pub(super) hub: &'a Hub,
    pub(super) name: HubName<'a>,
    ctx: Context<'a>,
    agent: Agent,
}

/// An answer whose body is on its way.
pub(super) struct Answer {
    pub(super) head: Head,
    pieces: Receiver<io::Result<Vec<u8>>>,
}

impl<'a> Client<'a> {
    pub(super) fn new(hub: &'a Hub, name: HubName<'a>, ctx: Context<'a>) -> Self {
        let config = Agent::config_builder()
            .user_agent(concat!("deft/", env!("CARGO_PKG_VERSION")))
            // The length that a server tells is to be that of the file.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .https_only(hub.endpoint.starts_with("https://"))
            .max_redirects(0)
            .timeout_resolve(Some(REACHED))
            .timeout_connect(Some(REACHED))
            .timeout_recv_response(Some(SILENT))
            .timeout_per_read(Some(SILENT));
        // A proxy that the environment names is for other machines.
        let config = if is_this_machine(&hub.endpoint) { config.proxy(None) } else { config };
        Self { hub, name, ctx, agent: config.build().new_agent() }
    }

    /// Asks which commit a revision is and which files it has.
    pub(super) fn listing(&self, revision: &str) -> Result<Listing> {
        let HubName { kind, repository, .. } = self.name;
        // A slash of the revision's own would be one of the address.
        let revision = revision.replace('/', "%2F");
        let path = format!("api/{}/{repository}/revision/{revision}", kind.plural());
        let answer = self.get(&path, 0)?;
        let mut text = Vec::new();
        while let Some(piece) = self.piece(&answer)? {
            text.extend(piece);
            if text.len() > MAX_LISTING {
                return Err(self.nonsense());
            }
        }
        let info: Info =
            serde_json::from_slice(&text).map_err(|error| self.nonsense().with_source(&error))?;
        if !is_plain(&info.sha) {
            return Err(self.nonsense());
        }
        let files = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        Ok(Listing { commit: info.sha, files })
    }

    /// Asks for a file, from a byte on. The status is 200 (all of it comes), 206 (what was asked
    /// for) or 416 (there is nothing from there on).
    pub(super) fn file(&self, commit: &str, file: &str, from: u64) -> Result<Answer> {
        let HubName { kind, repository, .. } = self.name;
        let file = encoded(file);
        self.get(&format!("{}{repository}/resolve/{commit}/{file}", kind.prefix()), from)
    }

    /// The next piece of a body; none at its end.
    pub(super) fn piece(&self, answer: &Answer) -> Result<Option<Vec<u8>>> {
        let piece = self.wait(&answer.pieces)?;
        Ok((!piece.is_empty()).then_some(piece))
    }

    fn get(&self, path: &str, from: u64) -> Result<Answer> {
        let url = format!("{}/{path}", self.hub.endpoint);
        let request = Request { url, token: self.hub.token.clone(), from };
        let agent = self.agent.clone();
        let (heads, head) = sync_channel::<io::Result<Head>>(1);
        let (out, pieces) = sync_channel(AHEAD);
        let run = move || match request.open(&agent) {
            Ok((head, body)) => {
                if heads.send(Ok(head)).is_ok() {
                    send_body(body, &out);
                }
            }
            Err(error) => {
                // Nobody waits any more after Ctrl-C.
                let _ = heads.send(Err(error.into_io()));
            }
        };
        thread::Builder::new()
            .name("deft-download".to_owned())
            .spawn(run)
            .or_error(ErrorKind::Unexpected, "cannot start a thread")?;
        let head = self.wait(&head)?;
        if matches!(head.status, 200 | 206) || (head.status == 416 && from > 0) {
            return Ok(Answer { head, pieces });
        }
        Err(self.refusal(&head))
    }

    /// What a connection's thread tells next.
    fn wait<T>(&self, told: &Receiver<io::Result<T>>) -> Result<T> {
        loop {
            self.ctx.check()?;
            match told.recv_timeout(TICK) {
                Ok(next) => return next.map_err(|error| self.broken(&error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.broken(&io::Error::from(io::ErrorKind::UnexpectedEof)));
                }
            }
        }
    }
}

/// Sends a body piece by piece; an empty one is its end.
fn send_body(body: Body, out: &SyncSender<io::Result<Vec<u8>>>) {
    let mut reader = body.into_reader();
    loop {
        let mut piece = vec![0; PIECE];
        let read = reader.read(&mut piece);
        let goes_on = matches!(read, Ok(1..));
        let told = read.map(|length| {
            piece.truncate(length);
            piece
        });
        if out.send(told).is_err() || !goes_on {
            return;
        }
    }
}

/// What is known of a file before its body comes.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// The hub's word for what is wrong.
    pub(super) error_code: Option<String>,
    /// What the hub says of a large file, which is elsewhere.
    linked_etag: Option<String>,
    linked_size: Option<u64>,
    plain_etag: Option<String>,
    plain_size: Option<u64>,
}

impl Head {
    /// The name of the content.
    pub(super) fn etag(&self) -> Option<&str> {
        self.linked_etag.as_deref().or(self.plain_etag.as_deref()).filter(|etag| is_plain(etag))
    }

    /// The SHA-256 that names the content of a large file.
    pub(super) fn sha256(&self) -> Option<&str> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        self.etag().filter(|etag| etag.len() == 64 && etag.bytes().all(is_digit))
    }

    /// Bytes of the whole file, if that is told.
    pub(super) fn size(&self) -> Option<u64> {
        self.linked_size.or(self.plain_size)
    }

    /// Adds what an answer says: the last one, or one that redirects to it.
    fn add(&mut self, response: &Response<Body>, is_hub: bool) {
        let headers = response.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        self.status = response.status().as_u16();
        if is_hub {
            self.error_code = text("x-error-code").map(str::to_owned);
            self.plain_etag = text("etag").map(unquoted);
            if let Some(etag) = text("x-linked-etag") {
                self.linked_etag = Some(unquoted(etag));
            }
            if let Some(size) = text("x-linked-size").and_then(|size| size.parse().ok()) {
                self.linked_size = Some(size);
            }
        }
        // `bytes 5-9/10`, or the length of a body that is the whole file.
        let range = text("content-range").and_then(|range| range.rsplit_once('/'));
        self.plain_size = match range {
            Some((_, size)) => size.parse().ok(),
            None => response.body().content_length(),
        };
    }
}

fn unquoted(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

/// What a connection's thread does.
struct Request {
    url: String,
    token: Option<String>,
    from: u64,
}

impl Request {
    /// Follows redirects itself: those who are redirected to get no token, and the hub's own answer
    /// is the one that tells size and hash of a large file.
    fn open(&self, agent: &Agent) -> Result<(Head, Body), ureq::Error> {
        let mut url = self.url.clone();
        let mut head = Head::default();
        for _ in 0..=MAX_REDIRECTS {
            let is_hub = origin(&url) == origin(&self.url);
            let response = self.send(agent, &url, is_hub)?;
            head.add(&response, is_hub);
            match location(&response) {
                Some(location) => url = absolute(&url, location),
                None => return Ok((head, response.into_body())),
            }
        }
        Err(ureq::Error::TooManyRedirects)
    }

    fn send(&self, agent: &Agent, url: &str, is_hub: bool) -> Result<Response<Body>, ureq::Error> {
        let mut request = agent.get(url);
        if let Some(token) = self.token.as_ref().filter(|_| is_hub) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if self.from > 0 {
            request = request.header("range", format!("bytes={}-", self.from));
        }
        request.call()
    }
}

/// Where an answer redirects to.
fn location(response: &Response<Body>) -> Option<&str> {
    if !response.status().is_redirection() {
        return None;
    }
    response.headers().get("location")?.to_str().ok()
}

/// The address that a redirect from `url` means.
fn absolute(url: &str, location: &str) -> String {
    if location.starts_with('/') && !location.starts_with("//") {
        return format!("{}{location}", origin(url));
    }
    location.to_owned()
}

/// Scheme, host and port of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |end| end + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

/// A path as a part of an address: everything but letters, digits and a few signs by its bytes.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&hex(&[byte]).to_uppercase());
        }
    }
    text
}

fn is_this_machine(url: &str) -> bool {
    ["://127.", "://localhost", "://[::1]"].iter().any(|host| url.contains(host))
}
