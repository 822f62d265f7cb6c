/* SPDX-License-Identifier: MIT */
/* How long the memory of a client lasts: as long as it or one of its handles. */
#include "client.h"

#include <stdlib.h>

pawl_client *pawl__client_new(const pawl_open_opts *opts, pawl__address *address,
                              const pawl_store_ops *store_ops)
{
    pawl_client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->opts = *opts;
    c->address = address;
    c->messages.where = pawl__address_url(address)->redacted;
    pawl__floors_init(c, store_ops);
    sem_init(&c->visitors_left, 0, 0);
    pawl__list_init(&c->in_watched);
    return c;
}

void pawl__client_free_parts(pawl_client *c)
{
    pawl__pump_free(&c->pump);
    pawl__gate_close(&c->gate);
    pawl__trace_free_parts(&c->trace);
    pawl__calls_free_parts(&c->calls);
    pawl__heap_done(&c->acquisitions.timers);
}

static void free_memory(pawl_client *c)
{
    pawl__address_free(c->address);
    free(c);
}

void pawl__client_put_unlock(pawl_client *c)
{
    bool last = --c->acquisitions.refs == 0;
    pthread_mutex_unlock(&c->gate.mutex);
    if (!last) return;
    pawl__calls_destroy(&c->calls);
    sem_destroy(&c->visitors_left);
    pawl__gate_destroy(&c->gate);
    free_memory(c);
}

void pawl__client_put_in_child(pawl_client *c)
{
    if (--c->acquisitions.refs == 0) free_memory(c); /* a locked mutex is not destroyed */
}
