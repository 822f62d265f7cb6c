/* SPDX-License-Identifier: MIT */
/* Which thread runs: coroutines, the choice at each point, virtual time. */
#define _GNU_SOURCE
#include "harness.h"

#include "snapshot.h"
#include "switch.h"

#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STEPS_MAX   400000u
#define FIRST_TIME  (1000000 * MS)
#define TIME_LIMIT  (600 * 1000 * MS)
#define CLOCK_SPANS 6
#define STREAK_MAX  2000 /* steps of one thread: it waits for another one's step */

harness *S;

/* ---- Static data is the same before each run
 * ------------------------------------------------------ */

extern char __data_start[], _end[];

static char *image;

static int find_tls(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
        S->tls_size = info->dlpi_phdr[i].p_memsz;
        S->tls = info->dlpi_tls_data;
    }
    return 1; /* the program comes first, and only its threads' variables are looked after */
}

void sched_start(void)
{
    S = mmap(NULL, sizeof *S, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (S == MAP_FAILED) abort();
    snapshot_start();
    memory_start();
    dl_iterate_phdr(find_tls, NULL);
    if (S->tls_size > sizeof S->first_tls) abort();
    if (S->tls) memcpy(S->first_tls, S->tls, S->tls_size);
    size_t size = (size_t)(_end - __data_start);
    char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) abort();
    image = copy; /* part of the picture */
    memcpy(copy, __data_start, size);
}

/* The switches of the plan, and what was recorded and traced before a fork, stay as they are. */
void sched_keep(void)
{
    size_t plan_ends = offsetof(harness, finding), record = offsetof(harness, record);
    size_t after_record = record + sizeof S->record;
    snapshot_keep(S, offsetof(harness, plan.switches));
    snapshot_keep((char *)S + plan_ends, record - plan_ends);
    snapshot_keep((char *)S + after_record, offsetof(harness, lines) - after_record);
    snapshot_keep(__data_start, (size_t)(_end - __data_start));
    snapshot_keep(S->tls, S->tls_size);
}

static void restore_statics(void)
{
    memcpy(__data_start, image, (size_t)(_end - __data_start));
}

/* ---- Draws
 * ------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint32_t draw_choice(uint32_t below)
{
    S->rng = mix(S->rng);
    return below ? (uint32_t)(S->rng % below) : 0;
}

uint32_t sched_draw(draw_kind kind, uint32_t below)
{
    thread *me = self();
    uint64_t x =
        mix(S->plan.seed ^ ((uint64_t)kind << 56) ^ ((uint64_t)me->id << 48) ^ me->draws[kind]++);
    return below ? (uint32_t)(x % below) : 0;
}

/* ---- Timeline
 * ----------------------------------------------------------------------------------------- */

void add_line(bool is_call, const char *format, ...)
{
    if (S->line_count == LINES_MAX) return;
    line *l = &S->lines[S->line_count++];
    *l = (line){.step = S->steps, .thread = (int16_t)S->current, .is_call = is_call, .at = S->now};
    va_list args;
    va_start(args, format);
    vsnprintf(l->text, sizeof l->text, format, args);
    va_end(args);
}

/* ---- Ends
 * -----------------------------------------------------------------------------------------------
 */

void sched_end(void)
{
    void *gone;
    S->running = false;
    switch_stack(&gone, S->host_sp);
    abort();
}

void fail(const char *check, const char *format, ...)
{
    if (!S->finding.found) {
        trouble *f = &S->finding;
        f->found = true;
        snprintf(f->check, sizeof f->check, "%s", check);
        f->step = S->steps;
        f->thread = S->current;
        va_list args;
        va_start(args, format);
        vsnprintf(f->text, sizeof f->text, format, args);
        va_end(args);
        trace(true, "!! %s", f->check);
    }
    sched_end();
}

/* ---- Switching
 * -------------------------------------------------------------------------------------------- */

static void leave(thread *t)
{
    t->saved_errno = errno;
    if (S->tls) memcpy(t->tls, S->tls, S->tls_size);
}

static void enter(thread *t)
{
    errno = t->saved_errno;
    if (S->tls) memcpy(S->tls, t->tls, S->tls_size);
}

static void switch_to(int next)
{
    thread *from = self(), *to = &S->threads[next];
    S->current = next;
    order_runs_now(to);
    S->switches++;
    leave(from);
    switch_stack(&from->sp, to->sp);
    enter(from);
}

static bool never(const void *arg)
{
    (void)arg;
    return false;
}

static bool has_ended(const void *arg)
{
    return ((const thread *)arg)->state == THREAD_ENDED;
}

