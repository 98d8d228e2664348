//! The text's outermost level: variables, functions and kernels.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::declaration::{Declaration, declarations};
use super::function::{Function, Initial};
use super::operation::Op;
use super::scope::{Scope, Variable};
use super::tokens::tokens;
use super::{Kernel, Module, Parameter, body};

/// What is known when a function is read.
#[derive(Debug, Default)]
struct Known {
    /// The module's variables.
    names: HashMap<String, Variable>,
    /// Bytes of shared memory that the module declares.
    shared_bytes: u32,
}

/// Reads a whole text.
///
/// # Errors
///
/// The line and the text of what is not understood.
pub(super) fn read(text: &str) -> Result<Module, String> {
    let mut cursor = Cursor::new(tokens(text));
    let (mut module, mut known) = (Module::default(), Known::default());
    let mut is_extern = false;
    while let Some(word) = cursor.peek(0) {
        match word {
            ".visible" | ".weak" | ".common" | ";" => _ = cursor.next()?,
            ".extern" => {
                is_extern = true;
                cursor.next()?;
                continue;
            }
            ".entry" | ".func" => function(&mut cursor, &mut module, &known)?,
            ".pragma" | ".alias" => _ = cursor.statement(),
            ".section" => {
                while cursor.peek(0).is_some_and(|word| word != "{") {
                    cursor.next()?;
                }
                cursor.skip_pair("{", "}");
            }
            _ if word.starts_with('.') => {
                variables(&mut cursor, &mut module, &mut known, is_extern)?;
            }
            _ => return Err(cursor.wrong("not a directive")),
        }
        is_extern = false;
    }
    link(&mut module);
    Ok(module)
}

fn variables(
    cursor: &mut Cursor<'_>,
    module: &mut Module,
    known: &mut Known,
    is_extern: bool,
) -> Result<(), String> {
    let line = cursor.line();
    for it in declarations(cursor, false)? {
        let place = match it.space {
            "shared" if is_extern || it.bytes == 0 => Initial::DynamicShared,
            "shared" => Initial::Literal(u64::from(shared(&it, &mut known.shared_bytes))),
            "global" | "const" => {
                let find = |name: &str| match known.names.get(name) {
                    Some(Variable::Place(Initial::Literal(address))) => Some(*address),
                    _ => None,
                };
                let address = module.globals.add(&it, find);
                Initial::Literal(address.map_err(|told| format!("line {line}: {told}"))?)
            }
            space => return Err(format!("line {line}: `.{space}` outside of a function")),
        };
        known.names.insert(it.name.to_owned(), Variable::Place(place));
    }
    cursor.expect(";")
}

/// Takes shared memory for a variable; returns its address there.
pub(super) fn shared(it: &Declaration<'_>, taken: &mut u32) -> u32 {
    let address = taken.next_multiple_of(it.align.max(1));
    *taken = address.saturating_add(it.bytes);
    address
}

/// A kernel or a function, with a body or only declared.
fn function(cursor: &mut Cursor<'_>, module: &mut Module, known: &Known) -> Result<(), String> {
    let is_kernel = cursor.next()? == ".entry";
    let mut scope = Scope::new();
    for (name, &variable) in &known.names {
        scope.name(name, variable);
    }
    let mut function = Function { shared_bytes: known.shared_bytes, ..Function::default() };
    if cursor.peek(0) == Some("(") {
        body::places(cursor, &mut scope, &mut function.results)?;
    }
    cursor.next()?.clone_into(&mut function.name);
    if cursor.peek(0) == Some("(") {
        body::places(cursor, &mut scope, &mut function.parameters)?;
    }
    // Hints for the compiler, such as the most threads of a block.
    while cursor.peek(0).is_some_and(|word| word != "{" && word != ";") {
        cursor.next()?;
    }
    if cursor.take(";") {
        return Ok(());
    }
    body::read(cursor, scope, &mut function, is_kernel)?;
    if is_kernel {
        module.kernels.push(kernel(&function, module.functions.len()));
    }
    module.functions.push(function);
    Ok(())
}

fn kernel(function: &Function, index: usize) -> Kernel {
    let parameter = |place: &super::function::Place| Parameter {
        size: place.bytes as usize,
        align: place.align as usize,
    };
    Kernel {
        name: function.name.clone(),
        parameters: function.parameters.iter().map(parameter).collect(),
        function: index,
        waits: function.waits(),
    }
}

/// Finds the functions that calls name: they may come later in the text.
fn link(module: &mut Module) {
    let names: HashMap<String, usize> =
        module.functions.iter().enumerate().map(|(at, it)| (it.name.clone(), at)).collect();
    mark_callers(module);
    let all: Vec<(usize, usize)> =
        module.functions.iter().map(|it| (it.parameters.len(), it.results.len())).collect();
    for instruction in module.functions.iter_mut().flat_map(|function| &mut function.code) {
        let Op::Call(call) = &mut instruction.op else { continue };
        let found = names.get(&*call.function).copied();
        // A call that does not fit its function is as good as one of an unknown function.
        call.index = found.filter(|&at| all[at] == (call.arguments.len(), call.results.len()));
    }
}

/// A kernel that calls anything is taken to call all functions of the module.
fn mark_callers(module: &mut Module) {
    let is_kernel = |at: usize| module.kernels.iter().any(|kernel| kernel.function == at);
    let mut others = module.functions.iter().enumerate().filter(|&(at, _)| !is_kernel(at));
    let others_wait = others.any(|(_, function)| function.waits());
    for kernel in &mut module.kernels {
        kernel.waits |= others_wait && module.functions[kernel.function].calls();
    }
}
