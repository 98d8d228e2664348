//! Declarations of variables: `.shared .align 4 .b8 name[128]`, `.reg .b32 %r<5>`.

use super::cursor::Cursor;
use super::literal::{literal, whole};
use super::scalar::Scalar;

/// Bytes: more than any variable needs.
const MOST_ALIGNED: u32 = 4096;
/// Bytes of one variable, and how many registers one name may stand for.
const LARGEST: u32 = 1 << 28;

/// One declared name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declaration<'a> {
    /// The state space: `reg`, `param`, `local`, `shared`, `global` or `const`.
    pub(super) space: &'a str,
    pub(super) kind: Scalar,
    pub(super) name: &'a str,
    /// For `.reg`: how many registers `name0`, `name1` and so on this is.
    pub(super) registers: Option<u32>,
    /// Bytes in memory; 0 where the size is left open.
    pub(super) bytes: u32,
    pub(super) align: u32,
    /// The first bytes, the others 0.
    pub(super) initial: Vec<Value<'a>>,
}

/// One value of an initialiser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Bits(u64),
    /// The address of a variable.
    Address(&'a str),
}

/// Reads a declaration, with all its names, up to what ends it (`;`, or in a list `)`).
/// A list of parameters has one name in each: there `,` ends it, too.
///
/// # Errors
///
/// What is not understood, with its line.
pub(super) fn declarations<'a>(
    cursor: &mut Cursor<'a>,
    in_list: bool,
) -> Result<Vec<Declaration<'a>>, String> {
    let mut first = Declaration {
        space: "",
        kind: Scalar::U8,
        name: "",
        registers: None,
        bytes: 0,
        align: 0,
        initial: Vec::new(),
    };
    let lanes = modifiers(cursor, &mut first)?;
    let mut found = vec![named(cursor, first.clone(), lanes)?];
    while !in_list && cursor.take(",") {
        found.push(named(cursor, first.clone(), lanes)?);
    }
    Ok(found)
}

/// The words with points; returns how many values a vector has.
fn modifiers<'a>(cursor: &mut Cursor<'a>, into: &mut Declaration<'a>) -> Result<u32, String> {
    let (mut lanes, mut is_pointer) = (1, false);
    while let Some(word) = cursor.peek(0).filter(|word| word.starts_with('.')) {
        for part in word.split('.').skip(1) {
            match part {
                "v2" => lanes = 2,
                "v4" => lanes = 4,
                "b128" => (into.kind, lanes) = (Scalar::U64, 2),
                "reg" | "param" | "local" | "shared" | "global" | "const" => {
                    // After `.param .ptr` the space is the one that is pointed to.
                    into.space = if into.space.is_empty() { part } else { into.space };
                }
                // What follows tells of what is pointed to.
                "ptr" => is_pointer = true,
                "align" | "volatile" => {}
                _ => {
                    let kind = Scalar::named(part);
                    into.kind = kind.ok_or_else(|| cursor.wrong("an unknown declaration"))?;
                }
            }
        }
        cursor.next()?;
        if word.ends_with("align") {
            let align = cursor.number()?;
            if !align.is_power_of_two() || align > MOST_ALIGNED {
                return Err(cursor.wrong("an impossible alignment before"));
            }
            into.align = if is_pointer { into.align } else { align };
        }
    }
    into.align = into.align.max(into.kind.bytes() as u32 * lanes);
    Ok(lanes)
}

fn named<'a>(
    cursor: &mut Cursor<'a>,
    mut it: Declaration<'a>,
    lanes: u32,
) -> Result<Declaration<'a>, String> {
    it.name = cursor.next()?;
    if cursor.take("<") {
        it.registers = Some(cursor.number()?);
        cursor.expect(">")?;
    }
    let mut count: u32 = lanes;
    while cursor.take("[") {
        let length = if cursor.peek(0) == Some("]") { 0 } else { cursor.number()? };
        count = count.saturating_mul(length);
        cursor.expect("]")?;
    }
    it.bytes = count.saturating_mul(it.kind.bytes() as u32);
    if it.bytes > LARGEST || it.registers.is_some_and(|count| count > LARGEST) {
        return Err(cursor.wrong("too large a variable before"));
    }
    if cursor.take("=") {
        values(cursor, it.kind, &mut it.initial)?;
    }
    Ok(it)
}

/// A number, an address, or a list of these in braces, perhaps of lists.
fn values<'a>(
    cursor: &mut Cursor<'a>,
    kind: Scalar,
    into: &mut Vec<Value<'a>>,
) -> Result<(), String> {
    if cursor.take("{") {
        while !cursor.take("}") {
            values(cursor, kind, into)?;
            cursor.take(",");
        }
        return Ok(());
    }
    let negative = cursor.take("-");
    let word = cursor.next()?;
    if let Some(bits) = literal(word, negative, kind) {
        into.push(Value::Bits(bits));
    } else if word == "generic" && cursor.take("(") {
        into.push(Value::Address(cursor.next()?));
        cursor.expect(")")?;
    } else if whole(word).is_none() && kind.bits() == 64 {
        into.push(Value::Address(word));
    } else {
        return Err(cursor.wrong("an unknown value before"));
    }
    Ok(())
}
