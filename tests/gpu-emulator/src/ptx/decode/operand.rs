//! The operands of an instruction as its text has them.

use crate::ptx::literal::whole;
use crate::ptx::tokens::Token;

/// One operand. `Err` in this module is a form that the machine does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operand<'a> {
    /// A register, a number or a variable, the last perhaps with an offset in bytes.
    Word { text: &'a str, negative: bool, offset: i64 },
    /// `%r1|%p1`.
    Two(&'a str, &'a str),
    /// `!%p1`.
    Not(&'a str),
    /// `{%r1, %r2}`.
    Vector(Vec<Operand<'a>>),
    /// `[%rd1+8]`.
    Address { base: &'a str, offset: i64 },
}

/// The operands in an instruction's tokens, without the `;`.
pub(super) fn operands<'a>(tokens: &[Token<'a>]) -> Result<Vec<Operand<'a>>, ()> {
    let mut reader = Reader { tokens, at: 0 };
    let mut found = Vec::new();
    while reader.peek().is_some() {
        found.push(reader.operand()?);
        if reader.peek().is_some() {
            reader.expect(",")?;
        }
    }
    Ok(found)
}

struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
}

impl<'a> Reader<'_, 'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).map(|token| token.text)
    }

    fn next(&mut self) -> Result<&'a str, ()> {
        let token = self.peek().ok_or(())?;
        self.at += 1;
        Ok(token)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_next = self.peek() == Some(sign);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: &str) -> Result<(), ()> {
        if self.take(sign) { Ok(()) } else { Err(()) }
    }

    fn operand(&mut self) -> Result<Operand<'a>, ()> {
        match self.next()? {
            "{" => self.vector(),
            "[" => self.address(),
            "!" => Ok(Operand::Not(self.next()?)),
            "-" => Ok(Operand::Word { text: self.next()?, negative: true, offset: 0 }),
            text if self.take("|") => Ok(Operand::Two(text, self.next()?)),
            text if is_word(text) => {
                let offset = self.offset()?;
                Ok(Operand::Word { text, negative: false, offset })
            }
            _ => Err(()),
        }
    }

    fn vector(&mut self) -> Result<Operand<'a>, ()> {
        let mut parts = vec![self.operand()?];
        while self.take(",") {
            parts.push(self.operand()?);
        }
        self.expect("}")?;
        Ok(Operand::Vector(parts))
    }

    fn address(&mut self) -> Result<Operand<'a>, ()> {
        let base = self.next()?;
        let offset = self.offset()?;
        self.expect("]")?;
        if is_word(base) { Ok(Operand::Address { base, offset }) } else { Err(()) }
    }

    /// `+8`, `+-8`, `-8`, or nothing.
    fn offset(&mut self) -> Result<i64, ()> {
        let plus = self.take("+");
        let minus = self.take("-");
        if !(plus || minus) {
            return Ok(0);
        }
        let number = whole(self.next()?).and_then(|number| i64::try_from(number).ok()).ok_or(())?;
        Ok(if minus { -number } else { number })
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|sign: char| sign.is_ascii_alphanumeric() || "_$%.".contains(sign))
}
