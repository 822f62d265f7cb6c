/* SPDX-License-Identifier: MIT */
/* "did you mean ...": finds the word that is nearest to what was typed. */
#ifndef PAWL_CLI_NEAREST_H
#define PAWL_CLI_NEAREST_H

#include <stddef.h>

#define CLI_WORD_MAX 32 /* bytes of the longest option or verb, with room */

typedef struct cli_nearest {
    const char *word; /* what was typed */
    size_t edits;     /* how far `found` is from it */
    char found[CLI_WORD_MAX];
} cli_nearest;

cli_nearest cli_nearest_to(const char *word);
void cli_nearest_try(cli_nearest *nearest, const char *candidate);

#endif
