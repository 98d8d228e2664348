//! A component with its options and children, and what all kinds promise.

use deft_core::{Child, Children, ComponentInfo, ErrorKind, Handle, Kind, Result};
use serde_json::Value;

use crate::Library;
use crate::report::{Check, Verdict, ensure};
use crate::services::{SEED, TestServices};

/// A component of a library with its options and children: what a manifest's block says.
#[derive(Debug, Clone)]
pub struct Component {
    library: Library,
    kind: Kind,
    name: String,
    options: Value,
    children: Vec<(String, Component)>,
}

impl Component {
    pub(crate) fn new(library: Library, kind: Kind, name: &str, options: Value) -> Self {
        Self { library, kind, name: name.to_owned(), options, children: Vec::new() }
    }

    /// Puts a component, from this library or another, into one of its slots.
    #[must_use]
    pub fn with_child(mut self, slot: &str, child: Component) -> Self {
        self.children.push((slot.to_owned(), child));
        self
    }

    /// A new instance of it, across the boundary.
    ///
    /// # Errors
    ///
    /// Those of the component, and of its options.
    pub fn create(&self) -> Result<Handle> {
        let options = self.library.0.complete(self.kind, &self.name, &self.options)?;
        let mut children = Vec::new();
        for (slot, child) in &self.children {
            children.push(Child {
                slot: slot.clone(),
                name: child.name.clone(),
                identity: format!("{} {}", child.name, child.options),
                handle: child.create()?,
            });
        }
        let services = TestServices::new();
        let (ctx, children) = (services.context(SEED, 2), Children::new(children));
        self.library.0.create(&ctx, self.kind, &self.name, "", &options, &children)
    }

    fn info(&self) -> Option<&ComponentInfo> {
        self.library.0.component(self.kind, &self.name)
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    /// Whether the capability `deterministic` is not `false`.
    pub(crate) fn is_deterministic(&self) -> bool {
        self.info().is_none_or(|info| info.capabilities["deterministic"] != false)
    }

    /// A name that no component knows must be answered with `Unsupported`.
    pub(crate) fn check_unknown_call(&self) -> Verdict {
        const NAME: &str = "conformance/there-is-no-such-call";
        let services = TestServices::new();
        let ctx = &services.context(SEED, 1);
        let answer = match self.create()? {
            Handle::Reader(it) => it.call(ctx, NAME, "{}"),
            Handle::Encoder(it) => it.call(ctx, NAME, "{}"),
            Handle::Index(it) => it.call(ctx, NAME, "{}"),
            Handle::Retriever(it) => it.call(ctx, NAME, "{}"),
            Handle::Trainer(it) => it.call(ctx, NAME, "{}"),
        };
        let kind = answer.as_ref().err().map(deft_core::Error::kind);
        ensure!(kind == Some(ErrorKind::Unsupported), "`call` gave {answer:?}");
        Ok(())
    }

    /// An option that does not exist must be refused by name.
    pub(crate) fn check_unknown_option(&self) -> Verdict {
        const NAME: &str = "there_is_no_such_option";
        let mut options = self.options.clone();
        options[NAME] = Value::Bool(true);
        let refused = self.library.0.complete(self.kind, &self.name, &options);
        let named = refused.as_ref().is_err_and(|error| error.option() == Some(NAME));
        ensure!(named, "`{NAME}` gave {refused:?}");
        Ok(())
    }

    /// Options with every default filled in must be options, and stay as they are.
    pub(crate) fn check_defaults(&self) -> Verdict {
        let once = self.library.0.complete(self.kind, &self.name, &self.options)?;
        let twice = self.library.0.complete(self.kind, &self.name, &once)?;
        ensure!(once == twice, "{once} became {twice}");
        Ok(())
    }
}

/// The checks that every kind has.
pub(crate) const COMMON: &[Check<Component>] = &[
    Check::new(
        "unknown_call",
        "a call by a name that it does not know is answered with `unsupported`",
        Component::check_unknown_call,
    ),
    Check::new(
        "unknown_option",
        "an option that does not exist is refused by name",
        Component::check_unknown_option,
    ),
    Check::new(
        "defaults",
        "options with all defaults filled in are options, and stay as they are",
        Component::check_defaults,
    ),
];

/// `report`, `check` and the constructor of a type with a field `component`.
macro_rules! suite {
    ($suite:ty, $checks:expr) => {
        impl $suite {
            /// Runs every check.
            pub fn report(&self) -> $crate::Report {
                let common = $crate::component::COMMON;
                let mut report =
                    $crate::Report::of(self.component.title(), &self.component, common);
                report.add(self, $checks);
                report
            }

            /// Runs every check and prints the report.
            ///
            /// # Panics
            ///
            /// With the report, when a check failed.
            pub fn check(&self) {
                self.report().require();
            }
        }
    };
}

pub(crate) use suite;
