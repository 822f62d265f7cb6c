/* SPDX-License-Identifier: MIT */
/*
 * A controlled scheduler: the program's threads are coroutines on one thread of the system, and
 * at each operation that another thread can notice the scheduler chooses who goes on.
 *
 * The code under test is compiled with the compiler's instrumentation for ThreadSanitizer and
 * linked with functions of ours instead of its library (races.c, atomics.c): so each access to
 * memory is seen. What it asks of the system is wrapped by the linker (sync.c, files.c, loop.c,
 * process.c, memory.c). Its sources are those of the library, unchanged.
 *
 * A run is decided by its settings alone: the same build, the same settings, the same run. All
 * state of the harness lies in one block (S); all other static data is set back before each run.
 */
#ifndef PAWL_TESTS_THREADS_HARNESS_H
#define PAWL_TESTS_THREADS_HARNESS_H

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS_MAX  30 /* a cell has five bits for them, and 31 is another mark */
#define STACK_SIZE   ((size_t)256 * 1024)
#define NEVER        INT64_MAX
#define MS           INT64_C(1000000)
#define US           INT64_C(1000)
#define SWITCHES_MAX 4096
#define LINES_MAX    20000
#define TIME_PASSES  (THREADS_MAX) /* a change from here on is none of thread: the clock jumps */

/* ---- Settings of a run ----------------------------------------------------------------------- */

typedef enum strategy_kind {
    STRATEGY_RANDOM = 0, /* each choice is drawn */
    STRATEGY_PCT,        /* priorities, changed at `depth` - 1 drawn moments */
    STRATEGY_REPLAY,     /* as the list of switches says, else who runs goes on */
    STRATEGY_EXPLORE     /* the same, and each choice is reported to explore.c */
} strategy_kind;

typedef struct change_of_thread {
    uint32_t step;
    uint8_t thread;
} change_of_thread;

typedef struct schedule {
    strategy_kind strategy;
    uint64_t seed;
    int depth;           /* PCT */
    int switch_chance;   /* random: per 1024 */
    int time_chance;     /* per 65536: the clock jumps although somebody could run */
    int spurious_chance; /* per 1024: a condition wakes nobody in particular */
    int stale_chance;    /* per 1024: a load sees an older store, if its order allows it */
    bool still_clock;    /* reading the clock does not move it */
    bool free_on_yield;  /* explore: who yields may be followed by anybody without a charge */
    int switch_count;
    change_of_thread switches[SWITCHES_MAX];
} schedule;

/* What is wrong with a run. */
typedef struct trouble {
    bool found;
    char check[32];
    char text[400];
    uint32_t step;
    int thread;
} trouble;

/* ---- Threads --------------------------------------------------------------------------------- */

typedef struct clockv {
    uint32_t at[THREADS_MAX];
} clockv;

typedef enum thread_state {
    THREAD_FREE = 0,
    THREAD_LIVES,
    THREAD_ENDED,
    THREAD_JOINED
} thread_state;

typedef struct thread {
    int id;
    thread_state state;
    char name[20];
    bool is_users; /* of the program under test, not of the library */
    void *sp;
    void *(*run)(void *);
    void *arg, *result;
    bool joining, detached;
    /* What it is about to do, and when it may. */
    const char *what;
    const void *object;
    bool writes; /* the object: for the order of what depends on each other */
    bool (*ready)(const void *);
    const void *ready_arg;
    int64_t until;
    bool yields;
    const void *cond; /* that it waits for, also under a signal's handler */
    bool signalled;   /* it was */
    int locks;        /* mutexes that it holds */
    /* Signals and cancellation. */
    sigset_t mask;
    bool signal_waits, in_handler, interruptible, interrupted;
    bool cancel_waits, cancel_off;
    jmp_buf end;
    /* Saved while others run. */
    int saved_errno;
    char tls[256];
    /* Order. */
    clockv clock;
    uint64_t hash; /* of all that it did and what that depended on */
    int priority;
    uint32_t draws[8];
    uint64_t randoms;
} thread;

typedef struct line {
    uint32_t step;
    int16_t thread;
    bool is_call; /* of the program: what a reader wants to see first */
    int64_t at;
    char text[76];
} line;

