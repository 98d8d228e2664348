//! Times for people and programs.

use std::time::Duration;

/// RFC 3339 with milliseconds, in UTC: `2026-01-31T23:59:59.123Z`. It needs no memory, so that the
/// handler of a fatal signal can use it.
pub(crate) fn rfc3339(since_epoch: Duration) -> [u8; 24] {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |place: std::ops::Range<usize>, mut value: u64| {
        for digit in text[place].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0..4, year);
    put(5..7, month);
    put(8..10, day);
    put(11..13, seconds / 3600 % 24);
    put(14..16, seconds / 60 % 60);
    put(17..19, seconds % 60);
    put(20..23, u64::from(since_epoch.subsec_millis()));
    text
}

/// Year, month and day of a day counted from 1970-01-01.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have the leap day at their end: <http://howardhinnant.github.io/date_algorithms.html#civil_from_days>.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (month, after) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + after, month, day - first + 1)
}

/// A duration as a person says it: `45 s`, `3 min 20 s`, `25 min`, `2 h 03 min`, `3 d 4 h`.
pub(crate) fn human(seconds: f64) -> String {
    // Nobody waits for longer than can be told.
    let seconds =
        Duration::try_from_secs_f64(seconds.round().max(0.0)).map_or(u64::MAX, |it| it.as_secs());
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => format!("{minutes} min {:02} s", seconds % 60),
        600..3600 => format!("{minutes} min"),
        3600..172_800 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_798_761_599, "2026-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let text = rfc3339(Duration::from_millis(seconds * 1000 + 7));
            assert_eq!(std::str::from_utf8(&text), Ok(expected));
        }
    }

    #[test]
    fn durations_have_the_precision_that_people_use() {
        for (seconds, expected) in [
            (0.2, "0 s"),
            (45.4, "45 s"),
            (200.0, "3 min 20 s"),
            (1500.0, "25 min"),
            (7380.0, "2 h 03 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(human(seconds), expected);
        }
    }
}
