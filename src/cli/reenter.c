/* SPDX-License-Identifier: MIT */
/*
 * The run around us goes on renewing and stopping, so the command may just take our place, with
 * that run's token, fence and PAWL_FD in its environment. It has what that run has, and no more: a
 * command that wants to be alone would not be so under a lock that others hold beside it.
 */
#include "reenter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_codes.h"
#include "holder.h"
#include "lease.h"
#include "message.h"

/* Whether who holds `has` may do what `wants` allows. Permits are another kind of lock. */
static bool is_enough(pawl_mode has, pawl_mode wants)
{
    switch (wants) {
    case PAWL_MODE_SHARED:
        return has != PAWL_MODE_PERMIT;
    case PAWL_MODE_UPDATE:
        return has == PAWL_MODE_UPDATE || has == PAWL_MODE_EXCLUSIVE;
    case PAWL_MODE_EXCLUSIVE:
    case PAWL_MODE_PERMIT:
    case PAWL_MODE_FORCE_INT:
        break;
    }
    return has == wants;
}

static bool mode_of_word(const char *word, pawl_mode *ret_mode)
{
    for (int mode = PAWL_MODE_EXCLUSIVE; mode <= PAWL_MODE_PERMIT; mode++) {
        if (strcmp(word, cli_mode_word((pawl_mode)mode)) != 0) continue;
        *ret_mode = (pawl_mode)mode;
        return true;
    }
    return false;
}

/* How many words PAWL_SLOTS has. */
static int64_t slots_around(void)
{
    const char *list = getenv("PAWL_SLOTS");
    int64_t count = 0;
    for (; list && *list; list += strspn(list, " ")) {
        list += strcspn(list, " ");
        count++;
    }
    return count;
}

static int refuse(const cli_session *session, int err, const char *has, const char *wants)
{
    cli_error("%s: the run around this one holds it %s, which is not enough for %s [%s]",
              session->shown_key, has, wants, pawl_err_name(err));
    return cli_exit_of_err(err);
}

static bool note_capacity(const pawl_info *info, void *userdata)
{
    *(uint32_t *)userdata = info->capacity;
    return false;
}

/* Whether the permits of the run around us are what we would have asked for. */
static int check_permits(const cli_session *session, const run_opts *opts)
{
    uint32_t capacity = 0;
    int err = pawl_inspect(session->client, session->key, strlen(session->key),
                           opts->common.store_timeout_ms, note_capacity, &capacity);
    if (err) return cli_fail(session->client, "re-enter", session->key, err);
    if (capacity != (uint32_t)opts->slots) {
        cli_error("%s: the semaphore has another capacity: %d, asked for were %d [%s]",
                  session->shown_key, (int)capacity, (int)opts->slots,
                  pawl_err_name(PAWL_ERR_CAPACITY));
        return cli_exit_of_err(PAWL_ERR_CAPACITY);
    }
    if (slots_around() >= opts->units) return 0;
    cli_error("%s: the run around this one has %d of the slots, asked for were %d [%s]",
              session->shown_key, (int)slots_around(), (int)opts->units,
              pawl_err_name(PAWL_ERR_UNITS));
    return cli_exit_of_err(PAWL_ERR_UNITS);
}

/* 0, or an exit code: the lock of the run around us is less than what we ask for. */
static int check_mode(const cli_session *session, const run_opts *opts, const char *word)
{
    pawl_mode has = PAWL_MODE_EXCLUSIVE, wants = (pawl_mode)opts->mode;
    if (!mode_of_word(word, &has))
        return refuse(session, PAWL_ERR_MODE, "in a mode that is not known here",
                      cli_mode_word(wants));
    bool other_kind = (has == PAWL_MODE_PERMIT) != (wants == PAWL_MODE_PERMIT);
    if (!is_enough(has, wants))
        return refuse(session, other_kind ? PAWL_ERR_KIND : PAWL_ERR_MODE, word,
                      cli_mode_word(wants));
    return wants == PAWL_MODE_PERMIT ? check_permits(session, opts) : 0;
}

/* ---- Whether it is still there -------------------------------------------------------------- */

/* The fence of the nearest run around us, if it has this key at this store; else 0. */
static uint64_t fence_around(const cli_session *session, const char *key)
{
    const char *store = getenv("PAWL_STORE"), *fence = cli_lease_variable(key, "PAWL_FENCE");
    const char *its_key = cli_lease_variable(key, "PAWL_KEY");
    bool is_ours = its_key && strcmp(its_key, key) == 0 && store &&
                   strcmp(store, pawl_client_url(session->client)) == 0;
    return is_ours && fence ? strtoull(fence, NULL, 10) : 0;
}

typedef struct around {
    uint64_t fence; /* 0: that of a run further away, which nobody has told us */
    bool is_there;
} around;

static bool look_around(const pawl_info *info, void *userdata)
{
    around *outer = userdata;
    int64_t remaining_ms;
    outer->is_there =
        outer->fence ? cli_holder_of_fence(info, outer->fence, &remaining_ms) : info->held;
    return false;
}

/* Signals do not end the look. */
#define LOOK_MAX_MS 5000

bool cli_is_around(const cli_session *session, const run_opts *opts, const char *key)
{
    around outer = {.fence = fence_around(session, key)};
    int64_t wait_ms = opts->wait_ms ? LOOK_MAX_MS : 0;
    return pawl_inspect(session->client, key, strlen(key), wait_ms, look_around, &outer) ||
           outer.is_there;
}

/* ---- Under its lock ------------------------------------------------------------------------- */

int cli_reenter(cli_session *session, const run_opts *opts, char *const *argv)
{
    const char *key = getenv("PAWL_KEY"), *token = getenv("PAWL_TOKEN");
    const char *mode = getenv("PAWL_MODE");
    if (!key || strcmp(key, session->key) != 0 || !token || !mode) {
        cli_error("%s: --reentrant needs the token of the nearest run around it",
                  session->shown_key);
        return (int)opts->busy_code;
    }
    int code = check_mode(session, opts, mode);
    if (code) return code;
    int err = pawl_token_check(session->client, key, strlen(key), token,
                               opts->common.store_timeout_ms, NULL);
    if (err) return cli_fail(session->client, "re-enter", key, err);

    cli_signals_restore(&session->signals);
    execvp(argv[0], argv);
    int why = errno;
    char *safe = cli_escape(argv[0], strlen(argv[0]));
    cli_error("cannot run %s: %s", safe, strerror(why));
    free(safe);
    return why == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_EXECUTE;
}
