/* SPDX-License-Identifier: MIT */
/*
 * The rules of pawl/store.h as one suite, played for each store:
 *
 *     conformance KIND MODULE      KIND: memory, sqlite, redis, postgres; MODULE: a file, - for
 * what is built in
 *
 * A case gets a stage: a loop, and an address where the store's clients meet.
 * Names of locks are made by lock_name(), so that cases do not meet each other
 * on a server that they share.
 */
#ifndef PAWL_TESTS_CONFORMANCE_H
#define PAWL_TESTS_CONFORMANCE_H

#include "../support/test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#define LONG_MS  60000                /* a ttl that does not run out in a test */
#define SHORT_MS 400                  /* a ttl whose end is waited for */
#define SOON_NS  INT64_C(10000000000) /* generous, and well below LONG_MS */

typedef struct stage stage;

/* What the suite must know about a store beside its contract. */
typedef struct store_kind {
    const char *name;
    void (*start)(stage *s); /* once for the program: fills s->address */
    void (*stop)(stage *s);
    /* The store's server dies and comes back; NULL: it has no link to lose. */
    void (*kill)(stage *s);
    void (*restart)(stage *s);
    /* The store answers nothing for a while; NULL: it cannot be made so. */
    void (*freeze)(stage *s);
    void (*thaw)(stage *s);
    bool is_slow; /* to connect to: what needs a new client each time is done less often */
} store_kind;

struct stage {
    const store_kind *kind;
    store_address address;
    world *world;
    char *dir;
    void *server;    /* the kind's */
    char path[4096]; /* of the address */
    unsigned number; /* of the case */
};

/*
 * The program's one stage, of that kind; exits with 77 and the reason if there is none
 * here. Then the group's fixtures, for cmocka.
 */
void stage_choose(stage *s, const char *kind, const char *module);
int stage_begin(void **state);
int stage_end(void **state);

extern const store_kind kind_memory;
extern const store_kind kind_sqlite;
extern const store_kind kind_redis;
extern const store_kind kind_postgres;

/* Unique to the case and the suffix; static storage, a few dozen at a time. */
const char *lock_name(stage *s, const char *suffix);

/* A client of the stage's store whose link is up. */
client *join(stage *s, const char *owner);

/* Asks and requires the outcome; failing shows both. */
const seen_reply *expect(client *c, pawl_request request, pawl_outcome outcome);
const char *outcome_name(pawl_outcome outcome);

/* Asks again and again until the token has the lock; returns that answer. */
const seen_reply *acquire_soon(client *c, const char *name, const char *token, int64_t ttl_ms);

/* The one row of an INSPECT. Lives as long as the client. */
const pawl_info *inspect(client *c, const char *name, const char *token);

/* Cases come in groups, one file each. */
extern const struct CMUnitTest acquire_cases[], queue_cases[], report_cases[], trouble_cases[];
extern const size_t acquire_case_count, queue_case_count, report_case_count, trouble_case_count;
/* Modes beside exclusive: for stores whose caps have them. */
extern const struct CMUnitTest mode_cases[], change_cases[], permit_cases[];
extern const size_t mode_case_count, change_case_count, permit_case_count;
/* Values beside names: for stores whose caps have them. */
extern const struct CMUnitTest value_cases[];
extern const size_t value_case_count;

/* In whatever mode, required to be granted; returns a fresh token. */
const char *hold_mode(client *c, const char *name, pawl_mode mode);
/* The same, required to be queued. */
const char *wait_mode(client *c, const char *name, pawl_mode mode);
/* Skips the case, and says so, if the store has no such mode. */
void need_mode(client *c, pawl_mode mode);
/* For kinds that have kill, and freeze. */
extern const struct CMUnitTest link_cases[], mute_cases[];
extern const size_t link_case_count, mute_case_count;

int case_begin(void **state);
int case_end(void **state);
#define CASE(f) cmocka_unit_test_setup_teardown(f, case_begin, case_end)

#endif
