//! Kernels as the CUDA compiler writes them: PTX, read into instructions with numbered registers.
//!
//! What is not known is kept as [`Op::Unknown`](operation::Op) and fails only when it is executed, so
//! that a text can be used for its other kernels.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "registers are bits: to narrow them and to read them as signed is what is meant"
)]

mod arithmetic;
mod body;
mod cursor;
mod declaration;
mod decode;
pub(crate) mod function;
mod global;
mod literal;
mod module;
pub(crate) mod operation;
pub(crate) mod scalar;
mod scope;
mod tokens;

use function::Function;
pub(crate) use global::Globals;

/// A text's kernels, the functions that they call, and the module's variables.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) functions: Vec<Function>,
    pub(crate) globals: Globals,
    kernels: Vec<Kernel>,
}

/// What can be launched.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    /// Its place in the module's functions.
    pub(crate) function: usize,
    /// Whether its threads have to wait for each other.
    pub(crate) waits: bool,
}

/// A parameter's size and alignment in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) size: usize,
    pub(crate) align: usize,
}

impl Module {
    /// Reads a text, which may end with NUL.
    ///
    /// # Errors
    ///
    /// The line and the text of what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Module, String> {
        module::read(text)
    }

    pub(crate) fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.kernels.iter().find(|kernel| kernel.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Module, Parameter};

    #[test]
    fn a_kernel_has_its_parameters_and_a_text_with_unknown_instructions_is_read() {
        let text = ".version 9.0\n.target sm_80\n.address_size 64
            .extern .func nobody (.param .b32 a) ;
            .visible .entry it(.param .u64 .ptr .global .align 16 a, .param .u8 b,
                .param .align 4 .b8 c[12]) .maxntid 128, 1, 1
            { .reg .b64 %rd<2>; wgmma.fence.sync.aligned; ld.param.u64 %rd1, [a]; ret; }\0";
        let module = Module::parse(text).expect("the text is right");
        let kernel = module.kernel("it").expect("the kernel is there");
        let expected = [(8, 8), (1, 1), (12, 4)].map(|(size, align)| Parameter { size, align });
        assert_eq!(kernel.parameters, expected);
        assert!(module.kernel("nobody").is_none());
    }

    #[test]
    fn what_is_not_understood_is_told_with_its_line() {
        let cases = [
            ("\nfrobnicate", "line 2: not a directive: `frobnicate`"),
            (".entry it() {", "line 1: a body that does not end: ``"),
            (".entry it() {\n.reg .b31 %r1;}", "line 2: an unknown declaration: `.b31 %r1 ; }`"),
            (".global .b8 a[3] = {1, x};", "line 1: an unknown value before: `} ;`"),
        ];
        for (text, told) in cases {
            assert_eq!(Module::parse(text).err().as_deref(), Some(told));
        }
    }
}
