/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Edits from a to b: insert, delete, replace, swap of neighbours (three rows of the table). */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][CLI_WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    size_t a_len = strlen(a), b_len = strlen(b);
    if (a_len > CLI_WORD_MAX || b_len > CLI_WORD_MAX) return SIZE_MAX;

    for (size_t j = 0; j <= b_len; j++) last[j] = before[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b_len];
}

cli_nearest cli_nearest_to(const char *word)
{
    size_t farthest = strlen(word) / 3 + 1; /* a word with more edits is another word */
    return (cli_nearest){.word = word, .edits = farthest + 1};
}

void cli_nearest_try(cli_nearest *nearest, const char *candidate)
{
    size_t typed = strlen(nearest->word);
    bool begins = typed >= 3 && strncmp(candidate, nearest->word, typed) == 0;
    size_t edits = begins ? 1 : distance(nearest->word, candidate);
    if (edits >= nearest->edits) return;
    nearest->edits = edits;
    snprintf(nearest->found, sizeof nearest->found, "%s", candidate);
}
