//! Calls: `call.uni (result), function, (argument, argument)`.

use super::decoder::Refused;
use crate::ptx::function::Initial;
use crate::ptx::operation::{Call, Op};
use crate::ptx::scope::{Scope, Variable};
use crate::ptx::tokens::Token;

/// The call in the tokens after its opcode. The arguments and results are variables of the frame;
/// a call through a register is not known.
pub(super) fn decode(tokens: &[Token<'_>], scope: &mut Scope) -> Result<Op, Refused> {
    let mut words = tokens.iter().map(|token| token.text).peekable();
    let mut lists = [Vec::new(), Vec::new()];
    let mut function = None;
    while let Some(word) = words.next() {
        match word {
            "(" => {
                let list = &mut lists[usize::from(function.is_some())];
                for name in words.by_ref().take_while(|&word| word != ")").filter(|&it| it != ",") {
                    list.push(offset(name, scope)?);
                }
            }
            "," => {}
            name if function.is_none() && !name.starts_with('%') => function = Some(name),
            _ => return Err(Refused::Unknown),
        }
    }
    let [results, arguments] = lists;
    let function = function.ok_or(Refused::Unknown)?.into();
    Ok(Op::Call(Box::new(Call { function, index: None, arguments, results })))
}

fn offset(name: &str, scope: &mut Scope) -> Result<u32, Refused> {
    match scope.find(name) {
        Some(Variable::Place(Initial::Frame(offset))) => Ok(offset),
        _ => Err(Refused::Unknown),
    }
}
