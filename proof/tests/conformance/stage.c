/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"
#include "../support/etcd_server.h"
#include "../support/mariadb_server.h"
#include "../support/memcached_server.h"
#include "../support/postgres_server.h"
#include "../support/redis_server.h"
#include "../support/zookeeper_server.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const pawl_store_ops pawl__memory_ops;

static const store_kind *const kinds[] = {
    &kind_memory, &kind_hostile,
#ifdef HAVE_SQLITE
    &kind_sqlite,
#endif
    &kind_redis,  &kind_postgres,  &kind_mariadb, &kind_memcached,
    &kind_etcd,   &kind_zookeeper, NULL};

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
    if (s->kind == &kind_mariadb && !mariadb_server_exists()) {
        puts("SKIP: there is no MariaDB on this machine");
        exit(77);
    }
    if (s->kind == &kind_memcached && !memcached_server_exists()) {
        puts("SKIP: there is no memcached on this machine");
        exit(77);
    }
    if (s->kind == &kind_etcd && !etcd_server_exists()) {
        puts("SKIP: there is no etcd on this machine");
        exit(77);
    }
    if (s->kind == &kind_zookeeper && !zookeeper_server_exists()) {
        puts("SKIP: there is no ZooKeeper on this machine, or no java");
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
    s->loop = test_loop_new();
    return 0;
}

int case_end(void **state)
{
    stage *s = *state;
    test_loop_free(s->loop);
    s->loop = NULL;
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
    return client_up(s->loop, &s->address, owner);
}

/* ---- What it promises -------------------------------------------------------------------- */

static const char *const trait_names[TRAIT_COUNT] = {"fair",  "push",   "list",
                                                     "modes", "values", "notes"};
static const unsigned all_modes = 1u << PAWL_MODE_EXCLUSIVE | 1u << PAWL_MODE_SHARED |
                                  1u << PAWL_MODE_UPDATE | 1u << PAWL_MODE_PERMIT;

const char *trait_name(store_trait trait)
{
    return trait_names[trait];
}

unsigned kind_modes(const store_kind *kind)
{
    bool lacks = kind->lacks & 1u << TRAIT_MODES;
    return lacks ? 1u << PAWL_MODE_EXCLUSIVE | kind->modes : all_modes;
}

bool has_trait(client *c, store_trait trait)
{
    const pawl_caps *caps = client_caps(c);
    const bool has[TRAIT_COUNT] = {caps->fair,   caps->push, caps->list, caps->modes == all_modes,
                                   caps->values, caps->notes};
    return has[trait];
}

void need(client *c, store_trait trait)
{
    if (has_trait(c, trait)) return;
    client_close(c);
    skip_case("this store lacks the trait '%s'", trait_name(trait));
}

client *join_with(stage *s, const char *owner, store_trait trait)
{
    client *c = join(s, owner);
    need(c, trait);
    return c;
}

int64_t told_at_most(client *c, int64_t ms)
{
    return ms + client_caps(c)->linger_ms;
}

int64_t surely_over_ms(client *c, int64_t ttl_ms)
{
    return ttl_ms + client_caps(c)->linger_ms + 100;
}

uint64_t await_turn(client *c, const char *name, const char *token)
{
    if (!has_trait(c, TRAIT_FAIR) || !has_trait(c, TRAIT_PUSH))
        return acquire_soon(c, name, token, LONG_MS)->reply.fence;
    return client_await_push(c, PAWL_PUSH_GRANT, token)->push.fence;
}

/* ---- Asking ------------------------------------------------------------------------------ */

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
    for (int64_t start = host_now(); host_now() - start < SOON_NS;) {
        const seen_reply *answer = client_ask(c, &request);
        if (answer->reply.outcome == PAWL_GRANTED) return answer;
        test_loop_for(client_loop(c), 5);
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
