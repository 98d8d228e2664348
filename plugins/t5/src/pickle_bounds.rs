//! Whether a pickle can be believed: a look at it before candle unpickles it.
//!
//! candle copies an object whenever a pickle stores or fetches it, and drops nested ones by
//! recursion. A few hundred bytes could therefore fill the memory, or the stack, and end the whole
//! process. Here the same instructions run on sizes alone.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;

/// Longest pickles that are believed, all of a file's together: they hold names and shapes alone.
const MAX_BYTES: u64 = 64 << 20;
/// How large all objects ever made may be together, in bytes.
const MAX_SIZE: usize = 512 << 20;
/// Deepest nesting of objects; a model's is about ten.
const MAX_DEPTH: usize = 100;
/// About what an object takes beside its text.
const OBJECT: usize = 64;

/// Why the pickles of a `PyTorch` archive cannot be read, if they cannot.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| error.to_string())?;
    let names: Result<Vec<String>, _> =
        zip.file_names().map(|name| name.map(std::borrow::Cow::into_owned)).collect();
    let names = names.map_err(|error| error.to_string())?;
    let mut left = MAX_BYTES;
    for name in names.iter().filter(|name| name.ends_with("data.pkl")) {
        let entry = zip.by_name(name).map_err(|error| error.to_string())?;
        let mut pickle = Vec::new();
        entry.take(left + 1).read_to_end(&mut pickle).map_err(|error| error.to_string())?;
        left = left.checked_sub(pickle.len() as u64).ok_or("its pickle is too long")?;
        check_pickle(&pickle)?;
    }
    Ok(())
}

fn check_pickle(pickle: &[u8]) -> Result<(), String> {
    let mut machine = Machine { rest: pickle, stack: Vec::new(), memo: HashMap::new(), made: 0 };
    while !machine.step()? {}
    Ok(())
}

/// An object, of which nothing but its size matters.
#[derive(Debug, Clone, Copy)]
struct Object {
    size: usize,
    depth: usize,
    is_mark: bool,
}

impl Object {
    const LEAF: Self = Self { size: OBJECT, depth: 1, is_mark: false };

    /// An object made of others.
    fn of(parts: &[Self]) -> Self {
        let within = |sum: usize, part: &Self| sum.saturating_add(part.size);
        let depth = parts.iter().map(|part| part.depth).max().unwrap_or(0) + 1;
        Self { size: parts.iter().fold(OBJECT, within), depth, is_mark: false }
    }
}

