//! A complete DEFT plugin with one component: the encoder `hash`.
//!
//! Its vectors are bags of hashed words, so that texts with many words in common are near. That
//! needs no model, which makes it a baseline worth having and a plugin small enough to learn from:
//!
//! - [`config`]: what a user may write beside `use: hash`;
//! - [`encoder`]: the component itself.
//!
//! The last line of this file is all that makes the library a plugin.

pub mod config;
pub mod encoder;

use encoder::HashEncoder;

deft_core::export_plugin! { encoders: [HashEncoder] }
