/* SPDX-License-Identifier: MIT */
/* The variables and functions of lib_many.lua, for the scripts that include it. */
#ifndef PAWL_SIM_MODEL_MANY_H
#define PAWL_SIM_MODEL_MANY_H

#include "model_call.h"

/* Something to be said at the script's end: to an inbox, to the checkers, or to both. */
typedef struct many_news {
    char inbox[MODEL_INBOX_MAX]; /* "": it is no push */
    char letter;                 /* of the push: g (p with permits), y, r */
    bool took;                   /* the token got something */
    model_news what;
    model_hold hold;
    char token[MODEL_TEXT_MAX];
} many_news;

/* Who asks, if the script is an ACQUIRE. */
typedef struct many_asker {
    const char *token;
    int64_t ttl_ms;
    char mode;
    int units, capacity;
    model_who who;
} many_asker;

typedef struct many {
    model_call *c;
    model_lock *lock;
    bool has_group; /* `capacity` is not nil */
    model_group group;
    int64_t waiting;
    bool lost, blocked, changed;
    bool refused; /* the server did not let the script write: nothing has been done */
    bool has_latest;
    char latest[MODEL_TEXT_MAX];
    model_who latest_who;
    /* The record as the script read it. */
    bool recorded;
    char rec_token[MODEL_TEXT_MAX];
    model_who rec_who;
    bool asker_granted;
    uint64_t asker_fence;
    uint32_t asker_slots;
    many_news *news;
    size_t news_count, news_room;
} many;

many many_begin(model_call *c);
/* Says what is to be said; false: refused, and nothing was. Frees what there is. */
bool many_finish(many *m);

void many_part(many *m, const char *token);
void many_dissolve(many *m);
void many_part_expired(many *m);
/* NULL: it is none. */
model_waiter *many_holder(many *m, const char *token);
/* Whether the token did not stand in the queue's key before. */
bool many_write_holder(many *m, const char *token, const model_waiter *holder, int64_t till_ms);
bool many_fits(const many *m, char mode, int units);
bool many_is_full(const many *m);
model_waiter many_let_in(many *m, const char *token, const many_asker *as);
void many_write_exclusive(many *m, const char *token, int64_t ttl_ms, uint64_t fence,
                          const model_waiter *holder);
uint64_t many_next_fence(many *m);
bool many_finish_upgrade(many *m, int64_t till_ms, bool is_asker);
void many_serve(many *m, const many_asker *asker);
bool many_is_awaited(const many *m, const char *token);
/* mode: x, s, u, p; or U for an upgrade */
void many_ask_to_yield(many *m, char mode);
int64_t many_holder_ms(const many *m);
void many_extend(many *m, const char *token, model_waiter *holder, int64_t ttl_ms,
                 const model_who *who);
void many_keep_keys(many *m, int64_t ttl_ms);
void many_tell(many *m, const char *inbox, char letter, const char *token);
/* It holds now, or is confirmed: the checkers are told at the script's end. */
void many_note(many *m, const char *token, model_news what);
void many_found(many *m, int capacity);
/* False: the script ends here. */
bool many_may_write(many *m, bool needs_memory);
int64_t many_life_of_hash(const many *m);

#endif
