/* SPDX-License-Identifier: MIT */
/* In the end the store has no lock, no waiter, and no key without an expiry except the guard's. */
#include "rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <pawl/pawl.h>

#define PATIENCE_MS 5000

static bool on_lock(const pawl_info *info, void *userdata)
{
    torture_rig *rig = userdata;
    if (info->held) {
        torture_note_left(rig, "%s is still held by %.60s for %" PRId64 " ms", info->name,
                          info->owner, info->remaining_ms);
    }
    if (info->waiter_count) {
        torture_note_left(rig, "%zu still wait for %s", info->waiter_count, info->name);
    }
    return true;
}

static void look_through_pawl(torture_rig *rig)
{
    pawl_client *client = NULL;
    char message[PAWL_MESSAGE_MAX];
    int err = pawl_client_open(rig->url, NULL, &client, message);
    if (!err) err = pawl_list(client, "", 0, PATIENCE_MS, on_lock, rig);
    if (err) torture_note_left(rig, "the store cannot be listed: %s", pawl_err_name(err));
    pawl_client_close(client);
}

static const char count_immortal[] =
    "local n = 0\n"
    "for _, key in ipairs(redis.call('KEYS', '*')) do\n"
    "    local is_guard = string.sub(key, -2) == '\\0g'\n"
    "    if redis.call('PTTL', key) == -1 and not is_guard then n = n + 1 end\n"
    "end\n"
    "return n";

static void look_at_keys(torture_rig *rig)
{
    char text[TORTURE_ANSWER_MAX];
    if (!torture_redis(rig, torture_primary(rig), text, "EVAL %s 0", count_immortal)) {
        torture_note_left(rig, "the server cannot be asked for its keys");
    } else if (strtol(text, NULL, 10) > 0) {
        torture_note_left(rig, "%ld keys have no expiry", strtol(text, NULL, 10));
    }
}

void torture_look_for_leftovers(torture_rig *rig)
{
    if (!rig->setup->has_no_queue) look_through_pawl(rig); /* nor a list */
    bool tutorial = rig->options->tutorial; /* its keys all expire, and it has no queue */
    if ((rig->setup->has & TORTURE_REDIS) && !tutorial) look_at_keys(rig);
}
