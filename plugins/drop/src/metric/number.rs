//! Numbers as Python reads and writes them, which is what the official script does.

use crate::question::is_space;

/// What the zeros of the scripts with decimal digits are; nine more digits follow each.
const ZEROS: [u32; 66] = [
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6,
    0x0d66, 0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80,
    0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
    0xff10, 0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0,
    0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0,
    0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// The number that Python's `float` makes of a text, if it is one.
///
/// It takes white space around, decimal digits of any script, underscores between digits, and `inf`,
/// `infinity` and `nan` in any case.
pub(super) fn parse(text: &str) -> Option<f64> {
    let mut plain = String::with_capacity(text.len());
    for c in text.trim_matches(is_space).chars() {
        plain.push(if c.is_ascii() { c } else { char::from(b'0' + digit(c)?) });
    }
    let bytes = plain.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_between_digits = |at: usize| at > 0 && is_digit(at - 1) && is_digit(at + 1);
    if (0..bytes.len()).any(|at| bytes[at] == b'_' && !is_between_digits(at)) {
        return None;
    }
    plain.retain(|c| c != '_');
    plain.parse().ok()
}

/// The value of a decimal digit of any script.
fn digit(c: char) -> Option<u8> {
    let code = u32::from(c);
    let zero = ZEROS[..ZEROS.partition_point(|&zero| zero <= code)].last()?;
    u8::try_from(code - zero).ok().filter(|&digit| digit < 10)
}

/// The text that Python's `str` makes of a number: the fewest digits that tell it apart, with a
/// point, and with an exponent below 1e-4 and from 1e16 on.
pub(super) fn text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e').and_then(|(digits, e)| Some((digits, e.parse::<i32>().ok()?)))
    {
        // An infinity has no exponent.
        None => number.to_string(),
        Some((_, -4..=15)) => format!("{number:?}"),
        Some((digits, exponent)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_numbers_where_python_says_so() {
        let check = |text: &str, wanted: Option<f64>| assert_eq!(parse(text), wanted, "{text:?}");
        check("4", Some(4.0));
        check(" \u{a0}+.5\n", Some(0.5));
        check("5.", Some(5.0));
        check("1e3", Some(1000.0));
        check("1_000", Some(1000.0));
        check("１２", Some(12.0));
        check("٣.٥", Some(3.5));
        check("𝟗", Some(9.0));
        check("Infinity", Some(f64::INFINITY));
        check("1e400", Some(f64::INFINITY));
        assert!(parse("NaN").is_some_and(f64::is_nan));
        for text in
            ["", ".", "e5", "1e", "_1", "1_", "1__0", "1_.5", "½", "0x10", "1 2", "1,000", "3rd"]
        {
            check(text, None);
        }
    }

    #[test]
    fn numbers_are_written_as_python_does() {
        let check = |number: f64, wanted: &str| assert_eq!(text(number), wanted);
        check(4.0, "4.0");
        check(10005.0, "10005.0");
        check(0.1 + 0.2, "0.30000000000000004");
        check(0.0001, "0.0001");
        check(0.00001, "1e-05");
        check(1.5e-7, "1.5e-07");
        check(1e15, "1000000000000000.0");
        check(parse("9007199254740993").unwrap(), "9007199254740992.0");
        check(1e16, "1e+16");
        check(parse("12345678901234567890").unwrap(), "1.2345678901234567e+19");
        check(1e100, "1e+100");
        check(-2.5, "-2.5");
        check(0.0, "0.0");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(f64::NAN, "nan");
    }
}
