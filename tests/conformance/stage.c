/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>

/* cmocka hands setup functions the group's state: the stage, made in main.c. */
int case_begin(void **state)
{
    stage *s = *state;
    s->number++;
    s->world = world_new();
    return 0;
}

int case_end(void **state)
{
    stage *s = *state;
    world_free(s->world);
    s->world = NULL;
    return 0;
}

const char *lock_name(stage *s, const char *suffix)
{
    static char names[64][PAWL_NAME_MAX + 1];
    static unsigned next;
    char *name = names[next++ % 64];
    snprintf(name, sizeof(names[0]), "t%u/%s", s->number, suffix);
    return name;
}

client *join(stage *s, const char *owner)
{
    return client_up(s->world, &s->address, owner);
}

const char *outcome_name(pawl_outcome outcome)
{
    static const char *const names[] = {"GRANTED", "QUEUED",    "BUSY",     "CONFIRMED", "RELEASED",
                                        "LEFT",    "NOT_OWNER", "REPORTED", "FAILED",    "UNKNOWN"};
    return (size_t)outcome < sizeof(names) / sizeof(names[0]) ? names[outcome] : "?";
}

const seen_reply *expect(client *c, pawl_request request, pawl_outcome outcome)
{
    const seen_reply *answer = client_ask(c, &request);
    if (answer->reply.outcome != outcome)
        fail_msg("verb %d on \"%s\" got %s (%s %s), expected %s", (int)request.verb, request.name,
                 outcome_name(answer->reply.outcome), pawl_err_name(answer->reply.err),
                 answer->text, outcome_name(outcome));
    return answer;
}

const seen_reply *acquire_soon(client *c, const char *name, const char *token, int64_t ttl_ms)
{
    pawl_request request = ask_queue(name, token, ttl_ms);
    for (int64_t start = world_now(); world_now() - start < SOON_NS;) {
        const seen_reply *answer = client_ask(c, &request);
        if (answer->reply.outcome == PAWL_GRANTED) return answer;
        world_for(client_world(c), 5);
    }
    fail_msg("\"%s\" was not granted", name);
    return NULL;
}

const pawl_info *inspect(client *c, const char *name, const char *token)
{
    pawl_request request = ask_inspect(name, token);
    uint64_t id = client_submit(c, &request);
    client_flush(c);
    const seen_reply *answer = client_await(c, id);
    if (answer->reply.outcome != PAWL_REPORTED)
        fail_msg("inspect: %s %s", outcome_name(answer->reply.outcome), answer->text);
    CHECK(client_row_count(c, id) == 1);
    return client_row(c, id, 0);
}
