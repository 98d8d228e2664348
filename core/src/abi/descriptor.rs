//! What a plugin says about itself in a section of its file, readable without running any of it.
//!
//! The section holds [`MAGIC`], the length of what follows (u32, little endian) and a JSON object:
//! [`Descriptor`]. `dlopen` runs constructors; whoever wants to know first whether a library is a
//! plugin of the right interface reads this.

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Kind, Result};

/// First bytes of the section.
pub const MAGIC: [u8; 12] = *b"DEFT-PLUGIN\0";

/// Name of the section in ELF and PE files; Mach-O has it as `__DATA,deft_plugin`.
pub const SECTION: &str = "deft_plugin";

/// Room for the whole section: some 40 components.
pub const CAPACITY: usize = 4096;

/// The newest interface that this crate speaks.
pub const INTERFACE: u32 = 1;

/// A plugin, as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Version of the interface: [`INTERFACE`].
    pub interface: u32,
    /// Name of the plugin.
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// Version of `deft-core` that it was built with.
    pub core: String,
    /// Target triple that it was built for.
    pub target: String,
    /// Compiler that it was built with.
    pub rustc: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// Instruction sets that it was compiled for and uses unasked, as Rust names them, with commas
    /// between: `avx2,fma`.
    #[serde(default)]
    pub cpu: String,
    /// Kind and name of each component.
    pub components: Vec<(Kind, String)>,
}

/// The part of a descriptor that every version of it has.
#[derive(Deserialize)]
struct Head {
    interface: u32,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

impl Descriptor {
    /// Reads the section's bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Plugin`] when they are no descriptor, or one of another interface.
    pub fn parse(section: &[u8]) -> Result<Self> {
        let not = |why: &str| Error::new(ErrorKind::Plugin, format!("no plugin descriptor: {why}"));
        let rest = section.strip_prefix(&MAGIC).ok_or_else(|| not("other first bytes"))?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(|| not("it is cut short"))?;
        let json = usize::try_from(u32::from_le_bytes(*length))
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or_else(|| not("it is cut short"))?;
        let head: Head =
            serde_json::from_slice(json).map_err(|e| not("other contents").with_source(&e))?;
        if head.interface != INTERFACE {
            let hint = if head.interface > INTERFACE {
                "update deft, or build the plugin with an older deft-core"
            } else {
                "build the plugin again with the deft-core of this deft"
            };
            return Err(Error::new(ErrorKind::Plugin, "the plugin has another interface version")
                .with_context("plugin", format!("{} {}", head.name, head.version))
                .with_context("found", head.interface)
                .with_context("wanted", INTERFACE)
                .with_hint(hint));
        }
        serde_json::from_slice(json).map_err(|error| not("other contents").with_source(&error))
    }
}

/// The plugin's name: its package's, without a leading `deft-`.
pub const fn plugin_name(package: &str) -> &str {
    let (package_bytes, prefix) = (package.as_bytes(), b"deft-");
    let mut i = 0;
    while i < prefix.len() {
        if i >= package_bytes.len() || package_bytes[i] != prefix[i] {
            return package;
        }
        i += 1;
    }
    package.split_at(prefix.len()).1
}

/// Writes a descriptor while the plugin is compiled; `export_plugin!` calls it.
#[derive(Debug)]
pub struct DescriptorWriter {
    bytes: [u8; CAPACITY],
    length: usize,
    components: usize,
}

impl DescriptorWriter {
    /// Starts with everything that this crate knows; `cpu` are instruction sets of code that was not
    /// compiled with it, in C or C++, with commas between.
    pub const fn new(name: &str, version: &str, cpu: &str) -> Self {
        let mut writer = Self { bytes: [0; CAPACITY], length: 0, components: 0 };
        let mut i = 0;
        while i < MAGIC.len() {
            writer.bytes[i] = MAGIC[i];
            i += 1;
        }
        writer.length = MAGIC.len() + 4;
        let panic = if cfg!(panic = "unwind") { "unwind" } else { "abort" };
        writer
            .raw("{\"interface\":1")
            .field("name", name)
            .field("version", version)
            .field("core", env!("CARGO_PKG_VERSION"))
            .field("target", env!("DEFT_TARGET"))
            .field("rustc", env!("DEFT_RUSTC"))
            .field("panic", panic)
            .raw(",\"cpu\":\"")
            .plain(env!("DEFT_CPU"))
            .raw(if cpu.is_empty() { "" } else { "," })
            .plain(cpu)
            .raw("\"")
            .raw(",\"components\":[")
    }

    /// Adds a component.
    #[must_use]
    pub const fn component(mut self, kind: Kind, name: &str) -> Self {
        if self.components > 0 {
            self = self.raw(",");
        }
        self.components += 1;
        self.raw("[").text(kind.as_str()).raw(",").text(name).raw("]")
    }

    /// The section's bytes.
    pub const fn finish(self) -> [u8; CAPACITY] {
        let mut done = self.raw("]}");
        let start = MAGIC.len();
        // The length is below CAPACITY, or `raw` would have stopped the compilation.
        #[expect(clippy::cast_possible_truncation, reason = "below CAPACITY")]
        let length = ((done.length - start - 4) as u32).to_le_bytes();
        let mut i = 0;
        while i < length.len() {
            done.bytes[start + i] = length[i];
            i += 1;
        }
        done.bytes
    }

    const fn field(self, name: &str, value: &str) -> Self {
        self.raw(",").text(name).raw(":").text(value)
    }

    const fn text(self, text: &str) -> Self {
        self.raw("\"").plain(text).raw("\"")
    }

    /// Text that goes into JSON as it is.
    const fn plain(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            assert!(
                bytes[i] >= b' ' && bytes[i] != b'"' && bytes[i] != b'\\',
                "names and versions of plugins and components need no escapes"
            );
            i += 1;
        }
        self.raw(text)
    }

    const fn raw(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        assert!(self.length + bytes.len() <= CAPACITY, "too many components for one plugin");
        let mut i = 0;
        while i < bytes.len() {
            self.bytes[self.length] = bytes[i];
            self.length += 1;
            i += 1;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECTION: [u8; CAPACITY] = DescriptorWriter::new("hash", "1.2.3", "avx2,fma")
        .component(Kind::Encoder, "hash")
        .component(Kind::Reader, "t0/rte")
        .finish();

    #[test]
    fn what_is_written_at_compile_time_is_read_back() {
        let found = Descriptor::parse(&SECTION).expect("a descriptor");
        assert_eq!((found.interface, found.name.as_str()), (INTERFACE, "hash"));
        assert_eq!(found.panic, "unwind");
        assert!(found.cpu.ends_with(",avx2,fma"), "{}", found.cpu);
        assert_eq!(found.components[1], (Kind::Reader, "t0/rte".to_owned()));
    }

    #[test]
    fn another_interface_is_named_before_anything_else_is_understood() {
        let text = "{\"interface\":7,\"name\":\"new\",\"version\":\"2\",\"parts\":[]}";
        let length = u32::try_from(text.len()).expect("short").to_le_bytes();
        let section = [MAGIC.as_slice(), &length, text.as_bytes()].concat();
        let error = Descriptor::parse(&section).expect_err("another interface");
        assert_eq!(error.context("found"), Some("7"));
        assert!(error.hint().expect("a remedy").contains("update deft"));
    }

    #[test]
    fn damaged_descriptors_are_errors() {
        for section in [&SECTION[..0], &SECTION[1..], &SECTION[..14], &SECTION[..40]] {
            assert!(Descriptor::parse(section).is_err());
        }
    }
}
