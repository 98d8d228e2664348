//! Texts in the form in which they are compared.

use super::number;
use crate::question::is_space;

/// A text without case, punctuation, articles and needless white space, its numbers written alike.
///
/// It is done token by token, between spaces and hyphens. Punctuation goes before numbers are
/// looked for, so that `$1,000.5` becomes `10005.0`, as in the official script.
pub(super) fn normalize(text: &str) -> String {
    let tokens = text.split([' ', '-']).map(normalize_token);
    tokens.filter(|token| !token.is_empty()).collect::<Vec<_>>().join(" ")
}

fn normalize_token(token: &str) -> String {
    let mut token = token.to_lowercase();
    if number::parse(&token).is_none() {
        token.retain(|c| !c.is_ascii_punctuation());
    }
    if let Some(number) = number::parse(&token) {
        token = number::text(number);
    }
    let spaced = without_articles(&token);
    spaced.split(is_space).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The text with a space in place of each `a`, `an` and `the` that stands as a word of its own.
fn without_articles(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        out.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
        let next = after.find(is_word).unwrap_or(after.len());
        out.push_str(&after[..next]);
        rest = &after[next..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_normalized_as_the_official_script_does() {
        let check = |text: &str, wanted: &str| assert_eq!(normalize(text), wanted, "{text:?}");
        check("4-yard", "4.0 yard");
        check("The 10", "10.0");
        check("10,", "10.0");
        check("$1,000.5", "10005.0");
        check("U.S.A. 3.0", "usa 3.0");
        check("a an the", "");
        check("  An\tapple \u{a0} theirs ", "apple theirs");
        check("1e-7", "1e 7.0");
        check("1e+7", "10000000.0");
        check("0.00001", "1e-05");
        check("inf Infinity NaN", "inf inf nan");
        check("", "");
    }
}
