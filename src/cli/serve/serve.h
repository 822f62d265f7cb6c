/* SPDX-License-Identifier: MIT */
/*
 * pawl-serve: the locks of a store in a browser. Three threads. The observer (observer.c) looks at
 * the store again and again. The worker (jobs.c) asks and does what visitors want; each of the two
 * has a client of its own. The third thread does HTTP (listen.c, routes.c, events.c, guests.c): it
 * never asks the store, so it never waits for it. They share the picture below and the two queues
 * of jobs, with one mutex.
 */
#ifndef PAWL_CLI_SERVE_H
#define PAWL_CLI_SERVE_H

#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <pthread.h>

#include "../options.h"
#include "../watch.h"

#define SERVE_GUESTS_MAX   256   /* connections at once */
#define SERVE_EVENTS_MAX   64    /* connections among them that are told of each look */
#define SERVE_JOBS_MAX     64    /* questions that wait for the store */
#define SERVE_HEADERS_MAX  8192  /* bytes of a request */
#define SERVE_BODY_MAX     16384 /* bytes */
#define SERVE_TURN_MS      10000 /* time to send a request, or to take an answer */
#define SERVE_TOKEN_MIN    16
#define SERVE_TOKEN_MAX    256
#define SERVE_TOKENS_MAX   32
#define SERVE_NAME_MAX     65 /* of who has a token */
#define SERVE_SESSIONS_MAX 64
#define SERVE_ID_TEXT      65 /* 32 random bytes as digits */
#define SERVE_ROWS_MAX     200
#define SERVE_TYPED_MAX    256 /* of what a visitor types */

typedef struct serve serve;

/* ---- What the observer has seen ---------------------------------------------------------- */

typedef struct serve_picture {
    cli_watch rows; /* of the latest look that succeeded */
    cli_watch_sums sums;
    int64_t at_ms;   /* when that was, of cli_now_ms; 0: none has */
    int64_t wall_ms; /* the same of the wall clock */
    int64_t took_ms; /* of the latest look */
    int err;         /* of the latest look; 0: rows is up to date */
    char reason[PAWL_MESSAGE_MAX];
    uint64_t looks;
} serve_picture;

/* ---- What is asked of the worker --------------------------------------------------------- */

typedef struct serve_wish serve_wish;

typedef struct serve_job {
    struct serve_job *next;
    void (*run)(serve *s, struct serve_job *job); /* in the worker's thread: sets the answer */
    char name[PAWL_NAME_MAX + 1];
    size_t name_len;
    serve_wish *wish;               /* to break it; else NULL */
    struct evhttp_request *request; /* of HTTP's thread; evhttp forgets who asked, not this */
    int status;
    json_t *answer;
} serve_job;

typedef struct serve_jobs {
    serve_job *first, *last;
    size_t count;
} serve_jobs;

/* ---- All of it ----------------------------------------------------------------------------- */

typedef struct serve_opts {
    cli_common common;
    const char *listen;
    int64_t port;
    const char *token_file;
    const char *base_path;
    cli_words hosts;
    int64_t interval_ms;
    const char *break_log; /* NULL: nobody may break anything */
} serve_opts;

typedef struct serve_token {
    char name[SERVE_NAME_MAX];
    char text[SERVE_TOKEN_MAX]; /* filled up with zeros */
} serve_token;

typedef struct serve_session {
    char id[SERVE_ID_TEXT];
    uint64_t used;            /* the larger, the later */
    const serve_token *token; /* with which it began */
} serve_session;

struct serve {
    serve_opts opts;
    const char *prefix;
    pawl_client *client; /* the observer's */
    pawl_client *asker;  /* the worker's */

    pthread_mutex_t mutex; /* guards what follows, up to the line */
    serve_picture picture;
    serve_jobs asked, done;
    struct serve_history *history;
    struct serve_heat *heat;
    struct serve_waits *waits; /* of the latest look that succeeded; NULL: none */
    bool ending;
    int wake_fd; /* an eventfd: something is in `asked`, or `ending` */
    int end_fd;  /* an eventfd: `ending` */
    int news_fd; /* an eventfd: something is in `done`, or the picture is new */
    /* ---- */

    json_t *findings;    /* of the doctor; NULL: not asked yet. Only for the worker, as the next */
    int64_t findings_ms; /* when they were found, of cli_now_ms */

    struct event_base *base; /* from here on only for HTTP's thread */
    struct evhttp *http;
    struct serve_guests *guests;
    struct serve_stream *streams;
    size_t stream_count;
    serve_token tokens[SERVE_TOKENS_MAX];
    size_t token_count; /* 0: everybody may see everything */
    serve_session sessions[SERVE_SESSIONS_MAX];
    uint64_t sessions_used;
    char base_path[SERVE_TYPED_MAX]; /* "" or "/locks" */
    int port;
};

/* observer.c */
void *serve_observe(void *s);

