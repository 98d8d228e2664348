//! Small kernels, each for one thing that the machine has to do right.

use super::launch::{Fault, Launch, Memory};
use crate::ptx::Module;

/// One array that a kernel may use.
struct Array {
    first: u64,
    bytes: usize,
}

impl Memory for Array {
    fn holds(&self, address: u64, length: usize) -> bool {
        let offset = address.wrapping_sub(self.first);
        offset <= self.bytes as u64 && length as u64 <= self.bytes as u64 - offset
    }
}

/// Runs a kernel of these instructions on an array, whose address is `%a`, with a block of as many
/// threads. `%t` is the thread's number and `%w` the address of its word.
fn run(body: &str, array: &mut [u32], threads: u32) -> Result<(), Fault> {
    run_in(&kernel(body), array, threads)
}

fn kernel(body: &str) -> String {
    format!(
        ".visible .entry it(.param .u64 at) {{
        .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %d<9>; .reg .f32 %f<9>;
        .reg .b32 %t; .reg .b64 %a; .reg .b64 %w;
        ld.param.u64 %a, [at]; cvta.to.global.u64 %a, %a;
        mov.u32 %t, %tid.x; mul.wide.u32 %w, %t, 4; add.s64 %w, %w, %a;
        {body}
        ret; }}"
    )
}

fn run_in(text: &str, array: &mut [u32], threads: u32) -> Result<(), Fault> {
    let module = Module::parse(text).expect("the test's text is right");
    let first = array.as_mut_ptr().expose_provenance() as u64;
    let memory = Array { first, bytes: size_of_val(array) };
    let arguments = [first.to_le_bytes().to_vec()];
    let launch =
        Launch { grid: [1; 3], block: [threads, 1, 1], shared_bytes: 64, arguments: &arguments };
    let kernel = module.kernel("it").expect("the test's text has this kernel");
    super::run(&module, kernel, &launch, &memory).map(|_| ())
}

/// What a kernel of one thread leaves in an array of zeros.
fn result<const N: usize>(body: &str) -> [u32; N] {
    let mut array = [0; N];
    run(body, &mut array, 1).expect("the kernel does nothing wrong");
    array
}

#[test]
fn bf16_arithmetic_is_rounded_once() {
    // 1.0078125 times itself plus 1 is 2.0157: between 2.0 and 2.015625, above the middle.
    let body = "mov.b16 %h1, 0x3f81; mov.b16 %h2, 0x3f80; fma.rn.bf16 %h3, %h1, %h1, %h2;
        st.global.u16 [%a], %h3;";
    assert_eq!(result::<1>(body), [0x4001]);
    let pair = "mov.b32 %r1, 0x3f803f81; mov.b32 %r2, 0x40003f81; mov.b32 %r3, 0x00003f80;
        fma.rn.bf16x2 %r4, %r1, %r2, %r3; st.global.u32 [%a], %r4;";
    assert_eq!(result::<1>(pair), [0x4000_4001]);
}

#[test]
fn additions_are_rounded_in_the_direction_that_is_asked_for() {
    let body = "mov.f32 %f1, 0f3F800000; mov.f32 %f2, 0f30000000;
        add.rp.f32 %f3, %f1, %f2; add.rn.f32 %f4, %f1, %f2; neg.f32 %f1, %f1;
        add.rz.f32 %f5, %f1, %f2; add.rm.f32 %f6, %f1, %f2;
        st.global.v4.f32 [%a], {%f3, %f4, %f5, %f6};";
    let mut array = Aligned([0; 4]);
    run(body, &mut array.0, 1).expect("the kernel does nothing wrong");
    assert_eq!(array.0, [0x3f80_0001, 0x3f80_0000, 0xbf7f_ffff, 0xbf80_0000]);
}

#[repr(align(16))]
struct Aligned([u32; 4]);