/* The end of every thread: it never runs again. */
static void end_thread(void)
{
    thread *me = self();
    if (me->locks > 0) fail("mutex kept", "%s ended with a mutex", me->name);
    me->state = me->detached ? THREAD_JOINED : THREAD_ENDED;
    sched_wait("ends", me, never, NULL, NEVER);
    abort();
}

static void thread_main(void)
{
    thread *me = self();
    enter(me);
    if (setjmp(me->end) == 0) {
        if (me->id == 0)
            S->body(S->body_arg);
        else
            me->result = me->run(me->arg);
    }
    if (me->id == 0) sched_end();
    end_thread();
}

static thread *new_thread(const char *name, bool is_users)
{
    if (S->count == THREADS_MAX) fail("threads", "more than %d threads", THREADS_MAX);
    thread *t = &S->threads[S->count];
    *t = (thread){.id = S->count++, .state = THREAD_LIVES, .is_users = is_users, .until = NEVER};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->what = "begins";
    t->object = t;
    t->hash = mix((uint64_t)t->id + 1);
    t->randoms = mix(S->plan.seed * 31 + (uint64_t)t->id);
    t->priority = S->plan.strategy == STRATEGY_PCT ? (int)draw_choice(1000000) + 1000 : 0;
    memcpy(t->tls, S->first_tls, S->tls_size);
    sigemptyset(&t->mask);
    t->sp = switch_prepare(memory_stack(t->id), STACK_SIZE, thread_main);
    return t;
}

int sched_spawn(const char *name, bool is_users, void *(*run)(void *), void *arg)
{
    sched_point("starts a thread", S, true);
    thread *me = self(), *t = new_thread(name, is_users);
    t->run = run;
    t->arg = arg;
    t->mask = me->mask;
    order_spawned(me, t);
    trace(false, "starts %s", t->name);
    return t->id;
}

void sched_join(int id, void **ret_result)
{
    thread *t = &S->threads[id];
    if (id <= 0 || id >= S->count || t->state == THREAD_JOINED || t->detached || t->joining)
        fail("join", "%s joins a thread that cannot be joined", self()->name);
    t->joining = true;
    sched_wait_interruptible("joins", t, has_ended, t, NEVER);
    while (t->state != THREAD_ENDED) sched_wait("joins", t, has_ended, t, NEVER);
    t->state = THREAD_JOINED;
    order_joined(t);
    if (ret_result) *ret_result = t->result;
}

/* ---- Who may run
 * --------------------------------------------------------------------------------------------- */

static bool takes_signal(const thread *t)
{
    return t->signal_waits && !t->in_handler && !sigismember(&t->mask, SIGUSR1) && t->is_users;
}

static bool takes_cancel(const thread *t)
{
    return t->interruptible && t->cancel_waits && !t->cancel_off && !t->in_handler;
}

static bool can_run(const thread *t)
{
    if (t->state != THREAD_LIVES) return false;
    if (!t->ready || t->until <= S->now) return true;
    return t->ready(t->ready_arg) || takes_signal(t) || takes_cancel(t);
}

static int list_ready(uint8_t *ret_ids)
{
    int n = 0;
    for (int i = 0; i < S->count; i++)
        if (can_run(&S->threads[i])) ret_ids[n++] = (uint8_t)i;
    return n;
}

static int64_t next_instant(void)
{
    int64_t at = files_next_timer();
    for (int i = 0; i < S->count; i++) {
        const thread *t = &S->threads[i];
        if (t->state == THREAD_LIVES && t->ready && t->until > S->now && t->until < at)
            at = t->until;
    }
    return at;
}

static void fail_stuck(const char *check, const char *why)
{
    char text[300] = "";
    size_t used = 0;
    for (int i = 0; i < S->count; i++) {
        const thread *t = &S->threads[i];
        if (t->state != THREAD_LIVES || used > sizeof text - 60) continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "; %s: %.30s", t->name, t->what);
    }
    fail(check, "%s%s", why, text);
}

/* No thread can run: time goes on until one can. */
static void let_time_pass(void)
{
    int64_t at = next_instant();
    if (at == NEVER) fail_stuck("deadlock", "nobody can go on, and nobody waits for a time");
    if (S->on_idle) S->on_idle(at);
    S->now = at;
    S->trace_hash = mix(S->trace_hash ^ (uint64_t)at);
    if (at > FIRST_TIME + S->limit) fail_stuck("hang", "time passes and nothing comes to an end");
}

static const int64_t spans[CLOCK_SPANS] = {20 * US, 150 * US, 400 * US, 3 * MS, 30 * MS, 150 * MS};

/* The clock moves although somebody could run: the machine was busy with others. */
static void jump(uint32_t which)
{
    int64_t span = spans[which % CLOCK_SPANS];
    S->now += span;
    S->jumps += span;
    trace(false, "(%lld us pass)", (long long)(span / US));
}

