/* SPDX-License-Identifier: MIT */
#include "lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "message.h"
#include "store.h"

#define NUMBERED_NAME_LEN 32

/* PAWL_TOKEN_2, if key is that of PAWL_KEY_2, of a run of several keys; else PAWL_TOKEN. */
const char *cli_lease_variable(const char *key, const char *name)
{
    char numbered[NUMBERED_NAME_LEN];
    for (int i = 1; i <= PAWL_NAMES_MAX; i++) {
        snprintf(numbered, sizeof numbered, "PAWL_KEY_%d", i);
        const char *other = getenv(numbered);
        if (!other) break;
        if (strcmp(other, key) != 0) continue;
        snprintf(numbered, sizeof numbered, "%s_%d", name, i);
        return getenv(numbered);
    }
    return getenv(name);
}

int cli_lease_find(const cli_command *self, const cli_args *rest, const char *token, bool needed,
                   cli_lease *ret_lease)
{
    if (rest->count > 1) return cli_usage_error(self, "one KEY is wanted, not %d", rest->count);
    const char *key = rest->count == 1 ? rest->items[0] : getenv("PAWL_KEY");
    if (!key) return cli_usage_error(self, "a KEY is wanted, here or in PAWL_KEY");
    int code = cli_key_check(self->verb, key);
    if (code) return code;

    if (!token) token = cli_lease_variable(key, "PAWL_TOKEN");
    if (!token && needed) {
        return cli_usage_error(self, "a token is wanted: --token or PAWL_TOKEN");
    }
    bool plausible = !token || (strlen(token) == PAWL_TOKEN_LEN &&
                                strspn(token, "0123456789abcdef") == PAWL_TOKEN_LEN);
    if (!plausible) {
        return cli_usage_error(self, "a token is %d lowercase hexadecimal digits", PAWL_TOKEN_LEN);
    }
    *ret_lease = (cli_lease){key, token};
    return 0;
}

int cli_lease_fail(const pawl_client *client, const char *verb, const cli_lease *lease, int err)
{
    if (err != PAWL_ERR_LOST) return cli_fail(client, verb, lease->key, err);
    char *safe = cli_escape(lease->key, strlen(lease->key));
    cli_error(
        "%s %s: this token or fence does not hold the lock: its lease was released, ran out or "
        "was broken, or never was [%s]",
        verb, safe, pawl_err_name(err));
    free(safe);
    return cli_exit_of_err(err);
}
