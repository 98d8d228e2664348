//! Tokens in their order, and what is said where one is not understood.

use super::tokens::Token;

#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: Vec<Token<'a>>) -> Cursor<'a> {
        Cursor { tokens, at: 0 }
    }

    /// The token after as many others.
    pub(super) fn peek(&self, ahead: usize) -> Option<&'a str> {
        self.tokens.get(self.at + ahead).map(|token| token.text)
    }

    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    /// # Errors
    ///
    /// The text is at its end.
    pub(super) fn next(&mut self) -> Result<&'a str, String> {
        let token = self.tokens.get(self.at).ok_or("the text ends in the middle")?;
        self.at += 1;
        Ok(token.text)
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let is_next = self.peek(0) == Some(sign);
        self.at += usize::from(is_next);
        is_next
    }

    /// # Errors
    ///
    /// Another token, named with its line.
    pub(super) fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}` is expected"))) }
    }

    /// A number from 0 that fits.
    ///
    /// # Errors
    ///
    /// Another token, named with its line.
    pub(super) fn number(&mut self) -> Result<u32, String> {
        let number = self.peek(0).and_then(super::literal::whole);
        let number = number.and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| self.wrong("a number is expected"))?;
        self.at += 1;
        Ok(number)
    }

    /// The tokens up to a `;`, which is passed as well.
    pub(super) fn statement(&mut self) -> &[Token<'a>] {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|token| token.text == ";").unwrap_or(rest.len());
        self.at += length + 1;
        &rest[..length]
    }

    /// Passes what stands between a sign that comes next and the one that closes it.
    pub(super) fn skip_pair(&mut self, opening: &str, closing: &str) {
        let mut depth = 0_usize;
        while let Some(token) = self.peek(0) {
            self.at += 1;
            depth += usize::from(token == opening);
            depth = depth.saturating_sub(usize::from(token == closing));
            if depth == 0 {
                return;
            }
        }
    }

    pub(super) fn wrong(&self, what: &str) -> String {
        wrong(self.line(), what, self.tokens.get(self.at..).unwrap_or_default())
    }
}

/// The line, what is wrong there, and the text's own words.
pub(super) fn wrong(line: u32, what: &str, tokens: &[Token<'_>]) -> String {
    format!(
        "line {line}: {what}: `{}`",
        text(tokens.get(..12.min(tokens.len())).unwrap_or_default())
    )
}

/// Tokens as text again.
pub(super) fn text(tokens: &[Token<'_>]) -> String {
    tokens.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
}
