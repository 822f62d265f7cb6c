/* SPDX-License-Identifier: MIT */
/* Small programs, each explored completely up to some preemptions. TAP. */
#include "run.h"

#include "explore.h"

#include <stdio.h>
#include <string.h>

#define THREADS                                                                                    \
    {                                                                                              \
        .callbacks = PAWL_CALLBACKS_THREAD, .spied = true                                          \
    }
#define WAITS                                                                                      \
    {                                                                                              \
        .callbacks = PAWL_CALLBACKS_WAIT, .spied = true                                            \
    }
#define PUMPED                                                                                     \
    {                                                                                              \
        .callbacks = PAWL_CALLBACKS_DISPATCH, .spied = true                                        \
    }
#define ONE(c)                                                                                     \
    {                                                                                              \
        .client = (c), .ttl_ms = 3000                                                              \
    }
#define IN_MODE(c, m)                                                                              \
    {                                                                                              \
        .client = (c), .ttl_ms = 3000, .mode = PAWL_MODE_##m                                       \
    }
#define BOTH(c)                                                                                    \
    {                                                                                              \
        .client = (c), .ttl_ms = 3000, .several = true                                             \
    }
#define RETAINED(c)                                                                                \
    {                                                                                              \
        .client = (c), .ttl_ms = 3000, .retain_ms = 50                                             \
    }
#define REENTRANT(c)                                                                               \
    {                                                                                              \
        .client = (c), .ttl_ms = 3000, .reentrant = true                                           \
    }
#define CALL(k, t, m)                                                                              \
    {                                                                                              \
        .kind = OP_##k, .target = (t), .ms = (m)                                                   \
    }
#define LEAVE(k, t, m)                                                                             \
    {                                                                                              \
        .kind = OP_##k, .target = (t), .ms = (m), .then = OP_CANCEL                                \
    }
#define COMMON .close_timeout_ms = 200, .watched = true, .one_cpu = true

typedef struct small {
    const char *name;
    program p;
} small_program;

static const small_program smalls[] = {
    {"one user",
     {COMMON, .clients = 1, .handles = 1, .users = 1, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}}}}},
    {"two users want one lock",
     {COMMON, .clients = 1, .handles = 2, .users = 2, .client = {THREADS},
      .handle = {ONE(0), ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}},
               {2, {CALL(ACQUIRE, 1, -1), CALL(RELEASE, 1, 0)}}}}},
    {"a cancel meets an acquisition",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(START, 0, -1), CALL(RELEASE_WAIT, 0, 50)}}, {1, {CALL(CANCEL, 0, 0)}}}}},
    {"a close under a holder whom another client waits for",
     {COMMON, .clients = 2, .handles = 2, .users = 2, .client = {THREADS, THREADS},
      .handle = {ONE(0), ONE(1)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(CLOSE, 0, 0)}}, {1, {CALL(ACQUIRE, 1, -1)}}}}},
    {"a close meets an acquisition",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{1, {CALL(ACQUIRE, 0, -1)}}, {1, {CALL(CLOSE, 0, 0)}}}}},
    {"a close meets a dispatch",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {PUMPED}, .handle = {ONE(0)},
      .user = {{2, {CALL(START, 0, 0), CALL(DISPATCH, 0, 0)}}, {1, {CALL(CLOSE, 0, 0)}}}}},
    {"a fork beside a thread that waits for callbacks",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {WAITS}, .handle = {ONE(0)},
      .user = {{1, {CALL(WAIT, 0, 50)}}, {1, {CALL(EXIT, 0, 0)}}}}},
    {"a release meets the exit",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}}, {1, {CALL(EXIT, 0, 0)}}}}},
    {"a release meets a look",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}}, {1, {CALL(INSPECT, 0, 50)}}}}},
    {"a handle is freed while it acquires",
     {COMMON, .clients = 1, .handles = 2, .users = 2, .client = {THREADS},
      .handle = {ONE(0), ONE(0)},
      .user = {{2, {CALL(START, 1, -1), CALL(FREE, 1, 0)}}, {1, {CALL(ACQUIRE, 0, 20)}}}}},
    {"a release meets a fork that fails",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}}, {1, {CALL(FORK, 0, 50)}}}}},
    {"a bare fork meets an acquisition",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}}, {1, {CALL(BARE_FORK, 0, 0)}}}}},
    {"a downgrade and an upgrade at once",
     {COMMON, .clients = 1, .handles = 1, .users = 1, .client = {THREADS},
      .handle = {IN_MODE(0, EXCLUSIVE)},
      .user = {{3, {CALL(ACQUIRE, 0, -1), CALL(DOWNGRADE, 0, 0), CALL(UPGRADE, 0, -1)}}}}},
    {"a retention comes to its end",
     {COMMON, .probed = true, .clients = 1, .handles = 1, .users = 1, .client = {THREADS},
      .handle = {RETAINED(0)}, .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}}}}},
};

