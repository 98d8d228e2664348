//! A function's body: declarations, labels, and instructions with their guards.

use std::collections::HashMap;

use super::cursor::{Cursor, text, wrong};
use super::declaration::declarations;
use super::decode::{self, Refused};
use super::function::{Function, Initial, Place};
use super::module;
use super::operation::{Instruction, Op};
use super::scope::{Scope, Variable};

/// Reads a list of parameters or results in parentheses.
///
/// # Errors
///
/// What is not understood, with its line.
pub(super) fn places(
    cursor: &mut Cursor<'_>,
    scope: &mut Scope,
    into: &mut Vec<Place>,
) -> Result<(), String> {
    cursor.expect("(")?;
    while !cursor.take(")") {
        for it in declarations(cursor, true)? {
            let offset = scope.place(it.name, it.bytes, it.align);
            into.push(Place { offset, bytes: it.bytes, align: it.align });
        }
        cursor.take(",");
    }
    Ok(())
}

/// A label's place, by its name and its block: a name may stand in several blocks.
type Labels = HashMap<(String, u32), u32>;

/// A branch whose label may come later.
struct Pending {
    at: usize,
    label: String,
    path: Vec<u32>,
    line: u32,
}

struct Body<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    scope: Scope,
    code: Vec<Instruction>,
    labels: Labels,
    pending: Vec<Pending>,
    shared_bytes: u32,
    is_kernel: bool,
}

/// Reads a body with its braces.
///
/// # Errors
///
/// What is not understood, with its line.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    scope: Scope,
    function: &mut Function,
    is_kernel: bool,
) -> Result<(), String> {
    cursor.expect("{")?;
    let mut body = Body {
        cursor,
        scope,
        code: Vec::new(),
        labels: Labels::new(),
        pending: Vec::new(),
        shared_bytes: function.shared_bytes,
        is_kernel,
    };
    while body.statement()? {}
    body.push(None, Op::Return);
    body.resolve()?;
    function.shared_bytes = body.shared_bytes;
    function.code = body.code;
    (function.slots, function.frame_bytes, function.initial) = body.scope.finish();
    Ok(())
}

impl Body<'_, '_> {
    /// Reads one statement; false where it was the end of the body.
    fn statement(&mut self) -> Result<bool, String> {
        let Some(word) = self.cursor.peek(0) else {
            return Err(self.cursor.wrong("a body that does not end"));
        };
        match word {
            "{" => {
                self.cursor.next()?;
                self.scope.open();
            }
            "}" => {
                self.cursor.next()?;
                return Ok(self.scope.close());
            }
            ";" => _ = self.cursor.next()?,
            _ if self.cursor.peek(1) == Some(":") => self.label(word)?,
            _ if word.starts_with(".pragma") => _ = self.cursor.statement(),
            _ if word.starts_with('.') => self.declare()?,
            _ => self.instruction()?,
        }
        Ok(true)
    }

    fn label(&mut self, name: &str) -> Result<(), String> {
        self.cursor.next()?;
        self.cursor.next()?;
        // A list of targets or a prototype: only what this machine does not know uses them.
        if self.cursor.peek(0).is_some_and(|word| word.starts_with('.') && is_list(word)) {
            self.cursor.statement();
            return Ok(());
        }
        let block = self.scope.path().last().copied().unwrap_or_default();
        let here = self.code.len() as u32;
        self.labels.insert((name.to_owned(), block), here);
        Ok(())
    }

    fn declare(&mut self) -> Result<(), String> {
        for it in declarations(self.cursor, false)? {
            match (it.space, it.registers) {
                ("reg", Some(count)) => self.scope.registers(it.name, count, it.kind),
                ("reg", None) => self.scope.register(it.name, it.kind),
                ("param" | "local", _) => {
                    self.scope.place(it.name, it.bytes, it.align);
                }
                ("shared", _) => {
                    let address = u64::from(module::shared(&it, &mut self.shared_bytes));
                    self.scope.name(it.name, Variable::Place(Initial::Literal(address)));
                    if !self.is_kernel {
                        // Its caller has put its own shared variables in the same place.
                        self.push(None, Op::Unknown("shared memory of a function".into()));
                    }
                }
                _ => {
                    return Err(self.cursor.wrong("a variable of this space in a function before"));
                }
            }
        }
        self.cursor.expect(";")
    }

    fn push(&mut self, guard: Option<(u32, bool)>, op: Op) {
        self.code.push(Instruction { guard, op, line: self.cursor.line() });
    }

    fn instruction(&mut self) -> Result<(), String> {
        let line = self.cursor.line();
        let guard = self.guard()?;
        let tokens = self.cursor.statement().to_vec();
        let Some((opcode, rest)) = tokens.split_first() else {
            return Err(wrong(line, "an instruction is missing", &tokens));
        };
        let (before, op) = if opcode.text.split('.').next() == Some("bra") {
            let label = rest.last().map_or("", |token| token.text);
            (Vec::new(), Ok(self.branch(label, line)))
        } else {
            decode::statement(opcode.text, rest, &mut self.scope)
        };
        let op = match op {
            Ok(op) => op,
            Err(Refused::Unknown) => Op::Unknown(text(&tokens).into()),
            Err(Refused::Wrong(what)) => return Err(wrong(line, &what, &tokens)),
        };
        self.code.extend(before.into_iter().map(|op| Instruction { guard: None, op, line }));
        if let (Op::Branch { .. }, Some(pending)) = (&op, self.pending.last_mut()) {
            pending.at = self.code.len();
        }
        self.code.push(Instruction { guard, op, line });
        Ok(())
    }

    /// `@%p1` or `@!%p1`.
    fn guard(&mut self) -> Result<Option<(u32, bool)>, String> {
        if !self.cursor.take("@") {
            return Ok(None);
        }
        let wanted = !self.cursor.take("!");
        let name = self.cursor.next()?;
        match self.scope.find(name) {
            Some(Variable::Register { slot, .. }) => Ok(Some((slot, wanted))),
            _ => Err(self.cursor.wrong(&format!("the guard `{name}` is not declared"))),
        }
    }

    fn branch(&mut self, label: &str, line: u32) -> Op {
        let path = self.scope.path();
        self.pending.push(Pending { at: 0, label: label.to_owned(), path, line });
        Op::Branch { target: 0 }
    }

    fn resolve(&mut self) -> Result<(), String> {
        for branch in std::mem::take(&mut self.pending) {
            let find = |&block: &u32| self.labels.get(&(branch.label.clone(), block));
            let Some(&target) = branch.path.iter().rev().find_map(find) else {
                return Err(format!("line {}: no label `{}`", branch.line, branch.label));
            };
            self.code[branch.at].op = Op::Branch { target };
        }
        Ok(())
    }
}

fn is_list(word: &str) -> bool {
    matches!(word, ".branchtargets" | ".calltargets" | ".callprototype")
}
