/* SPDX-License-Identifier: MIT */
/*
 * The rules of pawl/store.h as one suite, played for each store:
 *
 *     conformance KIND MODULE [CASE]   KIND: memory, sqlite, redis, postgres, memcached, etcd,
 *                                      hostile; MODULE: a file, - for what is built in
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
#define SHORT_MS 400                  /* a ttl whose end is waited for, with nothing to do before */
#define WIDE_MS  3000                 /* the same with requests before that, on a busy machine */
#define SOON_NS  INT64_C(10000000000) /* generous, and well below LONG_MS */

typedef struct stage stage;

/* What a store may promise beside the rules that all keep: each is a cap of it. */
typedef enum store_trait {
    TRAIT_FAIR = 0, /* one queue of each name, at the store */
    TRAIT_PUSH,
    TRAIT_LIST,
    TRAIT_MODES, /* all of them */
    TRAIT_VALUES,
    TRAIT_NOTES, /* of broken leases */
    TRAIT_COUNT
} store_trait;

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
    /* A bit (1 << store_trait) for each that it lacks. All others are demanded of its caps, so that
     * no case is left out because a store has stopped to promise something. */
    unsigned lacks;
    unsigned modes; /* of a kind that lacks TRAIT_MODES: bits (1 << pawl_mode) beside exclusive */
    /* Of the allocations that fail one after the other only each of so many; 0: as of others. For
     * stores whose libraries allocate in each step. */
    unsigned stride;
    /* A request has several steps, between which those of other clients find what is half done: a
     * place that was refreshed, not yet a lease. So a walk asks together with one client alone. */
    bool in_steps;
    bool all_hear;        /* each client that asked with a token hears of its grant */
    bool leaves_on_close; /* a client that is closed gives up its places, if there is time for it */
    /* A holder looks for who waits, and a lease of a few ms may end before it has seen them. */
    bool looks_for_waiters;
    bool in_session;    /* a lease lives in the session of its client (rule 3) */
    bool counts_fences; /* they are its own revisions, and not drawn from a clock (rule 6) */
} store_kind;

struct stage {
    const store_kind *kind;
    store_address address;
    test_loop *loop;
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
extern const store_kind
    kind_hostile; /* in the way that TEST_HOSTILE names; without it not at all */
extern const store_kind kind_sqlite;
extern const store_kind kind_redis;
extern const store_kind kind_postgres;
extern const store_kind kind_mariadb;
extern const store_kind kind_memcached;
extern const store_kind kind_etcd;
extern const store_kind kind_zookeeper;

/* Unique to the case and the suffix; static storage, a few dozen at a time. */
const char *lock_name(stage *s, const char *suffix);

/* A client of the stage's store whose link is up. */
client *join(stage *s, const char *owner);

/*
 * Whether the store's caps have it. What a store claims is demanded; a case about what it lacks is
 * skipped by need(), and test_lacks.c demands that the store refuses it.
 */
bool has_trait(client *c, store_trait trait);
const char *trait_name(store_trait trait);
/* The modes that a kind must have, as in pawl_caps. */
unsigned kind_modes(const store_kind *kind);
/* Skips the case, and says so, if the store lacks it. The client is closed then. */
void need(client *c, store_trait trait);
/* A client of a store that has it; else the case is skipped. */
client *join_with(stage *s, const char *owner, store_trait trait);

/* What a store may say of a time that is at most `ms`, and when a ttl has ended for certain. */
int64_t told_at_most(client *c, int64_t ms);
int64_t surely_over_ms(client *c, int64_t ttl_ms);

/* The waiter has got the lock: a push tells it if the store hands off and pushes, else it asks. */
uint64_t await_turn(client *c, const char *name, const char *token);

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
/* Names of what a store has, and of what it lacks. */
extern const struct CMUnitTest lack_cases[];
extern const size_t lack_case_count;
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
/* Joins; skips the case, and says so, if the store lacks one of the modes (bits). */
client *join_modes(stage *s, const char *owner, unsigned modes);
/* For kinds that have kill, and freeze. */
extern const struct CMUnitTest link_cases[], mute_cases[];
extern const size_t link_case_count, mute_case_count;

int case_begin(void **state);
int case_end(void **state);
#define CASE(f) cmocka_unit_test_setup_teardown(f, case_begin, case_end)

#endif
