//! The root module of a plugin: what a host finds after loading it.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RArc, RStr, RString, RVec};

use super::data::FfiResult;
use super::encoder::{EncoderExport, EncoderImport, FfiEncoder_TO, FfiEncoderArc};
use super::guard::Guarded;
use super::index::{
    FfiIndexFactory_TO, FfiIndexFactoryArc, IndexFactoryExport, IndexFactoryImport,
};
use super::logger::FfiLogger;
use super::origin::Origin;
use super::reader::{FfiReader_TO, FfiReaderArc, ReaderExport, ReaderImport};
use super::retriever::{FfiRetriever_TO, FfiRetrieverArc, RetrieverExport, RetrieverImport};
use super::services::FfiContext;
use super::trainer::{FfiTrainer_TO, FfiTrainerArc, TrainerExport, TrainerImport};
use crate::{Child, Children, Handle, Kind, Result};

/// A plugin's functions.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// Called once after loading: where log lines go.
    pub init: extern "C" fn(logger: FfiLogger),
    /// JSON list of [`crate::ComponentInfo`].
    pub components: extern "C" fn() -> FfiResult<RString>,
    /// Kind, name and JSON options → the options checked, with every default filled in.
    pub complete:
        extern "C" fn(kind: RStr<'_>, name: RStr<'_>, options: RStr<'_>) -> FfiResult<RString>,
    /// Kind, name, JSON options and children → the component.
    #[sabi(last_prefix_field)]
    pub create: extern "C" fn(
        ctx: FfiContext<'_>,
        kind: RStr<'_>,
        name: RStr<'_>,
        options: RStr<'_>,
        children: RVec<FfiChild>,
    ) -> FfiResult<FfiComponent>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "deft";
    const NAME: &'static str = "deft";
    /// The interface's version, not the crate's: a newer deft-core still loads plugins of `v1`.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// A shared component of any kind.
#[repr(u8)]
#[derive(StableAbi)]
pub enum FfiComponent {
    Reader(FfiReaderArc),
    Encoder(FfiEncoderArc),
    Index(FfiIndexFactoryArc),
    Retriever(FfiRetrieverArc),
    Trainer(FfiTrainerArc),
}

impl FfiComponent {
    /// Exports a component again that another library made.
    pub fn export(handle: &Handle) -> Self {
        Self::export_as(handle, None)
    }

    /// Exports a component of this library by its name, or of another without one.
    pub(crate) fn export_as(handle: &Handle, name: Option<&'static str>) -> Self {
        let component = name.map(|name| (handle.kind(), name));
        match handle {
            Handle::Reader(it) => {
                let export = RArc::new(ReaderExport(Guarded::new(Arc::clone(it), component)));
                Self::Reader(FfiReader_TO::from_ptr(export, TD_Opaque))
            }
            Handle::Encoder(it) => {
                let export = RArc::new(EncoderExport(Guarded::new(Arc::clone(it), component)));
                Self::Encoder(FfiEncoder_TO::from_ptr(export, TD_Opaque))
            }
            Handle::Index(it) => {
                let export = RArc::new(IndexFactoryExport(Guarded::new(Arc::clone(it), component)));
                Self::Index(FfiIndexFactory_TO::from_ptr(export, TD_Opaque))
            }
            Handle::Retriever(it) => {
                let export = RArc::new(RetrieverExport(Guarded::new(Arc::clone(it), component)));
                Self::Retriever(FfiRetriever_TO::from_ptr(export, TD_Opaque))
            }
            Handle::Trainer(it) => {
                let export = RArc::new(TrainerExport(Guarded::new(Arc::clone(it), component)));
                Self::Trainer(FfiTrainer_TO::from_ptr(export, TD_Opaque))
            }
        }
    }

    /// Imports a component.
    ///
    /// # Errors
    ///
    /// What the component's `info` returns, if it fails.
    pub fn import(self, origin: Origin) -> Result<Handle> {
        Ok(match self {
            Self::Reader(it) => Handle::Reader(Arc::new(ReaderImport::new(it, origin)?)),
            Self::Encoder(it) => Handle::Encoder(Arc::new(EncoderImport::new(it, origin)?)),
            Self::Index(it) => Handle::Index(Arc::new(IndexFactoryImport::new(it, origin)?)),
            Self::Retriever(it) => Handle::Retriever(Arc::new(RetrieverImport::new(it, origin))),
            Self::Trainer(it) => Handle::Trainer(Arc::new(TrainerImport::new(it, origin)?)),
        })
    }

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

/// A child handed to a component.
#[repr(C)]
#[derive(StableAbi)]
pub struct FfiChild {
    slot: RString,
    name: RString,
    identity: RString,
    component: FfiComponent,
    /// JSON object for what is to come, or nothing at all.
    extra: RString,
}

/// Exports children for [`PluginModule::create`].
pub fn export_children(children: &Children) -> RVec<FfiChild> {
    let export = |child: &Child| FfiChild {
        slot: child.slot.as_str().into(),
        name: child.name.as_str().into(),
        identity: child.identity.as_str().into(),
        component: FfiComponent::export(&child.handle),
        extra: RString::new(),
    };
    children.iter().map(export).collect()
}

/// Imports children inside the plugin.
pub(crate) fn import_children(children: RVec<FfiChild>) -> Result<Children> {
    let import = |child: FfiChild| {
        let origin = Origin::of_child(child.component.kind(), &child.name);
        Ok(Child {
            slot: child.slot.into(),
            name: child.name.into(),
            identity: child.identity.into(),
            handle: child.component.import(origin)?,
        })
    };
    Ok(Children::new(children.into_iter().map(import).collect::<Result<_>>()?))
}
