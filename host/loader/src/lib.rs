//! Loading a plugin: first its descriptor, from the file; then the library.
//!
//! The only unsafe code of the host is in this crate: opening a library runs its constructors, and
//! setting the environment is safe only before there is a second thread.

mod cpu;
mod descriptor;
mod environment;
mod layout;
mod linker;
mod open;
mod plugin;

pub use cpu::level;
pub use descriptor::{check_descriptor, read_descriptor};
pub use environment::prepare_environment;
pub use plugin::Plugin;