/* jobs.c */
void *serve_work(void *s);
bool serve_is_ending(serve *s);
void serve_ring(int fd);
void serve_inspect(serve *s, serve_job *job);
/* What the client says of its last error, as the members error and reason. */
json_t *serve_trouble_json(serve *s, int err);
/* True: the job is queued, and comes back in `done`. False: too many wait. */
bool serve_ask(serve *s, serve_job *job);
/* The next job that is done; NULL: none. */
serve_job *serve_next_done(serve *s);
void serve_job_free(serve_job *job);

/* doctor.c: what the store's doctor finds; it is asked at most once in a minute. */
void serve_examine(serve *s, serve_job *job);

/* query.c: what a page asks for. Parameters that make no sense are ignored. */
typedef enum serve_sort {
    SERVE_BY_WAITING,
    SERVE_BY_AGE,  /* longest wait first */
    SERVE_BY_HELD, /* held for the longest time first */
    SERVE_BY_LEFT,
    SERVE_BY_NAME
} serve_sort;

typedef struct serve_view {
    char prefix[SERVE_TYPED_MAX], search[SERVE_TYPED_MAX];
    serve_sort sort;
    size_t offset, limit;
} serve_view;

void serve_view_parse(const char *query, serve_view *ret_view);
/* The name of a lock, as key= or key_hex=; false: there is none. */
bool serve_query_name(const char *query, char ret_name[PAWL_NAME_MAX + 1], size_t *ret_len);
/* The same from its two values, of which one may be NULL. */
bool serve_name_of(const char *text, const char *hex, char ret_name[PAWL_NAME_MAX + 1],
                   size_t *ret_len);

/* view.c: the answer to that. The caller owns the object. */
json_t *serve_view_json(serve *s, const serve_view *view);
/* The past of one name (len > 0), or of all that begin with prefix. */
json_t *serve_timeline_json(serve *s, const char *name, size_t len, const char *prefix);
json_t *serve_contention_json(serve *s);
json_t *serve_deadlocks_json(serve *s);
/* list.c: sets its locks, and the groups of their names. Mutex held. */
void serve_list_set(const serve_picture *picture, const serve_view *view, json_t *object);

/* detail.c: one lock, with all holders and waiters that the store shows. */
json_t *serve_detail_json(const pawl_info *info);
/* Parts of it. */
json_t *serve_fence_json(uint64_t fence);
void serve_set_who(json_t *object, const char *label);
/* null for a negative number. */
json_t *serve_number_json(int64_t number);

/* token.c */
int serve_token_read(serve *s); /* 0 or an exit code */
/* NULL: nobody has this one. */
const serve_token *serve_token_of(const serve *s, const char *given);
/*
 * The name of the visitor's token, which comes with the request or with a session; "" if none is
 * required. NULL: the visitor may see nothing.
 */
const char *serve_visitor(serve *s, struct evhttp_request *request);
/* Begins a session; its cookie goes into the headers of the answer. */
bool serve_session_begin(serve *s, struct evhttp_request *request, const serve_token *token);
void serve_session_end(serve *s, struct evhttp_request *request);

/* listen.c */
int serve_listen(serve *s); /* 0 or an exit code */

/* reply.c */
void serve_reply_json(serve *s, struct evhttp_request *request, int status, json_t *object);
void serve_reply_text(serve *s, struct evhttp_request *request, int status, const char *text);
/*
 * If the connection has ended before the answer, evhttp has left the request to us, and this frees
 * it. Else evhttp frees it with the connection.
 */
void serve_drop_request(struct evhttp_request *request);
/* The headers that each answer has. */
void serve_add_headers(struct evhttp_request *request, const char *type);

/* break.c */
/* Reads what is wished for, and by whom. False, and why: it is no such wish. */
bool serve_wish_read(serve *s, struct evhttp_request *request, const char *body, serve_job *job,
                     const char **ret_why);
void serve_break(serve *s, serve_job *job);

/* routes.c: which function serves which path. */
void serve_on_request(struct evhttp_request *request, void *s);
/* Answers the requests of the jobs that are done. */
void serve_answer_jobs(serve *s);

/* who.c: protects against requests that another site's page makes a browser send. */
bool serve_host_fits(const serve *s, struct evhttp_request *request);
bool serve_origin_fits(struct evhttp_request *request);
/* Whether it is a numeric address. */
bool serve_is_address(const char *text);
bool serve_is_loopback(const char *address);

/* events.c: connections that are told of each look. */
void serve_stream_begin(serve *s, struct evhttp_request *request, const char *query);
void serve_streams_tell(serve *s);
void serve_streams_end(serve *s);

/* guests.c: limits the number of connections, and the time for which each may keep us waiting. */
typedef struct serve_guests serve_guests;
serve_guests *serve_guests_new(struct event_base *base, struct evhttp *http);
/* A request is complete: from now on the guest waits for us. */
void serve_guest_asked(serve *s, struct evhttp_request *request);
/* The answer will be sent now: we wait for the guest. */
void serve_guest_answered(serve *s, struct evhttp_request *request);
void serve_guests_free(serve_guests *guests);

/* The files of the page, embedded. */
typedef struct serve_file {
    const char *path, *type;
    const unsigned char *bytes;
    size_t len;
} serve_file;
extern const serve_file serve_files[]; /* ends with a NULL path */

#endif
