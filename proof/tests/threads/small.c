/* SPDX-License-Identifier: MIT */
/* Small programs, each explored completely up to some preemptions. TAP. */
#include "world.h"

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
#define CALL(k, t, m)                                                                              \
    {                                                                                              \
        .kind = OP_##k, .target = (t), .ms = (m)                                                   \
    }
#define COMMON .close_timeout_ms = 200, .watched = true, .one_cpu = true

static const struct small {
    const char *name;
    program p;
} smalls[] = {
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
};

static bool run(int number, const struct small *small, int preemptions, uint64_t runs_max)
{
    explored e;
    schedule plan;
    program p = small->p;
    bool found = explore(world_run, &p, preemptions, runs_max, &e, &plan);
    printf("%sok %d %s: %llu runs, %llu of them cut short, %llu states%s\n", found ? "not " : "",
           number, small->name, (unsigned long long)e.runs, (unsigned long long)e.pruned,
           (unsigned long long)e.states, e.complete ? "" : ", not all");
    if (!found) return true;
    printf("FOUND %s: %s\n  seed %d\n", S->finding.check, S->finding.text, number);
    sched_run(&plan, world_run, &p, true);
    timeline_print();
    return false;
}

int explore_programs(int preemptions, uint64_t runs_max)
{
    int wrong = 0, count = (int)(sizeof smalls / sizeof smalls[0]);
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) wrong += !run(i + 1, &smalls[i], preemptions, runs_max);
    return wrong ? 1 : 0;
}
