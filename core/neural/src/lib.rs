//! What plugins share that compute a network with candle.
//!
//! - [`Workers`]: many tasks on a few threads, results in the order of the tasks;
//! - [`encode`]: texts into vectors, batch by batch;
//! - [`tokenizer`]: a `tokenizer.json`, read and checked;
//! - [`in_place`], [`Values`]: the numbers of candle's tensors;
//! - [`row`]: loops over one row of them that the compiler vectorises;
//! - [`vectorized!`]: what such loops run in, to get the widest vectors of the processor.

mod encoding;
pub mod row;
mod tokens;
mod values;
mod vectors;
mod workers;

pub use encoding::{Encoded, Encoding, encode};
pub use tokens::{attempt, tokenizer};
pub use values::{Values, in_place};
pub use workers::Workers;

// Used by `vectorized!`, so that its users do not depend on it themselves.
#[doc(hidden)]
pub use pulp;