#[test]
fn what_is_not_a_number_is_passed_over_compared_and_flushed_as_it_is_asked_for() {
    let body = "mov.f32 %f1, 0f7FC00000; mov.f32 %f2, 0f3F800000; mov.f32 %f3, 0f00000001;
        min.f32 %f4, %f1, %f2; min.NaN.f32 %f5, %f1, %f2; add.ftz.f32 %f6, %f3, %f3;
        setp.lt.f32 %p1, %f1, %f2; setp.ltu.f32 %p2, %f1, %f2; setp.lt.and.f32 %p3|%p4, %f2, %f1, %p2;
        selp.u32 %r1, 1, 0, %p1; selp.u32 %r2, 2, 0, %p2; selp.u32 %r3, 4, 0, %p4;
        or.b32 %r1, %r1, %r2; or.b32 %r1, %r1, %r3;
        st.global.f32 [%a], %f4; st.global.f32 [%a+4], %f5; st.global.f32 [%a+8], %f6;
        st.global.u32 [%a+12], %r1;";
    assert_eq!(result::<4>(body), [0x3f80_0000, 0x7fff_ffff, 0, 6]);
}

#[test]
fn floats_become_integers_of_the_range_and_0_where_they_are_no_numbers() {
    let body = "mov.f32 %f1, 0f7FC00000; mov.f32 %f2, 0fCF800000; mov.f32 %f3, 0f40200000;
        cvt.rzi.s32.f32 %r1, %f1; cvt.rzi.u32.f32 %r2, %f2; cvt.rzi.s32.f32 %r3, %f2;
        cvt.rni.s32.f32 %r4, %f3;
        st.global.u32 [%a], %r1; st.global.u32 [%a+4], %r2; st.global.u32 [%a+8], %r3;
        st.global.u32 [%a+12], %r4;";
    assert_eq!(result::<4>(body), [0, 0, 0x8000_0000, 2]);
}

#[test]
fn signed_values_fill_the_register_that_is_wider() {
    let body = "mov.u32 %r1, 0x80; st.global.u8 [%a], %r1; ld.global.s8 %h1, [%a];
        cvt.s32.s16 %r2, %h1; cvt.u32.u16 %r3, %h1; cvt.s8.s32 %r4, %r1;
        st.global.u32 [%a], %r2; st.global.u32 [%a+4], %r3; st.global.u32 [%a+8], %r4;";
    assert_eq!(result::<3>(body), [0xffff_ff80, 0xff80, 0xffff_ff80]);
}

#[test]
fn a_carry_chain_adds_numbers_of_two_words() {
    let body = "mov.u32 %r1, 0xffffffff; mov.u32 %r2, 1; add.cc.u32 %r3, %r1, %r2;
        addc.u32 %r4, %r1, 7; mad.lo.cc.u32 %r5, %r1, %r1, %r1; madc.hi.u32 %r6, %r1, %r1, 0;
        st.global.u32 [%a], %r3; st.global.u32 [%a+4], %r4;
        st.global.u32 [%a+8], %r5; st.global.u32 [%a+12], %r6;";
    assert_eq!(result::<4>(body), [0, 7, 0, 0xffff_ffff]);
}

#[test]
fn a_barrier_shows_every_thread_what_the_others_wrote() {
    let body = ".shared .align 4 .b8 words[256]; mov.u32 %r1, words; shl.b32 %r2, %t, 2;
        add.s32 %r3, %r1, %r2; st.shared.u32 [%r3], %t; bar.sync 0;
        sub.s32 %r4, 252, %r2; add.s32 %r4, %r4, %r1; ld.shared.u32 %r5, [%r4];
        st.global.u32 [%w], %r5;";
    let mut array = [0; 64];
    run(body, &mut array, 64).expect("the kernel does nothing wrong");
    assert!(array.iter().rev().copied().eq(0..64));
}

#[test]
fn memory_that_was_not_written_is_full_of_a_pattern_in_each_block_and_thread() {
    let body = ".shared .align 4 .b8 words[4]; .local .align 4 .b8 own[4];
        ld.shared.u32 %r1, [words]; ld.local.u32 %r2, [own]; st.shared.u32 [words], %t;
        st.local.u32 [own], %t; and.b32 %r1, %r1, %r2; st.global.u32 [%w], %r2;
        setp.eq.u32 %p1, %t, 0; @%p1 st.global.u32 [%w], %r1;";
    let mut array = [0; 2];
    run(body, &mut array, 2).expect("the kernel does nothing wrong");
    assert_eq!(array, [0xcbcb_cbcb; 2]);
}

