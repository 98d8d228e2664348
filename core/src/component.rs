//! Components: named implementations of the five traits, their options and their children.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Context, Encoder, Error, ErrorKind, IndexFactory, Reader, Result, Retriever, Trainer};

/// A named implementation of one of the five traits, which the host can build from options.
///
/// - Options are parsed into [`Component::Config`] before `new` is called. Derive `Serialize`,
///   `Deserialize` and `JsonSchema` for them, use `#[serde(deny_unknown_fields)]`, and document
///   every field with its unit, default and range: `deft plugin inspect` prints that.
/// - Every option is part of the fingerprint of what the component builds, unless it is marked
///   `#[schemars(extend("x-deft-mark" = "use"))]`: mark those that cannot change a result (device,
///   threads, batch size). `"search"` marks those of an index that change hits and nothing that is
///   built, `"predict"` those of a trainer that change predictions and not the model.
/// - A list with one item for each child of a slot is marked with the slot's name, `"x-deft-each" =
///   "retrievers"`: the host refuses another number before anything is built.
/// - A failed `new` leaves nothing behind.
pub trait Component: Sized + Send + Sync + 'static {
    /// What a user may write beside `use:`.
    type Config: DeserializeOwned + Serialize + JsonSchema + Send;

    /// The name after `use:`: lower case, no spaces; `task/variant` where one plugin has many.
    const NAME: &'static str;

    /// One line for `deft plugin list`, without a full stop.
    const SUMMARY: &'static str;

    /// The child components that a manifest must name, each under its own key.
    const CHILDREN: &'static [Slot] = &[];

    /// What the component can do beyond its trait, for programs; see docs/abi.md for known keys.
    fn capabilities() -> Value {
        Value::Object(serde_json::Map::new())
    }

    /// Checks what types cannot express, without touching a file.
    ///
    /// # Errors
    ///
    /// [`Error::option_at`] the option that is wrong.
    fn check(_options: &Self::Config) -> Result<()> {
        Ok(())
    }

    /// Builds the component.
    ///
    /// # Errors
    ///
    /// Whatever keeps the component from working: a missing model, an impossible combination.
    fn new(ctx: &Context<'_>, config: Self::Config, children: Children) -> Result<Self>;
}

/// Which trait a component implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// [`Reader`].
    Reader,
    /// [`Encoder`].
    Encoder,
    /// [`IndexFactory`].
    Index,
    /// [`Retriever`].
    Retriever,
    /// [`Trainer`].
    Trainer,
}

impl Kind {
    /// The kind's name in manifests and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Encoder => "encoder",
            Self::Index => "index",
            Self::Retriever => "retriever",
            Self::Trainer => "trainer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place for a child, or for a list of children: its key in the manifest and the kind of component
/// that goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slot {
    /// The key, which no option of the component may share.
    pub name: &'static str,
    /// What goes there.
    pub kind: Kind,
    /// Whether it is a list.
    pub many: bool,
}

impl Slot {
    /// A place for exactly one child.
    pub const fn one(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, many: false }
    }

    /// A place for a list of children, at least one.
    pub const fn many(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, many: true }
    }
}

/// A slot, as a plugin tells a host of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotInfo {
    /// The key.
    pub name: String,
    /// What goes there.
    pub kind: Kind,
    /// Whether it is a list of at least one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub many: bool,
}

impl SlotInfo {
    /// What goes there, in words: `component of kind encoder`.
    pub fn wants(&self) -> String {
        if self.many {
            format!("list of components of kind {}, at least one", self.kind)
        } else {
            format!("component of kind {}", self.kind)
        }
    }
}

/// What a plugin says about one of its components.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// The trait it implements.
    pub kind: Kind,
    /// The name after `use:`.
    pub name: String,
    /// One line about it.
    pub summary: String,
    /// The children that it needs.
    pub children: Vec<SlotInfo>,
    /// JSON Schema of its options; properties with `"x-deft-mark": "use"` do not change results.
    pub options: Value,
    /// See [`Component::capabilities`].
    pub capabilities: Value,
}

/// A shared component of any kind.
#[derive(Clone)]
pub enum Handle {
    /// A reader.
    Reader(Arc<dyn Reader>),
    /// An encoder.
    Encoder(Arc<dyn Encoder>),
    /// An index.
    Index(Arc<dyn IndexFactory>),
    /// A retriever.
    Retriever(Arc<dyn Retriever>),
    /// A trainer.
    Trainer(Arc<dyn Trainer>),
}

impl Handle {
    /// Which trait the component implements.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reader(_) => Kind::Reader,
            Self::Encoder(_) => Kind::Encoder,
            Self::Index(_) => Kind::Index,
            Self::Retriever(_) => Kind::Retriever,
            Self::Trainer(_) => Kind::Trainer,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.kind())
    }
}

