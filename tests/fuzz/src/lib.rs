//! Mutated inputs of every kind that DEFT reads: an error or a result, never a panic.
