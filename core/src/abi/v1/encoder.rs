//! [`Encoder`] across the boundary.

use std::sync::Arc;

use abi_stable::sabi_trait;
use abi_stable::std_types::{RArc, RSlice, RSliceMut, RStr, RString};

use super::data::{FfiResult, export_texts, from_json, import_texts, to_json};
use super::guard::{Guarded, guard};
use super::origin::Origin;
use super::running::Method;
use super::services::{FfiContext, with_exported};
use crate::{Context, EncodeReport, Encoder, EncoderInfo, Error, ErrorKind, Result, TextRole};

#[sabi_trait]
pub trait FfiEncoder: Send + Sync + 'static {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString>;
    fn info(&self) -> FfiResult<RString>;
    #[sabi(last_prefix_field)]
    fn encode(
        &self,
        ctx: FfiContext<'_>,
        texts: RSlice<'_, RStr<'_>>,
        role: RStr<'_>,
        out: RSliceMut<'_, f32>,
    ) -> FfiResult<RString>;
}

pub type FfiEncoderArc = FfiEncoder_TO<RArc<()>>;

pub(crate) struct EncoderExport(pub(crate) Guarded<Arc<dyn Encoder>>);

impl FfiEncoder for EncoderExport {
    fn call(&self, ctx: FfiContext<'_>, name: RStr<'_>, json: RStr<'_>) -> FfiResult<RString> {
        ctx.guarded(|ctx| Ok(self.0.call(ctx, name.as_str(), json.as_str())?.into()))
    }

    fn info(&self) -> FfiResult<RString> {
        guard(|| Ok(to_json(&self.0.info())))
    }

    fn encode(
        &self,
        ctx: FfiContext<'_>,
        texts: RSlice<'_, RStr<'_>>,
        role: RStr<'_>,
        out: RSliceMut<'_, f32>,
    ) -> FfiResult<RString> {
        ctx.guarded(|ctx| {
            let role = TextRole::parse(role.as_str())?;
            let report = self.0.encode(ctx, &import_texts(texts), role, out.into_mut_slice())?;
            Ok(to_json(&report))
        })
    }
}

pub(crate) struct EncoderImport {
    remote: FfiEncoderArc,
    info: EncoderInfo,
    origin: Origin,
}

impl EncoderImport {
    pub(crate) fn new(remote: FfiEncoderArc, origin: Origin) -> Result<Self> {
        let info = origin.call(Method::Info, || Ok(remote.info().into_result()?))?;
        let mut info: EncoderInfo = from_json(&info)?;
        info.fingerprint = origin.fingerprint(info.fingerprint);
        if info.dimension == 0 {
            return Err(Error::new(ErrorKind::Plugin, "the encoder's vectors have no component"));
        }
        Ok(Self { remote, info, origin })
    }
}

impl Encoder for EncoderImport {
    fn call(&self, ctx: &Context<'_>, name: &str, json: &str) -> Result<String> {
        self.origin.call(Method::Call, || {
            with_exported(ctx, |ctx| {
                Ok(self.remote.call(ctx, name.into(), json.into()).into_result()?.into())
            })
        })
    }

    fn info(&self) -> EncoderInfo {
        self.info.clone()
    }

    fn encode(
        &self,
        ctx: &Context<'_>,
        texts: &[&str],
        role: TextRole,
        out: &mut [f32],
    ) -> Result<EncodeReport> {
        if out.len() != texts.len() * self.info.dimension {
            return Err(Error::new(ErrorKind::Unexpected, "memory for vectors has another length")
                .with_context("texts", texts.len())
                .with_context("dimension", self.info.dimension)
                .with_context("numbers", out.len()));
        }
        let texts = export_texts(texts);
        self.origin.call(Method::Encode, || {
            with_exported(ctx, |ctx| {
                let (texts, role) = (texts.as_slice().into(), role.as_str().into());
                let report = self.remote.encode(ctx, texts, role, out.into());
                from_json(&report.into_result()?)
            })
        })
    }
}