#[test]
fn lanes_exchange_values_and_votes() {
    let body = "shfl.sync.bfly.b32 %r1, %t, 1, 31, -1; shfl.sync.down.b32 %r2|%p1, %t, 1, 31, -1;
        shfl.sync.up.b32 %r3, %t, 2, 0, -1; shfl.sync.idx.b32 %r4, %t, 5, 31, -1;
        setp.lt.u32 %p2, %t, 4; vote.sync.ballot.b32 %r5, %p2, -1; selp.u32 %r6, 1, 0, %p1;
        mad.lo.u32 %r1, %r2, 100, %r1; mad.lo.u32 %r1, %r3, 10000, %r1;
        mad.lo.u32 %r1, %r4, 1000000, %r1; mad.lo.u32 %r1, %r6, 10000000, %r1;
        add.u32 %r1, %r1, %r5; st.global.u32 [%w], %r1;";
    let mut array = [0; 32];
    run(body, &mut array, 32).expect("the kernel does nothing wrong");
    assert_eq!(array[0], 15_000_101 + 15);
    assert_eq!(array[31], 5_293_130 + 15);
}

#[test]
fn lanes_that_have_ended_are_not_waited_for() {
    let body = "setp.gt.u32 %p1, %t, 2; @%p1 ret; setp.eq.u32 %p2, %t, 0; @%p2 bra ENDS;
        shfl.sync.idx.b32 %r2, %t, 2, 31, 14; st.global.u32 [%w], %r2; ENDS: bar.sync 0;";
    let mut array = [0; 32];
    run(body, &mut array, 32).expect("the kernel does nothing wrong");
    assert_eq!(array[..4], [0, 2, 2, 0]);
}

#[test]
fn a_function_takes_arguments_and_gives_a_result() {
    let function = ".func (.param .b32 out) twice(.param .b32 in) { .reg .b32 %r<2>;
        .local .align 8 .b8 kept[8]; .reg .b64 %d1;
        ld.param.u32 %r1, [in]; mov.u64 %d1, kept; cvta.local.u64 %d1, %d1;
        st.u32 [%d1+4], %r1; ld.local.u32 %r0, [kept+4]; add.s32 %r1, %r1, %r0;
        st.param.b32 [out], %r1; ret; }";
    let body = "{ .param .b32 in; st.param.b32 [in], 21; .param .b32 out;
        call.uni (out), twice, (in); ld.param.b32 %r1, [out+0]; } st.global.u32 [%a], %r1;";
    let mut array = [0];
    run_in(&format!("{function}\n{}", kernel(body)), &mut array, 1).expect("nothing is wrong");
    assert_eq!(array, [42]);
}

#[test]
fn variables_of_the_module_have_their_first_values() {
    let table = ".const .align 4 .u32 table[3] = {5, 0x6, 7}; .global .f32 half = 0f3F000000;";
    let body = "mov.u64 %d1, table; ld.const.u32 %r1, [%d1+8]; ld.global.u32 %r2, [half];
        st.global.u32 [%a], %r1; st.global.u32 [%a+4], %r2;";
    let mut array = [0; 2];
    run_in(&format!("{table}{}", kernel(body)), &mut array, 1).expect("nothing is wrong");
    assert_eq!(array, [7, 0x3f00_0000]);
}

#[test]
fn atomics_give_the_old_value_and_no_addition_is_lost() {
    let body = "atom.global.add.u32 %r1, [%a], 1; red.global.max.u32 [%a+4], %t;
        atom.global.cas.b32 %r2, [%a+8], 0, 9; mov.f32 %f1, 0f3F000000; red.add.f32 [%a+12], %f1;";
    let mut array = [0; 4];
    run(body, &mut array, 40).expect("the kernel does nothing wrong");
    assert_eq!(array, [40, 39, 9, 20.0_f32.to_bits()]);
}

