//! `deft encode`: texts into a file of vectors.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use deft_core::{
    Context, EncodeReport, Encoder, Error, ErrorKind, Kind, Matrix, Result, ResultExt, TextRole,
    VectorType, VectorWriter,
};
use serde_json::Value;

use super::{CommonArgs, single};
use crate::components::Components;
use crate::{npy, store};

/// Arguments of `deft encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// The encoder, as in a manifest: `{use: t5, model: DIR}`
    #[arg(long)]
    encoder: String,
    /// Texts: the field `input` of each line of a .jsonl file, or plain lines
    #[arg(long)]
    input: PathBuf,
    /// Vectors in the order of the texts: .npy or .safetensors (tensor `vectors`), f32
    #[arg(long)]
    output: PathBuf,
    /// Encode the texts as queries: other limits may hold for them
    #[arg(long)]
    queries: bool,
    /// Seed, for encoders with random weights
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    common: CommonArgs,
}

/// Texts encoded in one call.
const TEXTS_AT_ONCE: usize = 4096;

pub(super) fn encode(args: &EncodeArgs) -> Result<()> {
    let extension = args.output.extension().and_then(|extension| extension.to_str());
    let format = match extension {
        Some("npy") => Format::Npy,
        Some("safetensors") => Format::Safetensors,
        _ => {
            return Err(Error::option_at("", "--output must end in .npy or .safetensors")
                .with_context("found", args.output.display()));
        }
    };
    let plan = single::plan(&args.encoder, Kind::Encoder, &args.common)?;
    let services = single::services("encode", &args.common);
    let ctx = services.context(args.seed);
    let encoder = Components::default().encoder(&plan, &ctx)?;
    let texts = read_texts(&args.input)?;
    let role = if args.queries { TextRole::Query } else { TextRole::Pool };
    let mut total = EncodeReport::default();
    store::commit(&args.output, |out| match format {
        Format::Npy => write_npy(out, &*encoder, &texts, role, &ctx, &mut total),
        Format::Safetensors => {
            let info = encoder.info();
            let (rows, fingerprint) = (0..texts.len(), &info.fingerprint);
            let mut writer =
                VectorWriter::create(out, rows, info.dimension, VectorType::F32, fingerprint)?;
            for_each_chunk(&*encoder, &texts, role, &ctx, &mut total, &mut |chunk| {
                writer.write(Matrix::new(chunk, info.dimension)?)
            })?;
            writer.finish()
        }
    })?;
    log::info!(
        "{} texts, {} tokens, {} texts cut; {} components each: {}",
        texts.len(),
        total.tokens,
        total.truncated,
        encoder.info().dimension,
        args.output.display()
    );
    for note in encoder.info().notes {
        log::warn!("{note}");
    }
    Ok(())
}

enum Format {
    Npy,
    Safetensors,
}

fn write_npy(
    path: &Path,
    encoder: &dyn Encoder,
    texts: &[String],
    role: TextRole,
    ctx: &Context<'_>,
    total: &mut EncodeReport,
) -> Result<()> {
    let file = File::create(path).or_io("cannot write the vectors", path)?;
    let mut out = BufWriter::new(file);
    npy::write_header(&mut out, texts.len(), encoder.info().dimension)
        .or_io("cannot write the vectors", path)?;
    for_each_chunk(encoder, texts, role, ctx, total, &mut |chunk| {
        npy::write_numbers(&mut out, chunk).or_io("cannot write the vectors", path)
    })?;
    out.flush().or_io("cannot write the vectors", path)
}

fn for_each_chunk(
    encoder: &dyn Encoder,
    texts: &[String],
    role: TextRole,
    ctx: &Context<'_>,
    total: &mut EncodeReport,
    write: &mut dyn FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    let dimension = encoder.info().dimension;
    for chunk in texts.chunks(TEXTS_AT_ONCE) {
        ctx.check()?;
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        let mut vectors = vec![0.0; chunk.len() * dimension];
        let report = encoder.encode(ctx, &chunk, role, &mut vectors)?;
        total.tokens += report.tokens;
        total.truncated += report.truncated;
        write(&vectors)?;
    }
    Ok(())
}

/// The field `input` of each line of a `.jsonl` file; every line of any other file.
fn read_texts(path: &Path) -> Result<Vec<String>> {
    let file = File::open(path).or_io("cannot open the texts", path)?;
    let is_json = path.extension().is_some_and(|extension| extension == "jsonl");
    let mut texts = Vec::new();
    for (number, line) in BufReader::new(file).split(b'\n').enumerate() {
        let wrong = |message: &str| {
            Error::new(ErrorKind::Data, message)
                .with_context("file", path.display())
                .with_context("line", number + 1)
        };
        let line = line.or_io("cannot read the texts", path)?;
        let line = String::from_utf8(line).map_err(|_| wrong("the text is not UTF-8"))?;
        let line = line.strip_suffix('\r').unwrap_or(&line);
        if !is_json {
            texts.push(line.to_owned());
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        let value: Value =
            serde_json::from_str(line).map_err(|e| wrong("this is no JSON").with_source(&e))?;
        match value.get("input") {
            Some(Value::String(input)) => texts.push(input.clone()),
            _ => return Err(wrong("the line has no text in the field `input`")),
        }
    }
    if texts.is_empty() {
        return Err(
            Error::new(ErrorKind::Data, "there is no text").with_context("file", path.display())
        );
    }
    Ok(texts)
}
