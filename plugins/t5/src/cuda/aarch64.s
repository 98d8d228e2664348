// Functions in the place of CUDA's, for 64-bit ARM (AAPCS64). See functions.rs.

// A function `name` of the library of this number, and its record.
// It has a section of its own, so that the linker drops it where nothing calls it. The load acquires:
// another thread may have opened the library a moment ago.
.macro cuda_function name, library
    .section .text.\name, "ax", @progbits
    .globl \name
    .hidden \name
    .type \name, @function
    .balign 4
\name:
    adrp x16, .Lrecord_\name
    add x16, x16, :lo12:.Lrecord_\name
    ldar x17, [x16]
    cbz x17, 2f
    br x17
2:  b .Lcuda_first_call
    .size \name, . - \name

    cuda_record \name, \library
.endm

// Finds the function of the record in x16 and jumps to it, with all registers that may hold arguments
// (x8: where a struct is to be returned) as the caller set them.
    .section .text.cuda_first_call, "ax", @progbits
    .type .Lcuda_first_call, @function
    .balign 4
.Lcuda_first_call:
    stp x29, x30, [sp, #-224]!
    mov x29, sp
    stp q0, q1, [sp, #16]
    stp q2, q3, [sp, #48]
    stp q4, q5, [sp, #80]
    stp q6, q7, [sp, #112]
    stp x0, x1, [sp, #144]
    stp x2, x3, [sp, #160]
    stp x4, x5, [sp, #176]
    stp x6, x7, [sp, #192]
    str x8, [sp, #208]
    mov x0, x16
    bl {resolve}
    mov x17, x0
    ldp q0, q1, [sp, #16]
    ldp q2, q3, [sp, #48]
    ldp q4, q5, [sp, #80]
    ldp q6, q7, [sp, #112]
    ldp x0, x1, [sp, #144]
    ldp x2, x3, [sp, #160]
    ldp x4, x5, [sp, #176]
    ldp x6, x7, [sp, #192]
    ldr x8, [sp, #208]
    ldp x29, x30, [sp], #224
    br x17
    .size .Lcuda_first_call, . - .Lcuda_first_call

