//! PTX's text as words and signs.

/// A word (`ld.global.u64`, `%r1`, `0f3F800000`), a string, or one sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: u32,
}

/// The tokens of a text, without comments and the directives that end with their line.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let text = text.trim_end_matches('\0');
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        let length = length(rest, first);
        let (token, after) = rest.split_at(length);
        if ends_with_line(token) {
            rest = rest.split_at(rest.find('\n').unwrap_or(rest.len())).1;
            continue;
        }
        if !first.is_whitespace() && !token.starts_with("//") && !token.starts_with("/*") {
            found.push(Token { text: token, line });
        }
        line += token.bytes().filter(|&byte| byte == b'\n').count() as u32;
        rest = after;
    }
    found
}

/// Bytes of what a text begins with: a comment, a string, a word, space, or one sign.
fn length(text: &str, first: char) -> usize {
    let until = |end: &str| text.find(end).unwrap_or(text.len());
    if text.starts_with("//") {
        until("\n")
    } else if text.starts_with("/*") {
        (until("*/") + 2).min(text.len())
    } else if first == '"' {
        text[1..].find('"').map_or(text.len(), |end| end + 2)
    } else if is_of_word(first) {
        word_length(text)
    } else {
        first.len_utf8()
    }
}

/// Bytes of a word; `L1::evict_last` is part of one, the `:` after a label is not.
fn word_length(text: &str) -> usize {
    let mut length = 0;
    loop {
        let rest = &text[length..];
        length += rest.find(|sign| !is_of_word(sign)).unwrap_or(rest.len());
        if !text[length..].starts_with("::") {
            return length;
        }
        length += 2;
    }
}

fn is_of_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "_$%.".contains(sign)
}

fn ends_with_line(token: &str) -> bool {
    matches!(token, ".version" | ".target" | ".address_size" | ".file" | ".loc")
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn comments_and_line_directives_are_left_out_and_lines_counted() {
        let text = ".version 9.0\n/* a\nb */ add.s32 %r1, -4; // end\n.loc 1 2 3\nret;\0";
        let found: Vec<(&str, u32)> = tokens(text).iter().map(|t| (t.text, t.line)).collect();
        let add = [("add.s32", 3), ("%r1", 3), (",", 3), ("-", 3), ("4", 3), (";", 3)];
        assert_eq!(found[..6], add);
        assert_eq!(found[6..], [("ret", 5), (";", 5)]);
    }
}
