//! A message written from a signal handler.

use std::sync::atomic::Ordering;
use std::time::SystemTime;

use deft_core::abi::v1::running::{self, Call};

use super::{JSON, TERMINAL};
use crate::console::rfc3339;

/// Text on its way to stderr, without allocation; small, since second stacks are.
pub(super) struct Out {
    bytes: [u8; 256],
    length: usize,
    json: bool,
}

impl Default for Out {
    fn default() -> Self {
        Self { bytes: [0; 256], length: 0, json: JSON.load(Ordering::Relaxed) }
    }
}

impl Out {
    pub(super) fn begin(&mut self) {
        if self.json {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.raw(b"{\"time\":\"");
            self.raw(&rfc3339(now));
            self.raw(b"\",\"level\":\"error\",\"target\":\"deft\",\"message\":\"");
        } else if TERMINAL.load(Ordering::Relaxed) {
            self.raw(b"\n");
        }
    }

    pub(super) fn next_line(&mut self) {
        self.raw(if self.json { b"; " } else { b"\n" });
    }

    pub(super) fn end(&mut self) {
        self.raw(if self.json { b"\"}\n" } else { b"\n" });
        self.flush();
    }

    pub(super) fn add(&mut self, texts: &[&str]) {
        for byte in texts.iter().flat_map(|text| text.bytes()) {
            if self.json && (byte == b'"' || byte == b'\\' || byte < b' ') {
                self.raw(b"?");
            } else {
                self.raw(&[byte]);
            }
        }
    }

    pub(super) fn add_call(&mut self, call: &Call) {
        let (kind, name) = (call.kind().as_str(), call.name());
        self.add(&[kind, " `", name, "` (plugin ", call.plugin(), "), method ", call.method()]);
    }

    /// Adds the calls of all threads: the fault is on a thread that a plugin started. Tells whether
    /// there is any.
    pub(super) fn add_all(&mut self) -> bool {
        const MANY: usize = 4;
        let mut any = false;
        for (i, call) in running::all().take(MANY).enumerate() {
            any = true;
            self.add(&[if i == 0 { " while this ran: " } else { ", " }]);
            self.add_call(&call);
        }
        if !any {
            self.add(&[" while no component was running"]);
        }
        any
    }

    fn raw(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.length == self.bytes.len() {
                self.flush();
            }
            self.bytes[self.length] = byte;
            self.length += 1;
        }
    }

    fn flush(&mut self) {
        // SAFETY: that many bytes are there. Nobody is left to tell when stderr is closed.
        unsafe {
            libc::write(libc::STDERR_FILENO, self.bytes.as_ptr().cast(), self.length);
        }
        self.length = 0;
    }
}
