/* SPDX-License-Identifier: MIT */
/* The rules themselves: how a request or a push may go on from one story. */
#ifndef PAWL_TESTS_CONTRACT_RULES_H
#define PAWL_TESTS_CONTRACT_RULES_H

#include "contract.h"

enum { ATTEMPT_CHOICES = 40 };

/*
 * One attempt to explain what was seen, from one story. Where several things may have
 * happened it chooses, and is repeated with every other choice.
 */
typedef struct attempt {
    const contract *of;
    story s;
    range t; /* when the store did it */
    bool choices[ATTEMPT_CHOICES];
    int taken, known;
    bool impossible; /* it explains nothing */
} attempt;

/* A push of a grant. */
typedef struct contract_news {
    int client, token;
    const pawl_push *push;
} contract_news;

/* A contract_ask; a contract_news. */
void attempt_request(attempt *a, const void *request);
void attempt_news(attempt *a, const void *news);

/* What happens to a request where there is no queue. */
void attempt_without_queue(attempt *a, const contract_ask *ask);
/* Its places belong to clients. */
void contract_forget_client(story *s, int client);

/* Either, one after the other. */
bool attempt_choose(attempt *a);
/* Else this order does not explain what was seen. */
void attempt_expect(attempt *a, bool so);
/* Has the instant come at that moment? Where both may be, choosing narrows both. */
bool attempt_has_come(attempt *a, range *instant, range *moment);
/* Rule 6, of the holder's fence. */
void attempt_learn_fence(attempt *a, uint64_t fence);

/* Whose fence it is; -1: it was not seen so far. */
int contract_fence_owner(const contract *c, uint64_t fence);

int64_t smaller(int64_t a, int64_t b);
int64_t larger(int64_t a, int64_t b);
range earlier_of(range a, range b);

#endif