/* With so many schedules that they are run by their number only. */
static const small_program larger[] = {
    {"a handle is freed beside its callback",
     {COMMON, .clients = 1, .handles = 2, .users = 2, .client = {THREADS},
      .handle = {ONE(0), ONE(0)}, .user = {{1, {CALL(START, 1, 0)}}, {1, {CALL(FREE, 1, 0)}}}}},
    {"a downgrade of two names lets a reader in",
     {COMMON, .clients = 2, .handles = 2, .users = 2, .client = {PUMPED, PUMPED},
      .handle = {BOTH(0), IN_MODE(1, SHARED)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(DOWNGRADE, 0, 40)}}, {1, {CALL(ACQUIRE, 1, 20)}}}}},
    {"a latch is freed under a call, and its client closed",
     {COMMON, .clients = 1, .handles = 1, .users = 2, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{1, {LEAVE(LATCH_START, 0, 0)}}, {1, {CALL(CLOSE_LAST, 0, 0)}}}}},
    {"a re-entrant lock is broken before who acquired it looks",
     {COMMON, .clients = 2, .handles = 1, .users = 2, .client = {THREADS, THREADS},
      .handle = {REENTRANT(0)}, .user = {{1, {CALL(ACQUIRE, 0, -1)}}, {1, {CALL(BREAK, 1, 50)}}}}},
    {"a re-entrant lock is broken before one who acquired it looks, and another has it",
     {COMMON, .clients = 2, .handles = 1, .users = 2, .client = {THREADS, THREADS},
      .handle = {REENTRANT(0)},
      .user = {{1, {CALL(ACQUIRE, 0, -1)}},
               {4,
                {CALL(ACQUIRE, 0, -1), CALL(ACQUIRE, 0, -1), CALL(BREAK, 1, 50),
                 CALL(RELEASE, 0, 0)}}}}},
    {"a retained lease is taken and put back by calls that look",
     {COMMON, .clients = 1, .handles = 1, .users = 1,
      .client = {{.callbacks = PAWL_CALLBACKS_THREAD, .spied = true, .traced = true}},
      .handle = {RETAINED(0)},
      .user = {{4,
                {CALL(LOOK, 0, 5), CALL(RELEASE_LOOK, 0, 5), CALL(LOOK, 0, 5),
                 CALL(RELEASE_LOOK, 0, 5)}}}}},
    {"a close and the exit meet a release",
     {COMMON, .clients = 1, .handles = 1, .users = 3, .client = {THREADS}, .handle = {ONE(0)},
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(RELEASE, 0, 0)}},
               {1, {CALL(CLOSE, 0, 0)}},
               {1, {CALL(EXIT, 0, 0)}}}}},
    {"an exit that waits for the loop is stopped by a signal",
     {COMMON, .clients = 1, .handles = 1, .users = 3, .client = {THREADS},
      .handle = {{.ttl_ms = 300, .events = true}}, .stall_ms = 2000,
      .user = {{2, {CALL(ACQUIRE, 0, -1), CALL(HOLD, 0, -1)}},
               {2, {CALL(HOLD, 0, 5), CALL(EXIT, 0, 0)}},
               {2, {CALL(HOLD, 0, 5), CALL(SIGNAL, 1, 0)}}}}},
};

static bool run(int number, const small_program *small, int preemptions)
{
    explored e;
    schedule plan;
    program p = small->p;
    bool found = explore(run_body, &p, preemptions, UINT64_MAX, &e, &plan);
    printf("%sok %d %s: %llu runs, %llu of them cut short, %llu states%s\n", found ? "not " : "",
           number, small->name, (unsigned long long)e.runs, (unsigned long long)e.pruned,
           (unsigned long long)e.states, e.complete ? "" : ", not all");
    if (!found) return true;
    printf("FOUND %s: %s\n  seed %d\n", S->finding.check, S->finding.text, number);
    sched_run(&plan, run_body, &p, true);
    timeline_print();
    return false;
}

int explore_programs(int preemptions, int only)
{
    int wrong = 0, count = (int)(sizeof smalls / sizeof smalls[0]);
    int with_larger = count + (int)(sizeof larger / sizeof larger[0]);
    printf("1..%d\n", only ? 1 : count);
    if (only > count && only <= with_larger)
        return run(only, &larger[only - count - 1], preemptions) ? 0 : 1;
    for (int i = 0; i < count; i++)
        if (!only || only == i + 1) wrong += !run(i + 1, &smalls[i], preemptions);
    return wrong ? 1 : 0;
}
