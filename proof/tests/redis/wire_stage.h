/* SPDX-License-Identifier: MIT */
/*
 * The link on a scripted wire and a clock that the test moves: what no real server does on
 * demand, to the millisecond.
 */
#ifndef PAWL_TESTS_REDIS_WIRE_STAGE_H
#define PAWL_TESTS_REDIS_WIRE_STAGE_H

#include "stores/redis/redis_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#define MS INT64_C(1000000)

#define IDS_MAX    32
#define NO_OUTCOME (-1)

typedef struct stage {
    pawl_store store;
    pawl_host host;
    int64_t timers[PAWL__REDIS_TIMERS]; /* delay in us, as it was last set */
    bool turn_due, resolving, open;
    uint64_t sent, left;     /* commands */
    size_t addresses, tried; /* of the server's name; the latest connection's */
    bool stuffed;            /* no more leaves */
    pawl_reply reply;        /* the latest */
    char message[PAWL_MESSAGE_MAX];
    pawl_outcome first_outcome;
    int outcomes[IDS_MAX]; /* by the request's id; NO_OUTCOME: none */
    int replies, ups;
    char words[512];   /* the latest command */
    char before[512];  /* the one before it */
    unsigned cachings; /* CLIENT CACHING so far */
    pawl_push push;    /* the latest, with its name */
    char name[PAWL_NAME_MAX + 1];
    int pushes, warnings;
    char warning[PAWL_MESSAGE_MAX];
    char down[PAWL_MESSAGE_MAX]; /* why the link is down */
    pawl_err down_err;
} stage;

/* The clock of the link. */
extern int64_t now;

void begin(stage *s);
void end(stage *s);

/* What was put off is done. */
void turn(stage *s);
void flush(pawl_store *store);

/* The server says this. */
void hear(stage *s, pawl__redis_value value);
void answer(stage *s, pawl__redis_value *items, size_t count);
void push(stage *s, const char *kind, const char *what);
pawl__redis_value string(const char *text);
pawl__redis_value error(const char *text);

/* The next attempt to connect, and what it is answered. */
void attempt(stage *s);
void answer_hello(stage *s);
void answer_probe(stage *s);
void answer_guard(stage *s, const char *words);
/* All of it. */
void come_up(stage *s);
int64_t pause_after_a_cut(stage *s);

#endif
