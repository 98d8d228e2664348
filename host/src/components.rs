//! Manifest blocks into components: options checked, children first, shared where identical.

use std::collections::HashMap;
use std::sync::Arc;

use deft_core::{
    Child, Children, Context, Encoder, Error, ErrorKind, Handle, Kind, Reader, Result, Retriever,
    SlotInfo, Trainer, options,
};
use serde_json::{Map, Value, json};

use crate::manifest::Block;
use crate::registry::Registry;
use deft_loader::Plugin;

/// The capability of a retriever that keeps the pool's vectors: `true`, or the name of the option that
/// says how, with `none` for not at all.
const KEEPS_VECTORS: &str = "keeps_vectors";

/// The capability of a retriever or index whose hits are not the first of a search for more: `true`, or
/// the name of the option without which it is so.
const HITS_DEPEND_ON_K: &str = "hits_depend_on_k";

/// A component whose options have been checked; nothing has been built yet.
#[derive(Debug, Clone)]
pub struct Plan {
    kind: Kind,
    name: String,
    plugin: Arc<Plugin>,
    /// Completed options.
    options: Value,
    children: Vec<Filled>,
    /// Where the block stands in the manifest.
    path: String,
}

/// A slot, and what the manifest has there: one child, or a list of at least one.
#[derive(Debug, Clone)]
struct Filled {
    slot: SlotInfo,
    plans: Vec<Plan>,
}

impl Filled {
    fn new(registry: &Registry, slot: &SlotInfo, value: &Value, path: &str) -> Result<Self> {
        let plan = |value: &Value, path: &str| {
            let block: Block = options::parse(value).map_err(|error| error.within_option(path))?;
            Plan::new(registry, slot.kind, &block, path)
        };
        let slot = slot.clone();
        if !slot.many {
            return Ok(Self { plans: vec![plan(value, path)?], slot });
        }
        let values: Vec<Value> =
            options::parse(value).map_err(|error| error.within_option(path))?;
        if values.is_empty() {
            let message = format!("`{}` must be a {}", slot.name, slot.wants());
            return Err(Error::option_at(path, message).with_hint(registry.choices(slot.kind)));
        }
        let items = values.iter().enumerate();
        let plans =
            items.map(|(i, value)| plan(value, &format!("{path}[{i}]"))).collect::<Result<_>>()?;
        Ok(Self { slot, plans })
    }

    /// What is said of the child; of those of a list, a list.
    fn each(&self, say: impl Fn(&Plan) -> Value) -> Value {
        match &self.plans[..] {
            [one] if !self.slot.many => say(one),
            all => all.iter().map(say).collect(),
        }
    }
}

impl Plan {
    /// Checks a block, its options and its children.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Options`] with the path of what is wrong.
    pub fn new(registry: &Registry, kind: Kind, block: &Block, path: &str) -> Result<Self> {
        let within = |error: Error| error.within_option(path);
        let name = &block.component;
        let plugin =
            registry.find(kind, name).ok_or_else(|| within(registry.missing(kind, name)))?;
        let info = plugin.component(kind, name).ok_or_else(|| registry.missing(kind, name))?;
        let mut options = block.options.clone();
        let mut children = Vec::new();
        for slot in &info.children {
            let value = options.shift_remove(&slot.name).ok_or_else(|| {
                let message =
                    format!("{} `{name}` needs `{}`, a {}", info.kind, slot.name, slot.wants());
                within(Error::option_at("", message)).with_hint(registry.choices(slot.kind))
            })?;
            children.push(Filled::new(registry, slot, &value, &joined(path, &slot.name))?);
        }
        let options = plugin.complete(kind, name, &Value::Object(options)).map_err(within)?;
        check_lists(&info.options, &options, &children).map_err(within)?;
        Ok(Self {
            kind,
            name: name.clone(),
            plugin: Arc::clone(plugin),
            options,
            children,
            path: path.to_owned(),
        })
    }

    /// The component's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the block stands in the manifest.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The component at a place below this one (`retrievers[0].encoder`); itself at the empty place.
    pub fn below(&self, place: &str) -> Option<&Self> {
        if place.is_empty() { Some(self) } else { self.find(&joined(&self.path, place)) }
    }

    fn find(&self, path: &str) -> Option<&Self> {
        let mut children = self.children.iter().flat_map(|filled| &filled.plans);
        children.find_map(|child| if child.path == path { Some(child) } else { child.find(path) })
    }

    /// The block with every default filled in.
    pub fn completed(&self) -> Value {
        let mut block = Map::from_iter([("use".to_owned(), Value::from(self.name.as_str()))]);
        for filled in &self.children {
            block.insert(filled.slot.name.clone(), filled.each(Self::completed));
        }
        if let Value::Object(options) = &self.options {
            block.extend(options.clone());
        }
        Value::Object(block)
    }

    /// Everything about the component that can change a result: names, version, build options.
    pub fn identity(&self) -> Value {
        let identities = |filled: &Filled| (filled.slot.name.clone(), filled.each(Self::identity));
        let children: Map<_, _> = self.children.iter().map(identities).collect();
        json!({
            "component": format!("{} {}", self.kind, self.name),
            "plugin": self.plugin_version(),
            "options": self.marked(|mark| self.builds(mark)),
            "children": children,
        })
    }

    /// The options that can change predictions and not the model.
    pub fn prediction_options(&self) -> Value {
        self.marked(|mark| self.is_for_predictions(mark))
    }

