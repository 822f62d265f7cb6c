/* SPDX-License-Identifier: MIT */
/*
 * What pawl/store.h and docs/protocol.md promise about one name, as a model that
 * judges what a real store said.
 *
 * Real time leaves room: the store read its clock at some moment between a request
 * and its reply, and what has run out is handed on at some moment after that. So the
 * model is a set of stories, each a state that the store may be in, whose instants
 * are spans. An answer that no story allows breaks the contract; one that some allow
 * narrows the set to those. Away from such moments there is one story.
 */
#ifndef PAWL_TESTS_CONTRACT_H
#define PAWL_TESTS_CONTRACT_H

#include "pawl/store.h"

#include <stdio.h>

enum {
    CONTRACT_TOKENS = 5,      /* so many tokens ask for the name, 0 .. */
    CONTRACT_STORIES = 512,   /* more at once is a fault of the model */
    CONTRACT_FENCES = 4096,   /* of one walk */
    CONTRACT_TOGETHER_MAX = 3 /* requests that are under way at the same time */
};

typedef struct range {
    int64_t lo, hi; /* somewhere from lo to hi, both possible */
} range;

/* Who holds or waits. */
typedef struct contract_owner {
    int token;
    int client; /* who asked last: who is told */
    bool moved; /* another client had asked before: a hint may go to that one */
    bool detached;
    int64_t ttl_ms;
    range until; /* of the lease, or of the place in the queue */
    range since; /* in the queue */
    bool gone;   /* its client was closed, at */
    range gone_at;
} contract_owner;

typedef struct story {
    bool held;
    contract_owner holder; /* its lease may have run out, with nobody come across that yet */
    uint64_t fence;        /* of the holder; 0: handed on, and not seen so far */
    range granted;         /* when */
    int behind_least;      /* who waited when it was handed on: surely, */
    int behind_most;       /* and at most */
    int waiting;           /* those whose place has run out stay until somebody comes across them */
    contract_owner queue[CONTRACT_TOKENS];
    uint64_t last;        /* the largest fence seen */
    bool drew_for_nobody; /* after a BREAK, or for a waiter that was gone, a larger one may be */
    int unseen[CONTRACT_TOKENS]; /* grants of each of which it was not told */
    int yield_to; /* the holder's client that must hear that somebody waits now; or -1 */
    int yield_token;
    int value; /* what was published last; 0: nothing */
    uint64_t value_fence;
    uint64_t published; /* the largest number under the present lease */
    int64_t now;        /* the store's clock was here already */
    /* Without a queue: a bit for each token of each client that may, or surely does, wait. */
    uint32_t may_wait, waits;
} story;

/* What is known of the store beside the contract. */
typedef struct contract_store {
    int64_t grain_ns;  /* its clock against ours */
    int64_t fence_us;  /* how far the clock of its fences may be from ours */
    int64_t linger_ns; /* pawl_caps, as the others */
    bool instant_release;
    bool queues;   /* `fair`; without it: contract_queueless.c */
    bool all_hear; /* each client that asked with a token hears of its grant, not only the latest */
    bool in_steps; /* who left in one step of a request may have been counted in another */
    bool leaves;   /* a client that is closed gives up its places, if there is time for it */
} contract_store;

typedef struct contract {
    contract_store store;
    int64_t wall_ns; /* what is to be added to ours to have the wall clock's */
    story *stories;
    int count;
    int most; /* stories at once, so far */
    struct {
        int token;
        uint64_t fence;
    } fences[CONTRACT_FENCES]; /* seen, whose */
    int fence_count;
} contract;

/* A request and what became of it. */
typedef struct contract_ask {
    pawl_verb verb;
    unsigned flags;
    int client, token; /* token -1: none */
    int64_t ttl_ms;
    uint64_t fence;
    int64_t sent_at, answered_at;
    pawl_reply reply;
    const pawl_info *row; /* INSPECT, LIST; NULL: LIST left the name out */
    uint64_t number;      /* PUBLISH: in the life of the lease */
    int value;            /* PUBLISH: which, from 1 on. READ: which was told; 0: none */
    uint64_t value_fence; /* READ */
} contract_ask;

void contract_init(contract *c, contract_store store);
void contract_free(contract *c);

/* The label of a token's owner in requests and reports. */
const char *contract_label(int token);

/*
 * False if no story allows the answers. Requests of one client were submitted in their
 * order; those of several clients are tried in each order.
 */
bool contract_answered(contract *c, const contract_ask *asks, int count);
/* A push to the client, heard at `at`. */
bool contract_heard(contract *c, int client, int token, const pawl_push *push, int64_t at);
/* The client was closed at some moment of the range. */
void contract_closed(contract *c, int client, range when);

/* The next instant at which something may run out; 0: none. */
int64_t contract_boundary(const contract *c, int64_t after);
/* When the lease has surely run out; 0: nobody holds, in the first story. */
int64_t contract_end(const contract *c);
/* Handed to a waiter in every story, and it has not been told: its client and token. */
bool contract_owes_grant(const contract *c, int *ret_client, int *ret_token);
/* Somebody waits who did not, in every story: the holder's client must hear of it. */
bool contract_owes_yield(const contract *c, int *ret_client, int *ret_token);
/* Whoever hears with the grant that others wait need not be asked again. */
static inline bool contract_asks_to_yield(const pawl_push *push)
{
    return push->kind == PAWL_PUSH_YIELD || (push->kind == PAWL_PUSH_GRANT && push->waiting);
}
/* The holder of the first story, or -1; its fence, or the largest seen. */
int contract_holder(const contract *c);
uint64_t contract_fence(const contract *c);
/* Nobody holds or waits, in every story. */
bool contract_at_rest(const contract *c);
/* The stories, for people; instants relative to `zero`. */
void contract_print(const contract *c, FILE *out, int64_t zero);

#endif
