/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"
#include "../support/postgres_server.h"
#include "../support/redis_server.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const pawl_store_ops pawl__memory_ops;

static const store_kind *const kinds[] = {&kind_memory,
#ifdef HAVE_SQLITE
                                          &kind_sqlite,
#endif
                                          &kind_redis, &kind_postgres, NULL};

static const store_kind *kind_named(const char *name)
{
    for (size_t i = 0; kinds[i]; i++)
        if (strcmp(kinds[i]->name, name) == 0) return kinds[i];
    fprintf(stderr, "conformance: no kind %s\n", name);
    exit(1);
}

/* Modules are loaded as the library loads them, and by the same symbol. */
static const pawl_store_ops *ops_of(const char *path)
{
    if (!path || strcmp(path, "-") == 0) return &pawl__memory_ops;
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const pawl_store_ops *ops = module ? dlsym(module, "pawl_store_entry") : NULL;
    if (!ops) {
        fprintf(stderr, "conformance: %s: %s\n", path, dlerror());
        exit(1);
    }
    return ops;
}

static stage *chosen;

void stage_choose(stage *s, const char *kind, const char *module)
{
    s->kind = kind_named(kind);
    s->address.ops = ops_of(module);
    if (s->kind == &kind_redis && !redis_server_exists()) {
        puts("SKIP: there is no redis-server on this machine");
        exit(77);
    }
    if (s->kind == &kind_postgres && !postgres_server_exists()) {
        puts("SKIP: there is no PostgreSQL on this machine");
        exit(77);
    }
    check_cases_run_here();
    chosen = s;
}

int stage_begin(void **state)
{
    chosen->kind->start(chosen);
    *state = chosen;
    return 0;
}

int stage_end(void **state)
{
    stage *s = *state;
    s->kind->stop(s);
    return 0;
}

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
