//! Sizes for people: `4.1 GB`, in powers of 1,000 as disks are sold.

/// Units by their first letter, each a thousand times the one before.
const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];

/// A size as a person says it: `512 B`, `4.1 kB`, `413 GB`.
pub(crate) fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    // What would be rounded to four digits is told in the next unit.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// Bytes that a person means: `300GB`, `1.5 TB`, `64GiB`, `1000000`.
///
/// # Errors
///
/// A text that is no size, with what would be one.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size: write 300GB, 1.5TB or 64GiB");
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (letter, base) = match unit.strip_suffix('i') {
        Some(letter) => (letter, 1024.0_f64),
        None => (unit, 1000.0),
    };
    let power = match letter {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    Ok(whole(number * base.powi(power)))
}

/// The nearest whole number of bytes; what is no number, or below 0, is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
pub(crate) fn whole(bytes: f64) -> u64 {
    bytes.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_precision_that_people_use() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (4096, "4.1 kB"),
            (9_960, "10 kB"),
            (999_600, "1.0 MB"),
            (413_200_000_000, "413 GB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(human(bytes), expected);
        }
    }

    #[test]
    fn sizes_are_read_in_both_bases_and_what_is_none_is_told() {
        for (text, expected) in [
            ("1000000", 1_000_000),
            ("300GB", 300_000_000_000),
            ("1.5 tb", 1_500_000_000_000),
            ("64GiB", 64 << 30),
            ("20k", 20_000),
            ("7B", 7),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["", "GB", "-1GB", "3 apples", "1.2.3", "4ii"] {
            assert!(parse(text).is_err_and(|why| why.contains("300GB")), "{text}");
        }
    }
}
