/* SPDX-License-Identifier: MIT */
/* One of the processes: take a ticket, get the lock, read, think, write back, let go. */
#define _GNU_SOURCE
#include "demo.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct worker {
    const demo_algorithm *algorithm;
    demo_lock *lock;
    demo_board *board;
    int counter_fd;
} worker;

static bool is_over(const demo_config *config, demo_board *board)
{
    int64_t stop_at = atomic_load(&board->stop_at);
    if (stop_at) return demo_now() >= stop_at;
    return atomic_load(&board->tickets) >= config->rounds;
}

/* Reads, works, writes back one more. False: the lock was lost, nothing was written. */
static bool add_one(worker *w, int64_t work_ms)
{
    demo_board *board = w->board;
    if (atomic_fetch_add(&board->inside, 1) > 0) atomic_fetch_add(&board->together, 1);
    long value = demo_counter_read(w->counter_fd);
    bool held = w->algorithm->work(w->lock, work_ms);
    if (held) demo_counter_write(w->counter_fd, value + 1);
    atomic_fetch_sub(&board->inside, 1);
    return held;
}

/* One increment, tried again until it is written. False: the store failed. */
static bool do_ticket(worker *w, int64_t work_ms)
{
    for (bool written = false; !written;) {
        int64_t asked_at = demo_now();
        if (!w->algorithm->acquire(w->lock)) return false;
        demo_raise(&w->board->longest_wait_ns, demo_now() - asked_at);
        written = add_one(w, work_ms);
        if (!written) atomic_fetch_add(&w->board->told, 1);
        if (!w->algorithm->release(w->lock)) return false;
    }
    atomic_fetch_add(&w->board->finished, 1);
    demo_raise(&w->board->last_done_at, demo_now());
    return true;
}

static int do_all(worker *w, const demo_config *config, bool overstay)
{
    while (!is_over(config, w->board)) {
        int ticket = atomic_fetch_add(&w->board->tickets, 1);
        if (!atomic_load(&w->board->stop_at) && ticket >= config->rounds) break;
        bool long_one = overstay && ticket % 10 == 5;
        if (!do_ticket(w, long_one ? DEMO_OVERSTAY_MS : DEMO_THINK_MS)) return DEMO_UNAVAILABLE;
        demo_sleep_ms(DEMO_REST_MS);
    }
    return 0;
}

int demo_worker(const demo_config *config, const demo_algorithm *algorithm, bool overstay,
                demo_board *board, int ready_fd, int gate_fd)
{
    int code = DEMO_INTERNAL;
    char byte = 0;
    srandom((unsigned)getpid() ^ (unsigned)demo_now());
    worker w = {.algorithm = algorithm, .board = board};
    w.counter_fd = demo_counter_open(config);
    if (w.counter_fd < 0) return code;
    w.lock = algorithm->open(config, &code);
    if (!w.lock) return code;

    /* All begin together, when the parent closes the pipe. */
    code = DEMO_INTERNAL;
    if (write(ready_fd, &byte, 1) == 1 && read(gate_fd, &byte, 1) == 0) {
        code = do_all(&w, config, overstay);
    }
    algorithm->close(w.lock);
    close(w.counter_fd);
    return code;
}
