/* SPDX-License-Identifier: MIT */
/* The threads of a run side by side, as its last lines. */
#include "run.h"

#include <stdio.h>
#include <string.h>

#define COLUMN 26
#define TAIL   160 /* the lines before the end that are shown whole; before, only calls */

static void print_names(void)
{
    printf("%7s %9s", "step", "us");
    for (int i = 0; i < S->count; i++) printf("  %-*.*s", COLUMN, COLUMN, S->threads[i].name);
    printf("\n");
}

static bool is_same(const line *a, const line *b)
{
    return a->thread == b->thread && strcmp(a->text, b->text) == 0;
}

void timeline_print(void)
{
    int64_t first = S->line_count ? S->lines[0].at : 0;
    int skipped = 0;
    print_names();
    for (int i = 0; i < S->line_count; i++) {
        const line *l = &S->lines[i];
        bool late = i >= S->line_count - TAIL;
        if ((!late && !l->is_call) || (i > 0 && !l->is_call && is_same(l, l - 1))) {
            skipped++;
            continue;
        }
        printf("%7u %9lld", l->step, (long long)((l->at - first) / US));
        for (int t = 0; t < l->thread; t++) printf("  %-*s", COLUMN, i % 4 ? "" : ".");
        printf("  %s\n", l->text);
    }
    printf("(%d lines between calls are left out)\n", skipped);
}
