/* SPDX-License-Identifier: MIT */
/*
 * On x86-64 a dozen instructions of our own: what the system offers (swapcontext) makes two
 * system calls each time. Elsewhere it must do.
 */
#define _GNU_SOURCE
#include "switch.h"

#include <stdint.h>
#include <string.h>

#ifdef __x86_64__

__asm__(".text\n"
        ".globl switch_stack\n"
        ".type switch_stack, @function\n"
        "switch_stack:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size switch_stack, . - switch_stack\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");

void *switch_prepare(void *stack, size_t size, void (*main)(void))
{
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    uintptr_t *sp = (uintptr_t *)top;
    *--sp = 0; /* main has nowhere to return to, and finds the stack aligned as after a call */
    *--sp = (uintptr_t)main;
    for (int i = 0; i < 6; i++) *--sp = 0;
    return sp;
}

#else

#include <ucontext.h>

/* The context lies on its own stack; a stack pointer is the address of it. */
void switch_stack(void **ret_sp, void *to_sp)
{
    ucontext_t here;
    *ret_sp = &here;
    swapcontext(&here, to_sp);
}

void *switch_prepare(void *stack, size_t size, void (*main)(void))
{
    ucontext_t *first = stack; /* the far end: used up before the stack grows so far */
    memset(first, 0, sizeof *first);
    getcontext(first);
    first->uc_stack.ss_sp = (char *)stack + sizeof *first;
    first->uc_stack.ss_size = size - sizeof *first;
    makecontext(first, main, 0);
    return first;
}

#endif
