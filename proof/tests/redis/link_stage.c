/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "link_stage.h"

#include <string.h>

extern const pawl_store_ops pawl_store_entry;

stage begin(void **state)
{
    stage s = {.rig = *state, .world = world_new()};
    rig_must(s.rig, "FLUSHALL");
    rig_must(s.rig, "ACL SETUSER default on nopass ~* &* +@all");
    rig_must(s.rig, "ACL SETUSER joe reset on >secret " MINIMAL_ACL);
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "redis+unix",
                                .path = redis_server_socket(s.rig->server)};
    return s;
}

void as_joe(stage *s)
{
    s->address.user = "joe";
    s->address.password = "secret";
}

void end(stage *s)
{
    world_free(s->world);
}

const seen_reply *expect(client *c, pawl_request request, pawl_outcome outcome)
{
    const seen_reply *a = client_ask(c, &request);
    if (a->reply.outcome != outcome)
        fail_msg("verb %d: outcome %d (%s), expected %d", (int)request.verb, (int)a->reply.outcome,
                 a->text, (int)outcome);
    return a;
}

void lock_and_unlock(client *c)
{
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    expect(c, ask_release("x", token), PAWL_RELEASED);
}

typedef struct link_wish {
    client *client;
    pawl_err err;
} link_wish;

static bool is_down_for(void *arg)
{
    link_wish *w = arg;
    size_t n = client_link_count(w->client);
    return n > 0 && !client_link(w->client, n - 1)->up &&
           client_link(w->client, n - 1)->err == w->err;
}

const char *await_down(client *c, pawl_err err)
{
    link_wish wish = {.client = c, .err = err};
    world_until(client_world(c), is_down_for, &wish, pawl_err_name(err));
    return client_link(c, client_link_count(c) - 1)->text;
}

void says(const char *text, const char *word)
{
    if (!strstr(text, word)) fail_msg("\"%s\" does not say \"%s\"", text, word);
}
