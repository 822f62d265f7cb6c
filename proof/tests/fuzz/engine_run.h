/* SPDX-License-Identifier: MIT */
/* A run of the engine's fuzzer: callers, what was sent, and what the store knows. */
#ifndef PAWL_TESTS_FUZZ_ENGINE_RUN_H
#define PAWL_TESTS_FUZZ_ENGINE_RUN_H

#include "fuzz.h"

#include "engine/engine.h"

#define WANTS      8
#define NAMES      3
#define SENT_MAX   64
#define TOKENS_MAX 1024 /* more than are drawn: none is used again */
#define CAPACITY   4
#define SLOTS_MAX  8

typedef enum phase { NOBODY = 0, WAITS, HOLDS, LOST } phase;

/* A caller, as he would tell the story. */
typedef struct caller {
    pawl__want want;
    pawl__waiting waiting;
    phase phase;
    bool gave_back; /* RELEASED is due */
    /* In modes: */
    pawl__waiting upgrade;
    pawl_mode mode; /* as he would say it */
    bool changing;  /* CHANGED is due */
    pawl_mode changes_to;
    uint64_t fence;
    unsigned slots; /* of permits: a bit for each */
} caller;

typedef struct sent {
    pawl_request request;
    int64_t at;
    unsigned token;
} sent;

/* A lease as the store knows it. */
typedef struct token {
    char text[PAWL_TOKEN_LEN + 1];
    unsigned name;
    uint64_t fence;
    int64_t ttl_ms;
    int64_t base_at;  /* when the latest request left that the store has acknowledged (law 2) */
    int64_t whole_at; /* the same, of one that was granted or confirmed: NEVER if there is none */
    bool asked;
    /* At a fair store, in modes: */
    bool held, waits, upgrades;
    pawl_mode mode;
    unsigned units, capacity, slots;
    uint32_t change; /* the number of the latest one that it has done */
} token;

typedef struct run {
    pawl__engine *engine;
    fuzz_input *in;
    int64_t now;
    unsigned events;
    bool hostile, kinds, closed, up;
    caller callers[WANTS];
    sent sent[SENT_MAX]; /* requests without an answer */
    unsigned sent_count;
    token tokens[TOKENS_MAX];
    unsigned token_count;
    uint64_t fences[NAMES];   /* drawn last */
    uint64_t reported[NAMES]; /* told to a caller last */
    uint64_t reported_modes[NAMES][PAWL_MODE_PERMIT], reported_slots[NAMES][SLOTS_MAX];
} run;

/* ---- engine_modes.c: a fair store whose names are held in all modes ------------------------ */

/* The table of pawl_mode, said anew. */
bool modes_exclude(pawl_mode a, pawl_mode b);
/* What it makes of the answer that the input wants. *ret_err: why it is FAILED, if it says so. */
pawl_outcome modes_answer(run *r, token *t, const pawl_request *request, pawl_outcome wanted,
                          pawl_err *ret_err);
/* It pushes what it has just granted, or has granted before; false: nothing. */
bool modes_push(run *r, token *t);
/* How many they are, and which, the lowest first. */
size_t modes_list_slots(unsigned slots, uint16_t ret_slots[SLOTS_MAX]);

#endif
