/* SPDX-License-Identifier: MIT */
/* What a report tells about the holder of a lock, beyond its label. */
#ifndef PAWL_CLI_HOLDER_H
#define PAWL_CLI_HOLDER_H

#include <stdbool.h>
#include <stddef.h>

#include "pawl/types.h"

#define CLI_UTC_TEXT 32

#define CLI_TRACE_ID_LEN 32

/* The parts of a default label, "user@host pid program" or "user@host pid program trace=ID". */
typedef struct cli_holder {
    const char *user, *host, *program; /* parts of the label: not NUL-terminated */
    const char *trace;                 /* CLI_TRACE_ID_LEN digits, NUL-terminated; NULL: none */
    size_t user_len, host_len, program_len;
    long pid;
} cli_holder;

/* Splits a label into its parts. False: the user has chosen the label (--owner), and it has no such
 * parts. */
bool cli_holder_parse(const char *label, cli_holder *ret_holder);

/* Whether the lease with this fence holds the lock, beside whatever others, and for how long. */
bool cli_holder_of_fence(const pawl_info *info, uint64_t fence, int64_t *ret_remaining_ms);

/* "exclusive", "shared", "update", "permit". Static. */
const char *cli_mode_word(pawl_mode mode);

/*
 * Since when the present holder has it, "2026-11-28T23:22:01Z". A fence is the store's clock in
 * microseconds at the grant, unless that clock went back. false: it cannot be such an instant,
 * nobody holds the lock, or the holder is not pawl.
 */
bool cli_holder_since(const pawl_info *info, char ret_text[CLI_UTC_TEXT]);
/* The same in seconds since 1970; -1 for false. */
int64_t cli_holder_since_s(const pawl_info *info);

/* An instant in seconds since 1970, as 2026-11-28T10:15:00Z; false: it cannot be written so. */
bool cli_utc_text(int64_t seconds, char ret_text[CLI_UTC_TEXT]);

#endif
