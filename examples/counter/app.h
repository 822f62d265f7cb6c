/* SPDX-License-Identifier: MIT */
/*
 * The counter service. One thread runs the event loop: HTTP, and the callbacks of
 * pawl's client (pawl_client_fd, pawl_client_dispatch). Two workers run what
 * blocks: one changes the counter, the other looks at it and at the lock.
 */
#ifndef COUNTER_APP_H
#define COUNTER_APP_H

#include <event2/event.h>
#include <event2/http.h>
#include <pawl/pawl.h>

#include "resource.h"
#include "visitors.h"
#include "worker.h"

#define LOCK_NAME        "counter"
#define ADDS_MAX         1000  /* that wait in this process: more are told to come again */
#define LOOKS_MAX        1000  /* likewise */
#define ADD_WAIT_MS      10000 /* for the lock */
#define WATCH_MS         250   /* between two looks */
#define WATCH_ANSWER_MS  1000  /* for the lock's store */
#define WAITERS_SHOWN    10
#define HEADERS_SIZE_MAX 8192
#define BODY_SIZE_MAX    1024  /* a request to a counter has no body */
#define SAY_MS           1000  /* between two lines of the log about one place */
#define SAY_AGAIN_MS     60000 /* likewise, if they say the same */
#define TURN_S           10    /* for a client to send a whole request, or to take an answer */
#define DRAIN_S          5     /* at the end, for those who wait */

/* A value, and where it stands, for messages: "--store", "conf/app.conf:3". */
typedef struct app_setting {
    const char *value; /* NULL: not given */
    const char *where;
} app_setting;

typedef struct app_options {
    const char *config;   /* an app.conf; or */
    app_setting store;    /* the locks' URL */
    app_setting counter;  /* the counter's URL; none: beside the locks */
    bool counter_is_here; /* counter.db in the working directory, because nothing was given */
    app_setting address;  /* to listen on */
    int port;             /* 0: any */
    const char *instance; /* the label */
    int64_t ttl_ms;
    int64_t work_ms; /* pretended work between reading and writing */
} app_options;

/* What the watcher saw last. What did not answer is unknown, and shown so: never as zero or free.
 */
typedef struct app_state {
    bool lock_known, counter_known;
    const char *trouble; /* a sentence for visitors; "": none */
    counter_view counter;
    bool held; /* from here on: of the lock */
    char owner[PAWL_OWNER_MAX + 1];
    int64_t remaining_ms;
    uint64_t fence;
    size_t waiters, waiters_shown;
    struct {
        char owner[PAWL_OWNER_MAX + 1];
        int64_t age_ms;
    } queue[WAITERS_SHOWN];
} app_state;

/* Where trouble comes up. */
typedef enum app_place { PLACE_LOCK, PLACE_COUNTER, PLACE_ADD, PLACE_LOOK, PLACES } app_place;

/* What was said last about a place. */
typedef struct app_log {
    char reason[PAWL_MESSAGE_MAX];
    int64_t said_us; /* 0: nothing yet */
} app_log;

typedef struct app_metrics {
    uint64_t added, stale, unknown, failed, busy, turned_away, lost;
    uint64_t wait_us_sum, wait_us_max; /* for the lock, of those that were added */
} app_metrics;

typedef struct app {
    app_options options;
    struct event_base *base;
    struct evhttp *http;
    visitors *visitors;
    struct event *dispatch_event, *watch_event, *signal_events[2];
    pawl_client *client;
    const resource_ops *ops;
    resource *adding, *looking; /* one for each worker */
    worker *adder, *watcher;
    size_t adds, looks; /* under way */
    bool watching;      /* a look is under way */
    bool ending;
    app_state state;
    app_metrics metrics;
    app_log logs[PLACES];
    int64_t started_us;
} app;

int64_t app_now_us(void); /* CLOCK_MONOTONIC */

/* adding.c: GET or POST /add. Takes over the request. */
void app_add(app *a, struct evhttp_request *request);

/* watching.c */
void app_watch(app *a);                                /* looks, if no look is under way */
void app_look(app *a, struct evhttp_request *request); /* GET /counter */

/* pages.c */
bool app_serve(app *a, char *ret_message); /* makes the HTTP server */
void app_reply(app *a, struct evhttp_request *request, int status, const char *type,
               const char *format, ...) __attribute__((format(printf, 5, 6)));

/*
 * trouble.c: the reason, for the operator, as one line on stderr. It may name hosts, files and
 * users, so no visitor is told: he gets one of the sentences below. On the loop only.
 */
void app_say(app *a, app_place place, const char *reason);

/*
 * trouble.c: one line on stderr. Others chose some of its words, and a terminal obeys control
 * characters, also those of eight bits: what is not printable ASCII is shown as \xNN.
 */
void app_complain(const char *text);

#define NO_LOCK_STORE "the store of the lock cannot be asked"
#define NO_COUNTER    "the counter cannot be reached"
#define GOING_AWAY    "this instance is going away"

/* ending: leaves the loop when nobody waits any more */
void app_end_if_idle(app *a);

#endif
