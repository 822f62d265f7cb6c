/* SPDX-License-Identifier: MIT */
/*
 * Who leads. An observer keeps the latest that it was told, until Python fetches it: who reads
 * slowly misses what has been replaced meanwhile, and nothing else.
 */
#include "native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pawlpy_observer {
    pawlpy_teller *teller;
    pawl_observer *observer;
    pawlpy_leader latest; /* by the teller's mutex */
};

static void copy(const pawl_leader *from, pawlpy_leader *to)
{
    *to = (pawlpy_leader){
        .err = from->err,
        .leads = from->leads,
        .has_value = from->value != NULL,
        .fence = from->fence,
        .remaining_ms = from->remaining_ms,
        .value_len = from->value ? from->value_len : 0,
    };
    if (from->owner) snprintf(to->owner, sizeof to->owner, "%s", from->owner);
    if (to->value_len > PAWL_LEADER_VALUE_MAX) to->value_len = PAWL_LEADER_VALUE_MAX;
    if (to->value_len) memcpy(to->value, from->value, to->value_len);
}

static void on_leader(const pawl_leader *leader, void *userdata)
{
    pawlpy_observer *observer = userdata;
    pawlpy_teller_lock(observer->teller);
    copy(leader, &observer->latest);
    pawlpy_teller_tell(observer->teller, PAWLPY_LEADER);
    pawlpy_teller_unlock(observer->teller);
}

int pawlpy_observer_new(pawl_client *client, const char *name, size_t name_len,
                        pawlpy_teller *teller, pawlpy_observer **ret_observer)
{
    pawlpy_observer *observer = calloc(1, sizeof *observer);
    if (!observer) return PAWL_ERR_NO_MEMORY;
    observer->teller = teller;
    int err =
        pawl_election_observe(client, name, name_len, on_leader, observer, &observer->observer);
    if (err)
        free(observer);
    else
        *ret_observer = observer;
    return err;
}

void pawlpy_observer_take(pawlpy_observer *observer, pawlpy_leader *ret_leader)
{
    pawlpy_teller_lock(observer->teller);
    *ret_leader = observer->latest;
    pawlpy_teller_unlock(observer->teller);
}

void pawlpy_observer_free(pawlpy_observer *observer)
{
    if (!observer) return;
    pawl_observer_stop(observer->observer);
    free(observer);
}

static void on_leader_now(const pawl_leader *leader, void *userdata)
{
    copy(leader, userdata);
}

int pawlpy_leader_now(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                      pawlpy_leader *ret_leader)
{
    return pawl_election_leader(client, name, name_len, wait_ms, on_leader_now, ret_leader);
}
