//! What every DEFT plugin must do, as checks on the built library.
