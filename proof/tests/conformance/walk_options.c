/* SPDX-License-Identifier: MIT */
/* What is said on the walk's command line. */
#define _GNU_SOURCE
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const walk_lie *lie_named(const char *name)
{
    for (size_t i = 0; i < walk_lie_count; i++)
        if (strcmp(walk_lies[i].name, name) == 0) return &walk_lies[i];
    fprintf(stderr, "walk: no lie %s\n", name);
    exit(64);
}

static _Noreturn void usage(const char *word)
{
    fprintf(stderr, "walk: what is %s?\n", word);
    exit(64);
}

void walk_read_options(walk_options *o, int argc, char **argv)
{
    for (int i = 3; i < argc; i++) {
        uint64_t *number = strcmp(argv[i], "--seed") == 0      ? &o->seed
                           : strcmp(argv[i], "--seeds") == 0   ? &o->seeds
                           : strcmp(argv[i], "--steps") == 0   ? &o->steps
                           : strcmp(argv[i], "--seconds") == 0 ? &o->seconds
                                                               : NULL;
        bool has_value = i + 1 < argc;
        if (number) {
            if (!has_value) usage(argv[i]);
            *number = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--lie") == 0 && has_value) {
            o->lie = lie_named(argv[++i]);
        } else if (strcmp(argv[i], "--lies") == 0) {
            o->lies = true;
        } else {
            usage(argv[i]);
        }
    }
}
