/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zookeeper_written.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX  128
#define LEASE_MAX 64

static bool read_leases(const char **at, pawl__zk_value *v)
{
    for (size_t i = 0; i < v->lease_count; i++) {
        pawl__zk_published *l = &v->leases[i];
        int used = 0;
        if (sscanf(*at, "%" SCNd64 " %" SCNd32 " %" SCNu64 "%n", &l->created, &l->number,
                   &l->publication, &used) != 3 ||
            (*at)[used] != '\n')
            return false;
        *at += used + 1;
    }
    return true;
}

/* False: it is not pawl's. A NUL is behind the text. */
static bool read_text(const char *text, size_t len, pawl__zk_value *v)
{
    size_t owner_len = 0;
    int64_t after_us = 0;
    int used = 0;
    if (sscanf(text, "pawl1 v %" SCNu64 " %" SCNd64 " %" SCNd64 " %zu %zu%n", &v->fence,
               &v->keep_ms, &after_us, &owner_len, &v->lease_count, &used) != 5 ||
        text[used] != '\n' || v->lease_count > PAWL__ZK_LEASES_MAX || owner_len > PAWL_OWNER_MAX ||
        v->keep_ms < 0 || v->keep_ms > PAWL_KEEP_MAX_MS || after_us < 0)
        return false;
    const char *at = text + used + 1;
    if (!read_leases(&at, v)) return false;
    size_t left = len - (size_t)(at - text);
    if (owner_len > left || left - owner_len > PAWL_STORED_MAX) return false;
    memcpy(v->owner, at, owner_len);
    v->owner[owner_len] = '\0';
    v->len = left - owner_len;
    memcpy(v->bytes, at + owner_len, v->len);
    v->bytes[v->len] = '\0';
    v->at_us = (v->changed_ms + 1) * PAWL__ZK_US_PER_MS;
    if (v->at_us < after_us) v->at_us = after_us;
    return v->fence > 0;
}

void pawl__zk_value_read(pawl__zk_value *v, const pawl__zk_answer *answer)
{
    char text[PAWL__ZK_WRITTEN_MAX + 1];
    v->is_there = answer->rc == ZOK;
    v->fence = 0;
    v->keep_ms = 0;
    v->lease_count = 0;
    if (!v->is_there) return;
    v->version = answer->stat->version;
    v->changed_ms = answer->stat->mtime;
    if (!answer->data || answer->data_len > PAWL__ZK_WRITTEN_MAX) return;
    memcpy(text, answer->data, answer->data_len);
    text[answer->data_len] = '\0';
    if (read_text(text, answer->data_len, v)) return;
    v->fence = 0; /* it is nothing of pawl's */
    v->keep_ms = 0;
    v->lease_count = 0;
}

bool pawl__zk_value_is_over(const pawl_store *store, const pawl__zk_value *v)
{
    return !v->fence || pawl__zk_time_ms(store) - v->changed_ms >= v->keep_ms;
}

/* The clocks of two leaders may be apart, and an empty node may be about to be written. */
bool pawl__zk_value_is_garbage(const pawl_store *store, const pawl__zk_answer *answer)
{
    pawl__zk_value *v = calloc(1, sizeof *v);
    if (!v) return false;
    pawl__zk_value_read(v, answer);
    bool is_ours = v->fence || answer->data_len == 0;
    int64_t since_ms = pawl__zk_time_ms(store) - v->changed_ms;
    bool is_garbage = is_ours && since_ms >= v->keep_ms + PAWL__ZK_SKEW_MS;
    free(v);
    return is_garbage;
}

size_t pawl__zk_value_write(const pawl__zk_op *op, const pawl__zk_value *v,
                            char ret_text[PAWL__ZK_WRITTEN_MAX])
{
    size_t owner_len = strlen(op->owner);
    int64_t after_us = v->fence ? v->at_us + 1 : 0;
    size_t len = (size_t)snprintf(ret_text, HEAD_MAX,
                                  "pawl1 v %" PRId64 " %" PRId64 " %" PRId64 " %zu %zu\n",
                                  v->fence_of_us, op->keep_ms, after_us, owner_len, v->lease_count);
    for (size_t i = 0; i < v->lease_count; i++)
        len +=
            (size_t)snprintf(ret_text + len, LEASE_MAX, "%" PRId64 " %" PRId32 " %" PRIu64 "\n",
                             v->leases[i].created, v->leases[i].number, v->leases[i].publication);
    memcpy(ret_text + len, op->owner, owner_len);
    memcpy(ret_text + len + owner_len, op->value, op->value_len);
    return len + owner_len + op->value_len;
}
