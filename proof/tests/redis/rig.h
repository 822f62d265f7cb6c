/* SPDX-License-Identifier: MIT */
/*
 * The scripts without the store: a real server, a plain blocking connection to
 * it, requests encoded and replies decoded as the store does it. Waiters do not
 * exist: they all have one inbox, and one connection hears it.
 */
#ifndef PAWL_TESTS_REDIS_RIG_H
#define PAWL_TESTS_REDIS_RIG_H

#include "../support/redis_server.h"
#include "../support/test_host.h"
#include "stores/redis/redis_proto.h"
#include "stores/redis/redis_scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <hiredis/hiredis.h>

typedef struct rig {
    redis_server *server;
    redisContext *admin; /* any command, at once */
    redisContext *ears;  /* subscribed to the inboxes; NULL: nobody hears */
    pawl__redis_space space;
    const char *sha1s[PAWL__REDIS_SCRIPTS]; /* of what is called as these scripts */
} rig;

/* An answer with what it points to. */
typedef struct answer {
    pawl__redis_verdict verdict;
    pawl_reply reply;
    char message[PAWL_MESSAGE_MAX];
    pawl_info info; /* INSPECT */
    pawl__redis_rows rows;
    uint16_t slots[PAWL_CAPACITY_MAX];
    redisReply *raw; /* what info points to; freed by the next ask */
} answer;

/* arguments as for redis_server_start. */
rig *rig_new(const char *const *arguments);
void rig_free(rig *r);

/*
 * Runs a program's cases, or, with PAWL_ONLY in the environment, those that it names; for main to
 * return. Without a redis-server it says so, and that the program was skipped.
 */
#define rig_run(name, cases, group_begin, group_end)                                               \
    rig_run_cases(name, cases, sizeof(cases) / sizeof((cases)[0]), group_begin, group_end)
int rig_run_cases(const char *name, const struct CMUnitTest *cases, size_t count,
                  CMFixtureFunction group_begin, CMFixtureFunction group_end);

/* A rig with an ordinary server as the state of a group of cases. */
int rig_group_begin(void **state);
int rig_group_end(void **state);

/* Subscribes a connection to the inbox, or ends it. */
void rig_listen(rig *r);
void rig_unsubscribe(rig *r);

/* A connection to the server of the rig. */
redisContext *rig_connect(const rig *r);

/* Runs a command; fails the test on a connection error. Freed by the next call. */
redisReply *rig_do(rig *r, const char *format, ...);
/* The same, and fails the test on an error reply. */
void rig_must(rig *r, const char *format, ...);
int64_t rig_int(rig *r, const char *format, ...);
/* Text of a reply, "" for nil. */
const char *rig_text(rig *r, const char *format, ...);

/* Calls the request's script. The answer lives until the next call. */
const answer *rig_ask(rig *r, const pawl_request *request);
/* The same, and requires the outcome. */
const answer *rig_expect(rig *r, pawl_request request, pawl_outcome outcome);

/* Requires that it fails with this error, says this word, and changes nothing. */
void rig_refused(rig *r, pawl_request request, pawl_err err, const char *word);

/* The next message in any inbox; fails the test if none comes. Lives until the next. */
const pawl_push *rig_hear(rig *r);
/* No message has come: a marker sent now is the next one. */
void rig_hear_nothing(rig *r);

/* What INFO commandstats counts for a command. */
int64_t rig_calls(rig *r, const char *command);

/* A value from a reply of hiredis; pointers into it and into room. */
pawl__redis_value value_of(const redisReply *reply, pawl__redis_value *room, size_t *used,
                           size_t room_count);

#endif