/// The stack machine that a pickle is a program of, as far as candle knows it.
struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Object>,
    memo: HashMap<u32, Object>,
    /// Size of all objects ever made.
    made: usize,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let [code] = self.array()?;
        match code {
            b'.' => return Ok(true),
            // A version that does not matter.
            0x80 => drop(self.bytes(1)?),
            b'(' => self.push(Object { is_mark: true, ..Object::LEAF })?,
            b')' | b']' | b'}' | b'd' | b'N' | 0x88 | 0x89 => self.push(Object::LEAF)?,
            b'K' => self.number(1)?,
            b'M' => self.number(2)?,
            b'J' => self.number(4)?,
            b'G' => self.number(8)?,
            0x8a => {
                let [length] = self.array()?;
                self.number(length.into())?;
            }
            b'c' => {
                let length = self.line()? + self.line()?;
                self.text(length)?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?) as usize;
                self.bytes(length)?;
                self.text(length)?;
            }
            b'Q' | 0x85 => self.combine(1)?,
            b'R' | b'b' | 0x81 | 0x86 => self.combine(2)?,
            0x87 => self.combine(3)?,
            b't' => {
                let parts = self.pop_to_mark()?;
                self.push(Object::of(&parts))?;
            }
            b'a' => self.add_to_last(1)?,
            b's' => self.add_to_last(2)?,
            b'e' | b'u' => {
                let parts = self.pop_to_mark()?;
                self.extend_last(&parts)?;
            }
            b'q' => {
                let [id] = self.array()?;
                self.store(id.into())?;
            }
            b'r' => {
                let id = u32::from_le_bytes(self.array()?);
                self.store(id)?;
            }
            b'h' => {
                let [id] = self.array()?;
                self.fetch(id.into())?;
            }
            b'j' => {
                let id = u32::from_le_bytes(self.array()?);
                self.fetch(id)?;
            }
            other => return Err(format!("its pickle has the unknown instruction {other}")),
        }
        Ok(false)
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or("its pickle is cut short")?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (array, rest) = self.rest.split_first_chunk().ok_or("its pickle is cut short")?;
        self.rest = rest;
        Ok(*array)
    }

    /// Passes a line; its length.
    fn line(&mut self) -> Result<usize, String> {
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let length = end.ok_or("its pickle is cut short")? + 1;
        self.bytes(length).map(<[u8]>::len)
    }

    fn number(&mut self, bytes: usize) -> Result<(), String> {
        self.bytes(bytes)?;
        self.push(Object::LEAF)
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        self.push(Object { size: OBJECT + length, ..Object::LEAF })
    }

    fn make(&mut self, object: Object) -> Result<(), String> {
        self.made = self.made.saturating_add(object.size);
        if self.made > MAX_SIZE || object.depth > MAX_DEPTH {
            return Err("its pickle's objects are too large or too deep".to_owned());
        }
        Ok(())
    }

    fn push(&mut self, object: Object) -> Result<(), String> {
        self.make(object)?;
        self.stack.push(object);
        Ok(())
    }

    /// The last `count` objects.
    fn pop(&mut self, count: usize) -> Result<Vec<Object>, String> {
        let start = self.stack.len().checked_sub(count).ok_or("its pickle is damaged")?;
        Ok(self.stack.split_off(start))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Object>, String> {
        let mark = self.stack.iter().rposition(|object| object.is_mark);
        let parts = self.stack.split_off(mark.ok_or("its pickle is damaged")? + 1);
        self.stack.pop();
        Ok(parts)
    }

    fn combine(&mut self, count: usize) -> Result<(), String> {
        let parts = self.pop(count)?;
        self.push(Object::of(&parts))
    }

    fn add_to_last(&mut self, count: usize) -> Result<(), String> {
        let parts = self.pop(count)?;
        self.extend_last(&parts)
    }

    fn extend_last(&mut self, parts: &[Object]) -> Result<(), String> {
        let last = self.stack.last_mut().ok_or("its pickle is damaged")?;
        let all = Object::of(parts);
        last.size = last.size.saturating_add(all.size);
        last.depth = last.depth.max(all.depth);
        if last.depth > MAX_DEPTH {
            return Err("its pickle's objects are too deep".to_owned());
        }
        Ok(())
    }

    fn store(&mut self, id: u32) -> Result<(), String> {
        let last = *self.stack.last().ok_or("its pickle is damaged")?;
        self.memo.insert(id, last);
        self.make(last)
    }

    fn fetch(&mut self, id: u32) -> Result<(), String> {
        let object = *self.memo.get(&id).ok_or("its pickle is damaged")?;
        self.push(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_of_tensors_is_believed() {
        let pickle = b"\x80\x02}q\x00(X\x01\x00\x00\x00acm\nC\nq\x01((X\x01\x00\x00\x000h\x01tQK\x00(K\x02tRu.";
        assert_eq!(check_pickle(pickle), Ok(()));
    }

    #[test]
    fn objects_that_double_or_nest_are_refused() {
        // A pair of the pair before, again and again.
        let mut doubles = b"K\x00q\x00".to_vec();
        (0..60).for_each(|_| doubles.extend(b"h\x00h\x00\x86q\x00"));
        assert!(check_pickle(&[&doubles, &b"."[..]].concat()).unwrap_err().contains("too large"));
        for wrap in [&b"\x85"[..], b"Q", b"NR"] {
            let nested = [b"N", &wrap.repeat(100_000)[..], b"."].concat();
            assert!(check_pickle(&nested).unwrap_err().contains("too deep"));
        }
        let lists = [b"]".repeat(100_000), b"a".repeat(99_999), b".".to_vec()].concat();
        assert!(check_pickle(&lists).unwrap_err().contains("too deep"));
    }

    #[test]
    fn what_is_cut_or_damaged_is_refused() {
        for pickle in
            [&b""[..], b"N", b"X\xff\xff\xff\xffabc", b"t.", b"a.", b"h\x07.", b"cm\nC", b"\xff"]
        {
            assert!(check_pickle(pickle).is_err(), "{pickle:?}");
        }
    }
}
