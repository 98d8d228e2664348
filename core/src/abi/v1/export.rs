//! The author's side: a table of components, and the macro that exports it.

use std::sync::Arc;

use abi_stable::std_types::{RStr, RString, RVec};
use serde_json::Value;

use super::data::{FfiResult, from_json, to_json};
use super::guard::{guard, guard_or, install_panic_hook, set_plugin};
use super::logger::{FfiLogger, install_logger};
use super::module::{FfiChild, FfiComponent, import_children};
use super::services::FfiContext;
use crate::{
    Children, Component, ComponentInfo, Context, Encoder, Error, ErrorKind, Handle, IndexFactory,
    Kind, Reader, Result, Retriever, SlotInfo, Trainer, options,
};

/// One component of a plugin, without its type.
pub struct Entry {
    kind: Kind,
    name: &'static str,
    info: fn() -> ComponentInfo,
    complete: fn(&Value) -> Result<Value>,
    create: fn(&Context<'_>, &Value, Children) -> Result<Handle>,
}

macro_rules! entry_constructors {
    ($($function:ident: $component:ident => $kind:ident),+ $(,)?) => {
        impl Entry {
            $(
                /// An entry for a component of this kind.
                pub fn $function<C: Component + $component>() -> Self {
                    Self {
                        kind: Kind::$kind,
                        name: C::NAME,
                        info: || info_of::<C>(Kind::$kind),
                        complete: complete_of::<C>,
                        create: |ctx, options, children| {
                            Ok(Handle::$kind(Arc::new(create_of::<C>(ctx, options, children)?)))
                        },
                    }
                }
            )+
        }
    };
}

entry_constructors! {
    reader: Reader => Reader,
    encoder: Encoder => Encoder,
    index: IndexFactory => Index,
    retriever: Retriever => Retriever,
    trainer: Trainer => Trainer,
}

fn info_of<C: Component>(kind: Kind) -> ComponentInfo {
    ComponentInfo {
        kind,
        name: C::NAME.to_owned(),
        summary: C::SUMMARY.to_owned(),
        children: C::CHILDREN
            .iter()
            .map(|slot| SlotInfo { name: slot.name.to_owned(), kind: slot.kind, many: slot.many })
            .collect(),
        options: schemars::schema_for!(C::Config).to_value(),
        capabilities: C::capabilities(),
    }
}

fn complete_of<C: Component>(value: &Value) -> Result<Value> {
    C::check(&options::parse::<C::Config>(value)?)?;
    options::complete::<C::Config>(value)
}

fn create_of<C: Component>(ctx: &Context<'_>, value: &Value, children: Children) -> Result<C> {
    let parsed = options::parse::<C::Config>(value)?;
    C::check(&parsed)?;
    C::new(ctx, parsed, children)
}

impl Entry {
    /// What the component says of itself; a panic over that names the component.
    fn describe(&self) -> Result<ComponentInfo> {
        guard(|| Ok((self.info)())).into_result().map_err(|error| {
            Error::from(error).with_context("component", format!("{} {}", self.kind, self.name))
        })
    }
}

/// Prepares the library, which is a plugin: silent panics, forwarded log lines.
pub fn init(logger: FfiLogger, name: &str, version: &str) {
    guard_or((), || {
        set_plugin(name, version);
        install_panic_hook();
        install_logger(logger);
    });
}

/// Body of [`super::PluginModule::components`].
pub fn components(entries: fn() -> Vec<Entry>) -> FfiResult<RString> {
    guard(|| {
        let infos: Vec<_> = entries().iter().map(Entry::describe).collect::<Result<_>>()?;
        Ok(to_json(&infos))
    })
}

/// Body of [`super::PluginModule::complete`].
pub fn complete(
    entries: fn() -> Vec<Entry>,
    kind: RStr<'_>,
    name: RStr<'_>,
    options: RStr<'_>,
) -> FfiResult<RString> {
    guard(|| {
        let entry = find(entries(), kind.as_str(), name.as_str())?;
        Ok(to_json(&(entry.complete)(&from_json(options.as_str())?)?))
    })
}

/// Body of [`super::PluginModule::create`].
pub fn create(
    entries: fn() -> Vec<Entry>,
    ctx: FfiContext<'_>,
    kind: RStr<'_>,
    name: RStr<'_>,
    options: RStr<'_>,
    children: RVec<FfiChild>,
) -> FfiResult<FfiComponent> {
    ctx.guarded(|ctx| {
        let entry = find(entries(), kind.as_str(), name.as_str())?;
        let children = import_children(children)?;
        let handle = (entry.create)(ctx, &from_json(options.as_str())?, children)?;
        Ok(FfiComponent::export_as(&handle, Some(entry.name)))
    })
}

fn find(entries: Vec<Entry>, kind: &str, name: &str) -> Result<Entry> {
    let wanted = |entry: &Entry| entry.kind.as_str() == kind && entry.name == name;
    entries.into_iter().find(wanted).ok_or_else(|| {
        Error::new(ErrorKind::Plugin, "the plugin has no such component")
            .with_context("kind", kind)
            .with_context("component", name)
    })
}

/// Exports the components of a plugin: the one line that makes a `cdylib` loadable.
///
/// Kinds that the plugin has none of are left out:
/// `export_plugin! { encoders: [MyEncoder], readers: [MyReader, MyOtherReader] }`.
/// The plugin is named after its package, without a leading `deft-`.
///
/// Code in C or C++ that is compiled for more than the target's every processor is told first, so that
/// a host on another does not load it: `export_plugin! { cpu: "avx2,fma", indexes: [MyIndex] }`.
#[macro_export]
macro_rules! export_plugin {
    ($($kinds:ident: [$($component:ty),+ $(,)?]),+ $(,)?) => {
        $crate::export_plugin! { cpu: "", $($kinds: [$($component),+]),+ }
    };
    (cpu: $cpu:expr, $($kinds:ident: [$($component:ty),+ $(,)?]),+ $(,)?) => {
        #[doc(hidden)]
        #[allow(unsafe_code, reason = "fixed names are how a host finds the plugin")]
        mod deft_plugin {
            use super::*;
            use $crate::abi::{descriptor, v1};
            use $crate::abi_stable::library;
            use $crate::abi_stable::std_types::{RStr, RString, RVec};

            const SECTION: [u8; descriptor::CAPACITY] = descriptor::DescriptorWriter::new(
                descriptor::plugin_name(env!("CARGO_PKG_NAME")),
                env!("CARGO_PKG_VERSION"),
                $cpu,
            )
            $($(
                .component(
                    $crate::export_plugin!(@kind $kinds),
                    <$component as $crate::Component>::NAME,
                )
            )+)+
            .finish();

            #[used]
            #[unsafe(no_mangle)]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,deft_plugin"))]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = "deft_plugin"))]
            static DEFT_PLUGIN: [u8; descriptor::CAPACITY] = SECTION;

            fn entries() -> Vec<v1::Entry> {
                vec![$($($crate::export_plugin!(@entry $kinds, $component),)+)+]
            }

            extern "C" fn init(logger: v1::FfiLogger) {
                let name = descriptor::plugin_name(env!("CARGO_PKG_NAME"));
                v1::init(logger, name, env!("CARGO_PKG_VERSION"));
            }

            extern "C" fn components() -> v1::FfiResult<RString> {
                v1::components(entries)
            }

            extern "C" fn complete(
                kind: RStr<'_>,
                name: RStr<'_>,
                options: RStr<'_>,
            ) -> v1::FfiResult<RString> {
                v1::complete(entries, kind, name, options)
            }

            extern "C" fn create(
                ctx: v1::FfiContext<'_>,
                kind: RStr<'_>,
                name: RStr<'_>,
                options: RStr<'_>,
                children: RVec<v1::FfiChild>,
            ) -> v1::FfiResult<v1::FfiComponent> {
                v1::create(entries, ctx, kind, name, options, children)
            }

            fn root_module() -> v1::PluginModuleRef {
                use $crate::abi_stable::prefix_type::PrefixTypeTrait;
                v1::PluginModule { init, components, complete, create }.leak_into_prefix()
            }

            extern "C" fn erased_root_module() -> library::RootModuleResult {
                library::__call_root_module_loader(root_module)
            }

            // What `#[export_root_module]` expands to: that attribute wants `abi_stable` among the
            // dependencies of every plugin.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static ROOT_MODULE: library::LibHeader =
                // SAFETY: `erased_root_module` makes the module type that is named here.
                unsafe {
                    library::LibHeader::from_constructor::<v1::PluginModuleRef>(
                        erased_root_module,
                        library::CheckTypeLayout::Yes,
                    )
                };
        }
    };
    (@kind readers) => { $crate::Kind::Reader };
    (@kind encoders) => { $crate::Kind::Encoder };
    (@kind indexes) => { $crate::Kind::Index };
    (@kind retrievers) => { $crate::Kind::Retriever };
    (@kind trainers) => { $crate::Kind::Trainer };
    (@entry readers, $component:ty) => { v1::Entry::reader::<$component>() };
    (@entry encoders, $component:ty) => { v1::Entry::encoder::<$component>() };
    (@entry indexes, $component:ty) => { v1::Entry::index::<$component>() };
    (@entry retrievers, $component:ty) => { v1::Entry::retriever::<$component>() };
    (@entry trainers, $component:ty) => { v1::Entry::trainer::<$component>() };
}