#[test]
fn addresses_that_are_outside_or_not_aligned_end_the_kernel() {
    let outside = [
        "ld.global.u32 %r1, [%a+8];",
        "ld.global.u32 %r1, [%a+-4];",
        "st.global.u16 [%a+1], %h1;",
        "mov.u64 %d1, 0; ld.u32 %r1, [%d1];",
        "ld.global.v2.u32 {%r1, %r2}, [%a+4];",
        "mov.u64 %d1, -1; ld.global.u64 %d2, [%d1+-7];",
        ".shared .align 4 .b8 words[16]; ld.shared.u32 %r1, [words+192];",
        "mov.u64 %d1, 99999; st.local.u8 [%d1], %h1;",
    ];
    for body in outside {
        let fault = run(body, &mut [0; 2], 1);
        assert!(matches!(fault, Err(Fault::Address(_))), "{body}: {fault:?}");
    }
    let Err(Fault::Address(told)) = run("\nst.global.u16 [%a+1], %h1;", &mut [0], 1) else {
        panic!("no fault");
    };
    assert!(told.starts_with("kernel `it`: Global address 0x"), "{told}");
    assert!(told.ends_with(" of 2 bytes is not aligned, in line 7 of `it`"), "{told}");
}

#[test]
fn what_is_not_known_and_what_never_ends_fails_when_it_is_reached() {
    let failing = [
        "frobnicate.b32 %r1, %r2;",
        "trap;",
        "bar.sync 0, 64;",
        "AGAIN: bra AGAIN;",
        "setp.eq.u32 %p1, %t, 0; @%p1 bar.sync 0; @!%p1 bar.sync 1;",
        "setp.eq.u32 %p1, %t, 0; @%p1 shfl.sync.idx.b32 %r1, %t, 0, 31, -1; @!%p1 bar.sync 0;",
        "call.uni nobody, ();",
    ];
    for body in failing {
        let fault = run(body, &mut [0; 2], 2);
        assert!(matches!(fault, Err(Fault::Failed(_))), "{body}: {fault:?}");
    }
    let passed = run("bra END; frobnicate.b32 %r1; END: ret;", &mut [0], 1);
    assert_eq!(passed, Ok(()));
}

#[test]
fn a_text_that_cannot_be_right_is_refused_with_its_line() {
    let text = "\n.entry it() { .reg .b32 %r1;\n add.s32 %r1, %r1, missing;\n}";
    let told = Module::parse(text).expect_err("refused");
    assert_eq!(told, "line 3: `missing` is not declared: `add.s32 %r1 , %r1 , missing`");
    let told = Module::parse(".entry it() { bra NOWHERE; }").expect_err("refused");
    assert_eq!(told, "line 1: no label `NOWHERE`");
}

#[test]
fn names_and_labels_of_inner_blocks_are_their_own() {
    let body = "mov.u32 %r1, 1;
        { .reg .b32 %r1; mov.u32 %r1, 5; bra HERE; mov.u32 %r1, 6; HERE: add.u32 %r2, %r1, 1; }
        { .reg .b32 x; mov.b32 x, 7; bra HERE; mov.b32 x, 8; HERE: add.u32 %r3, x, 1; }
        st.global.u32 [%a], %r1; st.global.u32 [%a+4], %r2; st.global.u32 [%a+8], %r3;";
    assert_eq!(result::<3>(body), [1, 6, 8]);
}

#[test]
fn shared_memory_of_the_launch_comes_after_the_kernels_own() {
    let outer = ".extern .shared .align 16 .b8 more[];";
    let body = ".shared .align 4 .b8 own[8]; mov.u32 %r1, more;
        mov.u64 %d1, more; cvta.shared.u64 %d1, %d1; mov.u32 %r3, 9; st.u32 [%d1+60], %r3;
        ld.shared.u32 %r4, [%r1+60]; st.global.u32 [%a], %r1; st.global.u32 [%a+4], %r4;";
    let mut array = [0; 2];
    run_in(&format!("{outer}{}", kernel(body)), &mut array, 1).expect("nothing is wrong");
    assert_eq!(array, [128, 9]);
}
