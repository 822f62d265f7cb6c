/* SPDX-License-Identifier: MIT */
/* KEY and token of renew, release and check: given, or found in the environment of a run. */
#ifndef PAWL_CLI_LEASE_H
#define PAWL_CLI_LEASE_H

#include "command.h"
#include "pawl/pawl.h"

typedef struct cli_lease {
    const char *key;
    const char *token; /* NULL: none is known */
} cli_lease;

/*
 * The key is the operand or $PAWL_KEY; the token is `token` or $PAWL_TOKEN. 0, or an
 * exit code after one line; a missing token is an error only if it is `needed`.
 */
int cli_lease_find(const cli_command *self, const cli_args *rest, const char *token, bool needed,
                   cli_lease *ret_lease);

/* What the run around us says of key: PAWL_TOKEN or PAWL_FENCE, of several keys that with its
 * number. NULL: nothing. */
const char *cli_lease_variable(const char *key, const char *name);

/* As cli_fail for a verb by token. Who is not the holder may never have been it. */
int cli_lease_fail(const pawl_client *client, const char *verb, const cli_lease *lease, int err);

#endif