/* ---- The choice
 * ------------------------------------------------------------------------------------------------
 */

static bool is_in(const uint8_t *ids, int n, int id)
{
    for (int i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static int choose_random(const uint8_t *ids, int n, bool may_stay)
{
    if (may_stay && (int)draw_choice(1024) >= S->plan.switch_chance) return S->current;
    return ids[draw_choice((uint32_t)n)];
}

static int choose_pct(const uint8_t *ids, int n)
{
    thread *me = self();
    for (int i = 0; i < S->plan.depth - 1; i++)
        if (S->change_at[i] == S->steps) me->priority = S->plan.depth - 1 - i;
    if (me->yields || S->streak > STREAK_MAX) me->priority = --S->next_priority;
    int best = ids[0];
    for (int i = 1; i < n; i++)
        if (S->threads[ids[i]].priority > S->threads[best].priority) best = ids[i];
    return best;
}

/* The thread after one that cannot go on: the next by number, and then from the first. */
static int next_in_turn(const uint8_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        if (ids[i] > S->current) return ids[i];
    return ids[0];
}

static int choose_usual(const uint8_t *ids, int n, bool may_stay)
{
    return may_stay && !self()->yields ? S->current : next_in_turn(ids, n);
}

static int choose_as_written(const uint8_t *ids, int n, bool may_stay)
{
    int usual = choose_usual(ids, n, may_stay);
    const schedule *plan = &S->plan;
    while (S->at_switch < plan->switch_count && plan->switches[S->at_switch].step < S->steps)
        S->at_switch++;
    if (S->at_switch == plan->switch_count) return usual;
    const change_of_thread *change = &plan->switches[S->at_switch];
    if (change->step != S->steps) return usual;
    S->at_switch++;
    return is_in(ids, n, change->thread) ? change->thread : usual;
}

/* Notes each choice that a replay would not make by itself. */
static void record(const uint8_t *ids, int n, bool may_stay, int chosen)
{
    int usual = choose_usual(ids, n, may_stay);
    if (chosen == usual || S->recorded == SWITCHES_MAX) return;
    S->record[S->recorded++] = (change_of_thread){.step = S->steps, .thread = (uint8_t)chosen};
}

static int choose_by_plan(const uint8_t *ids, int n, bool may_stay)
{
    switch (S->plan.strategy) {
    case STRATEGY_RANDOM:
        return choose_random(ids, n, may_stay);
    case STRATEGY_PCT:
        return choose_pct(ids, n);
    case STRATEGY_REPLAY:
        return choose_as_written(ids, n, may_stay);
    case STRATEGY_EXPLORE:
        /* What a child does is one step of its parent. */
        return S->in_child ? choose_usual(ids, n, may_stay)
                           : S->choose(n, ids, S->current, may_stay);
    }
    return ids[0];
}

static int choose(const uint8_t *ids, int n)
{
    bool may_stay = is_in(ids, n, S->current);
    int chosen = choose_by_plan(ids, n, may_stay);
    record(ids, n, may_stay, chosen);
    return chosen;
}

static void replay_jump(void)
{
    const schedule *plan = &S->plan;
    while (S->at_switch < plan->switch_count && plan->switches[S->at_switch].step < S->steps)
        S->at_switch++;
    if (S->at_switch == plan->switch_count) return;
    const change_of_thread *change = &plan->switches[S->at_switch];
    if (change->step != S->steps || change->thread < TIME_PASSES) return;
    jump(change->thread - TIME_PASSES);
    S->at_switch++;
}

static void maybe_jump(void)
{
    if (S->plan.strategy >= STRATEGY_REPLAY) {
        replay_jump();
        return;
    }
    if (S->plan.time_chance == 0 || (int)draw_choice(65536) >= S->plan.time_chance) return;
    uint32_t which = draw_choice(CLOCK_SPANS);
    jump(which);
    if (S->recorded == SWITCHES_MAX) return;
    S->record[S->recorded++] =
        (change_of_thread){.step = S->steps, .thread = (uint8_t)(TIME_PASSES + which)};
}

static void reschedule(void)
{
    uint8_t ids[THREADS_MAX];
    int n;
    if (++S->steps > S->steps_max) fail_stuck("livelock", "the steps do not come to an end");
    if (S->on_step) S->on_step();
    maybe_jump();
    while ((n = list_ready(ids)) == 0) let_time_pass();
    int next = n == 1 ? ids[0] : choose(ids, n);
    self()->yields = false;
    S->trace_hash = mix(S->trace_hash ^ (uint64_t)next);
    S->streak = next == S->current ? S->streak + 1 : 0;
    if (next != S->current) switch_to(next);
}

/* ---- Points
 * --------------------------------------------------------------------------------------------------------
 */

static void handle_signal(thread *me)
{
    if (!takes_signal(me)) return;
    me->signal_waits = false;
    me->in_handler = true;
    bool interruptible = me->interruptible;
    int error = errno;
    trace(true, "-- a signal");
    if (S->on_signal) S->on_signal();
    trace(true, "-- the handler returns");
    errno = error;
    me->in_handler = false;
    me->interrupted = true;
    me->interruptible = interruptible;
}

static void note(thread *me, const char *what, const void *object, bool writes)
{
    me->what = what;
    me->object = object;
    me->writes = writes;
}

void sched_point(const char *what, const void *object, bool writes)
{
    if (!S->running || S->quiet) return;
    thread *me = self();
    note(me, what, object, writes);
    me->ready = NULL;
    me->until = NEVER;
    reschedule();
    handle_signal(me);
    order_note(me, object, writes);
    trace(false, "%s", what);
}

static bool wait_until(const char *what, const void *object, bool (*ready)(const void *),
                       const void *arg, int64_t until, bool interruptible)
{
    thread *me = self();
    if (S->quiet) fail("harness", "%s inside a check", what);
    me->interrupted = false;
    me->interruptible = interruptible;
    for (;;) {
        note(me, what, object, true);
        me->ready = ready;
        me->ready_arg = arg;
        me->until = until;
        if (until <= S->now) me->yields = true; /* a loop of such waits lets others go on, too */
        reschedule();
        handle_signal(me);
        if (ready(arg) || until <= S->now || (interruptible && me->interrupted)) break;
        if (takes_cancel(me)) break;
    }
    me->interruptible = false;
    me->ready = NULL;
    me->until = NEVER;
    order_note(me, object, true);
    bool came = ready(arg);
    order_saw(came);
    trace(false, "%s%s", what, came ? "" : ": time is over");
    return came;
}

bool sched_wait(const char *what, const void *object, bool (*ready)(const void *), const void *arg,
                int64_t until)
{
    return wait_until(what, object, ready, arg, until, false);
}

bool sched_wait_interruptible(const char *what, const void *object, bool (*ready)(const void *),
                              const void *arg, int64_t until)
{
    return wait_until(what, object, ready, arg, until, true);
}

void sched_yield_now(void)
{
    if (!S->running || S->quiet) return;
    self()->yields = true;
    if (!S->plan.still_clock) S->now += 20 * US;
    sched_point("yields", self(), false);
}

void sched_test_cancel(void)
{
    thread *me = self();
    if (!S->running || S->quiet || !me->cancel_waits || me->cancel_off || me->in_handler) return;
    trace(true, "is cancelled in: %s", me->what);
    longjmp(me->end, 1);
}

/* ---- A fork
 * -----------------------------------------------------------------------------------------------------------
 */

bool sched_fork(void)
{
    if (S->in_child) fail("harness", "a child forks");
    S->forks = true;
    switch_stack(&self()->sp, S->host_sp);
    return S->in_child;
}

/* The host's side of it: -> whether somebody goes on. */
static bool go_on(void)
{
    if (S->forks) {
        S->forks = false;
        snapshot_take();
        S->in_child = true;
        return true;
    }
    if (!S->in_child) return false;
    process_end_child();
    snapshot_put_back();
    return true;
}

/* ---- A run
 * ------------------------------------------------------------------------------------------------------------
 */

static void draw_changes(void)
{
    S->next_priority = 0;
    for (int i = 0; i < 8; i++) S->change_at[i] = draw_choice(1u << (6 + draw_choice(7)));
}

void sched_run(const schedule *plan, void (*body)(void *), void *arg, bool tracing)
{
    void (*on_idle)(int64_t) = S->on_idle;
    void (*on_step)(void) = S->on_step;
    void (*on_signal)(void) = S->on_signal;
    restore_statics();
    memory_reset();
    order_reset();
    atomics_reset();
    sync_reset();
    files_reset();
    loop_reset();
    process_reset();
    S->plan = *plan;
    S->finding = (trouble){0};
    S->count = S->current = S->recorded = S->at_switch = S->line_count = S->quiet = 0;
    S->steps = S->streak = 0;
    S->steps_max = STEPS_MAX;
    S->switches = 0;
    S->now = FIRST_TIME;
    S->limit = TIME_LIMIT;
    S->jumps = 0;
    S->rng = mix(plan->seed);
    S->trace_hash = 0;
    S->tracing = tracing;
    S->body = body;
    S->body_arg = arg;
    S->on_idle = on_idle;
    S->on_step = on_step;
    S->on_signal = on_signal;
    draw_changes();
    thread *first = new_thread("main", true);
    order_runs_now(first);
    S->running = true;
    switch_stack(&S->host_sp, first->sp);
    while (go_on()) switch_stack(&S->host_sp, self()->sp);
    S->running = false;
}
