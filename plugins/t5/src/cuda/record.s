// What a function of ours knows of CUDA's, on every processor: the struct `Function` of libraries.rs. The
// sections are its own, so that the linker drops what belongs to a function that nothing calls.
.macro cuda_record name, library
    .section .data.\name, "aw", @progbits
    .balign 8
.Lrecord_\name:
    .quad 0
    .quad .Lname_\name
    .quad \library

    .section .rodata.\name, "a", @progbits
.Lname_\name:
    .asciz "\name"
.endm
