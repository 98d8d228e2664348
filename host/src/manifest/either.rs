//! Values of a manifest that are a text or a map.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize as _, Deserializer};

/// A value that is a text or a map.
pub(super) trait TextOrMap: Sized {
    /// What a map is read as.
    type Map: DeserializeOwned;

    /// What may be there, for an error.
    const EXPECTED: &'static str;

    /// The value that a text stands for.
    fn of_text<E: de::Error>(text: &str) -> Result<Self, E>;

    /// The value that a map stands for.
    fn of_map(map: Self::Map) -> Self;
}

/// Reads a text or a map. Serde's own way to read either would not tell which key is wrong.
pub(super) fn text_or_map<'de, T: TextOrMap, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_any(Either(PhantomData))
}

struct Either<T>(PhantomData<T>);

impl<'de, T: TextOrMap> Visitor<'de> for Either<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::of_text(text)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::Map::deserialize(MapAccessDeserializer::new(map)).map(T::of_map)
    }
}
