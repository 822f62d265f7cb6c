/* SPDX-License-Identifier: MIT */
/* A temporary directory with a database for each test, and two hosts to use it. */
#ifndef PAWL_TESTS_SQLITE_PLACE_H
#define PAWL_TESTS_SQLITE_PLACE_H

#include "host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define TTL 30000

extern char dir[64], path[96];
extern host a, b;

/* For cmocka. */
int setup(void **state);
int teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* SQL by another hand, on the file. */
void sql(const char *text);
int64_t sql_int(const char *text);

/* The name of a file beside the database; ret_file has 160 bytes. */
void beside(char *ret_file, const char *suffix);

seen_reply acquire(host *h, const char *name, int token);
seen_reply release(host *h, const char *name, int token);
seen_row inspect(host *h, const char *name, const char *token);

#endif