    /// The options that can change hits and nothing that is built, of the component and of its
    /// children; null where there are none.
    pub fn search_options(&self) -> Value {
        let mut found = match self.marked(|mark| self.is_for_searches(mark)) {
            Value::Object(options) => options,
            _ => Map::new(),
        };
        for filled in &self.children {
            let below = filled.each(Self::search_options);
            let has_none = match &below {
                Value::Array(all) => all.iter().all(Value::is_null),
                one => one.is_null(),
            };
            if !has_none {
                found.insert(filled.slot.name.clone(), below);
            }
        }
        if found.is_empty() { Value::Null } else { Value::Object(found) }
    }

    /// Trainers alone predict.
    fn is_for_predictions(&self, mark: &str) -> bool {
        self.kind == Kind::Trainer && mark == options::PREDICT
    }

    fn is_for_searches(&self, mark: &str) -> bool {
        matches!(self.kind, Kind::Index | Kind::Retriever) && mark == options::SEARCH
    }

    /// Whether it keeps the pool's vectors, or a component below it does, as they say of themselves.
    pub fn keeps_vectors(&self) -> bool {
        self.says(KEEPS_VECTORS, &|how| how != "none")
    }

    /// Whether its hits of a query may be others than the first of a search for more, or those of a
    /// component below it may.
    pub fn hits_depend_on_k(&self) -> bool {
        self.says(HITS_DEPEND_ON_K, &Value::is_null)
    }

    /// Whether the component has a capability, or one below it has: by itself, or by the value of an
    /// option that it names.
    fn says(&self, capability: &str, has: &dyn Fn(&Value) -> bool) -> bool {
        let info = self.plugin.component(self.kind, &self.name);
        let says = match info.map(|info| &info.capabilities[capability]) {
            Some(Value::Bool(says)) => *says,
            Some(Value::String(option)) => has(&self.options[option.as_str()]),
            _ => false,
        };
        let mut children = self.children.iter().flat_map(|filled| &filled.plans);
        says || children.any(|child| child.says(capability, has))
    }

    /// A mark that nobody knows counts as none: a result that is made again costs time, a stale one
    /// costs trust.
    fn builds(&self, mark: &str) -> bool {
        mark != options::USE && !self.is_for_predictions(mark) && !self.is_for_searches(mark)
    }

    fn marked(&self, keep: impl Fn(&str) -> bool) -> Value {
        let info = self.plugin.component(self.kind, &self.name);
        options::marked(&self.options, info.map_or(&Value::Null, |info| &info.options), keep)
    }

    /// Name and version of the plugin.
    pub fn plugin_version(&self) -> String {
        format!("{} {}", self.plugin.descriptor.name, self.plugin.descriptor.version)
    }

    fn build(&self, cache: &mut Components, ctx: &Context<'_>) -> Result<Handle> {
        // Use options count here: two devices are two components. So does the place of a reader, which
        // costs little: an error about one of its options names that of the source at fault.
        let place = if self.kind == Kind::Reader { self.path.as_str() } else { "" };
        let key = format!("{} {place} {} {}", self.kind, ctx.seed(), self.completed());
        if let Some(handle) = cache.0.get(&key) {
            return Ok(handle.clone());
        }
        let mut children = Vec::new();
        for Filled { slot, plans } in &self.children {
            for child in plans {
                children.push(Child {
                    slot: slot.name.clone(),
                    name: child.name.clone(),
                    identity: child.identity().to_string(),
                    handle: child.build(cache, ctx)?,
                });
            }
        }
        let children = Children::new(children);
        let Self { plugin, kind, name, path, options, .. } = self;
        let handle = plugin.create(ctx, *kind, name, path, options, &children)?;
        cache.0.insert(key, handle.clone());
        Ok(handle)
    }
}

/// Refuses a list that has one item for each child of a slot, and has another number of them.
fn check_lists(schema: &Value, options: &Value, children: &[Filled]) -> Result<()> {
    for (option, slot) in options::lists_by_child(schema) {
        let Some(items) = options[option].as_array() else { continue };
        let Some(filled) = children.iter().find(|filled| filled.slot.name == slot) else {
            continue;
        };
        let (given, wanted) = (items.len(), filled.plans.len());
        if given != wanted {
            let message = format!(
                "`{option}` needs one item for each of `{slot}` ({option}: {given}, {slot}: {wanted})"
            );
            return Err(Error::option_at(option, message));
        }
    }
    Ok(())
}

/// The path of an option of what is at another path, which may be the root.
fn joined(path: &str, option: &str) -> String {
    if path.is_empty() { option.to_owned() } else { format!("{path}.{option}") }
}

/// Built components: one handle for each specification and seed.
#[derive(Debug, Default)]
pub struct Components(HashMap<String, Handle>);

macro_rules! typed {
    ($($method:ident: $kind:ident => $type:ty),+ $(,)?) => {
        impl Components {
            $(
                /// Builds the component, or hands out the one already built.
                ///
                /// # Errors
                ///
                /// Whatever the component's constructor returns.
                pub fn $method(&mut self, plan: &Plan, ctx: &Context<'_>) -> Result<Arc<$type>> {
                    match plan.build(self, ctx)? {
                        Handle::$kind(handle) => Ok(handle),
                        other => Err(Error::new(ErrorKind::Plugin, "the plugin built another kind")
                            .with_context("wanted", Kind::$kind)
                            .with_context("found", other.kind())),
                    }
                }
            )+
        }
    };
}

typed! {
    reader: Reader => dyn Reader,
    encoder: Encoder => dyn Encoder,
    retriever: Retriever => dyn Retriever,
    trainer: Trainer => dyn Trainer,
}

impl Components {
    /// Gives up every handle, and with them the memory of models and indexes.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
