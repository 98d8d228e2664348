// Functions in the place of CUDA's, for x86-64 (System V), in Intel's syntax. See functions.rs.

// A function `name` of the library of this number, and its record.
// It has a section of its own, so that the linker drops it where nothing calls it.
.macro cuda_function name, library
    .section .text.\name, "ax", @progbits
    .globl \name
    .hidden \name
    .type \name, @function
\name:
    mov r11, qword ptr [rip + .Lrecord_\name]
    test r11, r11
    jz 2f
    jmp r11
2:  lea r11, [rip + .Lrecord_\name]
    jmp .Lcuda_first_call
    .size \name, . - \name

    cuda_record \name, \library
.endm

// Finds the function of the record in r11 and jumps to it, with all registers that may hold arguments
// as the caller set them. The stack is aligned to 16 bytes once rbp is on it.
    .section .text.cuda_first_call, "ax", @progbits
    .type .Lcuda_first_call, @function
.Lcuda_first_call:
    push rbp
    mov rbp, rsp
    sub rsp, 176
    movaps [rsp], xmm0
    movaps [rsp + 16], xmm1
    movaps [rsp + 32], xmm2
    movaps [rsp + 48], xmm3
    movaps [rsp + 64], xmm4
    movaps [rsp + 80], xmm5
    movaps [rsp + 96], xmm6
    movaps [rsp + 112], xmm7
    mov [rsp + 128], rdi
    mov [rsp + 136], rsi
    mov [rsp + 144], rdx
    mov [rsp + 152], rcx
    mov [rsp + 160], r8
    mov [rsp + 168], r9
    mov rdi, r11
    call {resolve}
    mov r11, rax
    movaps xmm0, [rsp]
    movaps xmm1, [rsp + 16]
    movaps xmm2, [rsp + 32]
    movaps xmm3, [rsp + 48]
    movaps xmm4, [rsp + 64]
    movaps xmm5, [rsp + 80]
    movaps xmm6, [rsp + 96]
    movaps xmm7, [rsp + 112]
    mov rdi, [rsp + 128]
    mov rsi, [rsp + 136]
    mov rdx, [rsp + 144]
    mov rcx, [rsp + 152]
    mov r8, [rsp + 160]
    mov r9, [rsp + 168]
    leave
    jmp r11
    .size .Lcuda_first_call, . - .Lcuda_first_call

