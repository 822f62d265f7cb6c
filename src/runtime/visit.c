/* SPDX-License-Identifier: MIT */
#include "visit.h"

#include "fork.h"
#include "thread.h"

#define CLOSING 0x80000000u /* a bit above the number of visitors */

int pawl__enter(pawl_client *c, pawl__visit *ret_visit)
{
    if (!c) return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED;
    if (pawl__forking()) return PAWL_ERR_STATE; /* this very thread holds the mutex */
    *ret_visit = (pawl__visit){.client = c, .cancel_state = pawl__cancel_off()};
    pthread_mutex_lock(&c->gate.mutex);
    atomic_fetch_add(&c->visitors, 1);
    return PAWL_OK;
}

/* Leaves. The last visitor that came before the close wakes it. */
static void go(pawl_client *c)
{
    if (atomic_fetch_sub(&c->visitors, 1) == (CLOSING | 1u)) sem_post(&c->visitors_left);
}

void pawl__leave(pawl__visit *visit)
{
    pawl_client *c = visit->client;
    go(c);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__cancel_restore(visit->cancel_state);
}

void pawl__leave_unlocked(pawl__visit *visit)
{
    go(visit->client);
    pawl__cancel_restore(visit->cancel_state);
}

void pawl__leave_and_put(pawl__visit *visit)
{
    go(visit->client);
    pawl__client_put_unlock(visit->client);
    pawl__cancel_restore(visit->cancel_state);
}

void pawl__leave_in_child(pawl__visit *visit)
{
    pawl__cancel_restore(visit->cancel_state);
}

void pawl__visitors_await(pawl_client *c)
{
    if (atomic_fetch_or(&c->visitors, CLOSING) == 0) return;
    while (sem_wait(&c->visitors_left) != 0) continue; /* a signal came */
}
