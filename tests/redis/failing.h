/* SPDX-License-Identifier: MIT */
/* Included before everything else in a build of the store whose allocations can be made to fail. */
#ifndef PAWL_TESTS_REDIS_FAILING_H
#define PAWL_TESTS_REDIS_FAILING_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *failing_malloc(size_t size);
void *failing_calloc(size_t count, size_t size);
void *failing_realloc(void *block, size_t size);
char *failing_strdup(const char *text);
int failing_asprintf(char **ret_text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifndef FAILING_ITSELF
#undef strdup
#define malloc   failing_malloc
#define calloc   failing_calloc
#define realloc  failing_realloc
#define strdup   failing_strdup
#define asprintf failing_asprintf
#endif

/* The n-th allocation from now on fails (0: none), and after it all others too if for_ever. */
void failing_arm(unsigned n, bool for_ever);
/* Allocations since failing_arm. */
unsigned failing_count(void);

#endif