typedef struct harness {
    bool running;
    int quiet; /* > 0: nothing of what is done now is a point of the schedule */
    schedule plan;
    trouble finding;
    thread threads[THREADS_MAX];
    int count, current;
    uint32_t now_cell; /* the current thread and its clock, as races.c writes them down */
    void *host_sp;
    uint32_t steps, steps_max, streak;
    uint64_t switches;
    int64_t now, limit, jumps; /* jumps: how far the clock was moved although somebody could run */
    uint64_t rng;
    uint64_t trace_hash;
    int next_priority;
    uint32_t change_at[8];
    int at_switch; /* in plan.switches */
    int recorded;
    change_of_thread record[SWITCHES_MAX];
    void (*body)(void *);
    void *body_arg;
    void (*on_idle)(int64_t until); /* nobody can run: the clock is about to move */
    void (*on_step)(void);
    void (*on_signal)(void);
    int (*choose)(int n, const uint8_t *ready, int current, bool may_stay); /* explore.c */
    bool forks, in_child;
    bool tracing;
    int line_count;
    line lines[LINES_MAX];
    size_t tls_size;
    char *tls;
    char first_tls[256];
} harness;

extern harness *S;

/* ---- Running -----------------------------------------------------------------------------------
 */

/* Once, before everything else. */
void sched_start(void);
/* Runs body(arg) as thread 0, to its end or a finding. */
void sched_run(const schedule *plan, void (*body)(void *), void *arg, bool tracing);
/* Ends the run with what is wrong; does not return. The first finding counts. */
void fail(const char *check, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* Ends the run without a finding, whatever still runs: the process is over. */
void sched_end(void) __attribute__((noreturn));

/* ---- For the wrappers
 * ---------------------------------------------------------------------------- */

static inline thread *self(void)
{
    return &S->threads[S->current];
}

/* Another thread could notice what comes now. object: what it is done to. */
void sched_point(const char *what, const void *object, bool writes);
/* The same, when ready(arg); false: `until` came, or (interruptible) a signal. */
bool sched_wait(const char *what, const void *object, bool (*ready)(const void *), const void *arg,
                int64_t until);
bool sched_wait_interruptible(const char *what, const void *object, bool (*ready)(const void *),
                              const void *arg, int64_t until);
void sched_yield_now(void);
/* A cancellation point. */
void sched_test_cancel(void);
int sched_spawn(const char *name, bool is_users, void *(*run)(void *), void *arg);
void sched_join(int id, void **ret_result);
/*
 * Returns twice, as fork() does: true in the child, which is the same memory; and when that has
 * ended, false, with everything as it was before.
 */
bool sched_fork(void);

/* A draw that depends only on the seed, the thread and how often it has drawn so. */
typedef enum draw_kind {
    DRAW_SIGNAL,
    DRAW_SPURIOUS,
    DRAW_STALE,
    DRAW_WAKE,
    DRAW_STORE,
    DRAW_ORDER
} draw_kind;
uint32_t sched_draw(draw_kind kind, uint32_t below);

void add_line(bool is_call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the timeline, if one is wanted. */
#define trace(...)                                                                                 \
    do {                                                                                           \
        if (S->tracing) add_line(__VA_ARGS__);                                                     \
    } while (false)

/* ---- Order: who happened before whom (races.c)
 * ----------------------------------------------------- */

void order_reset(void);
/* It becomes the current thread. */
void order_runs_now(const thread *me);
void order_acquire(const void *object);
void order_release(const void *object);
void order_spawned(thread *parent, thread *child);
void order_joined(thread *child);
/* For exploration: what was done depends on what was done to the object before. */
void explore_note(thread *t, const void *object, bool writes);
/* And what came out of it, where that depends on more than the object. */
void explore_saw(uint64_t outcome);

static inline void order_note(thread *t, const void *object, bool writes)
{
    if (S->plan.strategy == STRATEGY_EXPLORE) explore_note(t, object, writes);
}

static inline void order_saw(uint64_t outcome)
{
    if (S->plan.strategy == STRATEGY_EXPLORE) explore_saw(outcome);
}

/* ---- Memory (memory.c) --------------------------------------------------------------------------
 */

void memory_start(void);
void memory_reset(void);
/* Fails if something is left that was allocated while the run lasted. */
void memory_check_leaks(void);
size_t memory_live(void);
void *memory_stack(int id);
void access_memory(uintptr_t address, size_t size, bool writes);

/* ---- Descriptors, event loops, the process
 * -------------------------------------------------------- */

void files_reset(void);
void files_check_leaks(void);
void files_in_child(void);
int64_t files_next_timer(void);
bool file_is_readable(int fd);
void loop_reset(void);
void loop_check_leaks(void);
void loop_in_child(void);
void process_reset(void);
/* What the child of a fork has found is its parent's to report. */
void process_end_child(void);
void sync_reset(void);
void atomics_reset(void);

#endif