/// A child that the host built: possibly from another library.
#[derive(Debug, Clone)]
pub struct Child {
    /// The key under which the manifest names it; the children of a list share it.
    pub slot: String,
    /// The child's component name (`t5`), for naming what it makes.
    pub name: String,
    /// Everything about the child that can change a result: component, plugin version and build
    /// options, as one line. It belongs into the fingerprint of what is built with the child.
    pub identity: String,
    /// The child itself.
    pub handle: Handle,
}

/// The children that the host built for a component, by slot.
#[derive(Debug, Clone, Default)]
pub struct Children(Vec<Child>);

impl Children {
    /// Children in any order, but for those of a list.
    pub fn new(children: Vec<Child>) -> Self {
        Self(children)
    }

    /// No child.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every child.
    pub fn iter(&self) -> impl Iterator<Item = &Child> {
        self.0.iter()
    }

    /// The child in a slot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when the manifest named none.
    pub fn get(&self, slot: &str) -> Result<&Child> {
        self.0.iter().find(|child| child.slot == slot).ok_or_else(|| {
            Error::option_at("", format!("`{slot}` is missing: this component needs one"))
        })
    }

    /// The children of a list, in the manifest's order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when the manifest named none.
    pub fn list(&self, slot: &str) -> Result<Vec<&Child>> {
        self.get(slot)?;
        Ok(self.0.iter().filter(|child| child.slot == slot).collect())
    }

    /// The encoder in a slot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when there is none or it is no encoder.
    pub fn encoder(&self, slot: &str) -> Result<Arc<dyn Encoder>> {
        match &self.get(slot)?.handle {
            Handle::Encoder(encoder) => Ok(Arc::clone(encoder)),
            other => Err(wrong_kind(slot, Kind::Encoder, other)),
        }
    }

    /// The index in a slot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when there is none or it is no index.
    pub fn index(&self, slot: &str) -> Result<Arc<dyn IndexFactory>> {
        match &self.get(slot)?.handle {
            Handle::Index(index) => Ok(Arc::clone(index)),
            other => Err(wrong_kind(slot, Kind::Index, other)),
        }
    }

    /// The retriever in a slot.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when there is none or it is no retriever.
    pub fn retriever(&self, slot: &str) -> Result<Arc<dyn Retriever>> {
        as_retriever(self.get(slot)?)
    }

    /// The retrievers of a list, in the manifest's order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] when there is none or one is no retriever.
    pub fn retrievers(&self, slot: &str) -> Result<Vec<Arc<dyn Retriever>>> {
        self.list(slot)?.into_iter().map(as_retriever).collect()
    }
}

fn as_retriever(child: &Child) -> Result<Arc<dyn Retriever>> {
    match &child.handle {
        Handle::Retriever(retriever) => Ok(Arc::clone(retriever)),
        other => Err(wrong_kind(&child.slot, Kind::Retriever, other)),
    }
}

fn wrong_kind(slot: &str, wanted: Kind, found: &Handle) -> Error {
    Error::new(ErrorKind::Options, format!("`{slot}` must be of kind {wanted}"))
        .with_context("found", found.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EncodeReport, EncoderInfo, TextRole};

    struct Nothing;

    impl Encoder for Nothing {
        fn info(&self) -> EncoderInfo {
            EncoderInfo::new(1, "nothing")
        }

        fn encode(
            &self,
            _ctx: &Context<'_>,
            _texts: &[&str],
            _role: TextRole,
            _out: &mut [f32],
        ) -> Result<EncodeReport> {
            Ok(EncodeReport::default())
        }
    }

    fn encoder(slot: &str, name: &str) -> Child {
        Child {
            slot: slot.to_owned(),
            name: name.to_owned(),
            identity: String::new(),
            handle: Handle::Encoder(Arc::new(Nothing)),
        }
    }

    #[test]
    fn the_children_of_a_list_come_in_their_order_and_are_of_its_kind() {
        let children =
            Children::new(vec![encoder("a", "one"), encoder("b", "other"), encoder("a", "two")]);
        let names: Vec<_> =
            children.list("a").expect("two").iter().map(|child| child.name.as_str()).collect();
        assert_eq!(names, ["one", "two"]);
        let refused = children.retrievers("a").err().expect("they are encoders");
        assert_eq!(refused.message(), "`a` must be of kind retriever");
        assert!(children.retrievers("c").is_err_and(|e| e.message().contains("`c` is missing")));
    }

    #[test]
    fn a_slot_of_an_older_plugin_is_for_one_child() {
        let slot: SlotInfo =
            serde_json::from_str("{\"name\": \"index\", \"kind\": \"index\"}").expect("a slot");
        assert!(!slot.many);
        assert_eq!(slot.wants(), "component of kind index");
        let list = SlotInfo { many: true, ..slot };
        assert_eq!(list.wants(), "list of components of kind index, at least one");
    }
}
