/* SPDX-License-Identifier: MIT */
/*
 * Checks for code that may run on any thread and deep inside callbacks. A
 * failure says where; in the thread that runs the cases it ends the case, as
 * cmocka's own asserts do, anywhere else the program.
 */
#ifndef PAWL_TESTS_CHECK_H
#define PAWL_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* This thread runs the cases. Without it every failure ends the program. */
void check_cases_run_here(void);

_Noreturn void check_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Ends the case in the thread that runs it: it cannot be played here. Prints why, without which
 * scripts/test counts it as failed.
 */
_Noreturn void skip_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define FAIL_TEST(...) check_failed(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) FAIL_TEST("%s: not so: %s", __func__, #condition);                       \
    } while (0)

#endif
