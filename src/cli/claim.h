/* SPDX-License-Identifier: MIT */
/* KEY and token of renew, release and check: given, or found in the environment of a run. */
#ifndef PAWL_CLI_CLAIM_H
#define PAWL_CLI_CLAIM_H

#include "command.h"
#include "pawl/pawl.h"

typedef struct cli_claim {
    const char *key;
    const char *token; /* NULL: none is known */
} cli_claim;

/*
 * The key is the operand or $PAWL_KEY; the token is `token` or $PAWL_TOKEN. 0, or an
 * exit code after one line; a missing token is an error only if it is `needed`.
 */
int cli_claim_find(const cli_command *self, const cli_args *rest, const char *token, bool needed,
                   cli_claim *ret_claim);

/* As cli_fail for a verb by token. Who is not the holder may never have been it. */
int cli_claim_fail(const pawl_client *client, const char *verb, const cli_claim *claim, int err);

#endif
