/* SPDX-License-Identifier: MIT */
/*
 * The same work under pawl. A holder sleeps on a descriptor that becomes readable
 * when the lock is lost, so it stops at once when pawl says so.
 */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <pawl/pawl.h>

struct demo_lock {
    pawl_client *client;
    pawl_lock *lock;
    int lost_fd;
};

#define STORE_WAIT_MS 5000

static int exit_code_of(int err)
{
    switch (pawl_err_class_of(err)) {
    case PAWL_CLASS_USAGE:
    case PAWL_CLASS_DENIED:
        return DEMO_CONFIG;
    case PAWL_CLASS_INTERNAL:
        return DEMO_INTERNAL;
    case PAWL_CLASS_OK:
    case PAWL_CLASS_BUSY:
    case PAWL_CLASS_RETRY:
    case PAWL_CLASS_LOST:
    case PAWL_CLASS_UNKNOWN:
    case PAWL_CLASS_CANCELED:
        break;
    }
    return DEMO_UNAVAILABLE;
}

static int fail(const demo_lock *lock, const char *what, int err)
{
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(lock->client, err, reason);
    demo_say("%s: %s [%s]", what, reason, pawl_err_name(err));
    return exit_code_of(err);
}

static void on_event(pawl_lock *handle, const pawl_event *event, void *userdata)
{
    (void)handle;
    const demo_lock *lock = userdata;
    uint64_t one = 1;
    if (event->kind != PAWL_EVENT_LOST) return;
    if (write(lock->lost_fd, &one, sizeof one) < 0) abort(); /* it has room for 2^64-1 */
}

static void forget_loss(const demo_lock *lock)
{
    uint64_t count;
    if (read(lock->lost_fd, &count, sizeof count) < 0 && errno != EAGAIN) abort();
}

static void close_lock(demo_lock *lock)
{
    if (!lock) return;
    pawl_lock_free(lock->lock);
    pawl_client_close(lock->client);
    if (lock->lost_fd >= 0) close(lock->lost_fd);
    free(lock);
}

static int open_parts(demo_lock *lock, const demo_config *config)
{
    char message[PAWL_MESSAGE_MAX] = "";
    int err = pawl_client_open(config->url, NULL, &lock->client, message);
    if (err) {
        demo_say("%s [%s]", message[0] ? message : pawl_err_text(err), pawl_err_name(err));
        return exit_code_of(err);
    }
    pawl_caps caps;
    err = pawl_client_caps(lock->client, STORE_WAIT_MS, &caps);
    if (err) return fail(lock, pawl_client_url(lock->client), err);

    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = DEMO_TTL_MS;
    opts.on_event = on_event;
    opts.event_userdata = lock;
    err = pawl_lock_new(lock->client, config->name, strlen(config->name), &opts, &lock->lock);
    return err ? fail(lock, config->name, err) : 0;
}

static demo_lock *open_lock(const demo_config *config, int *ret_code)
{
    demo_lock *lock = calloc(1, sizeof *lock);
    if (!lock) {
        *ret_code = DEMO_INTERNAL;
        return NULL;
    }
    lock->lost_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *ret_code = lock->lost_fd < 0 ? DEMO_INTERNAL : open_parts(lock, config);
    if (*ret_code == 0) return lock;
    close_lock(lock);
    return NULL;
}

static bool acquire(demo_lock *lock)
{
    forget_loss(lock);
    int err = pawl_lock_acquire(lock->lock, PAWL_WAIT_FOREVER);
    if (err) fail(lock, "acquire", err);
    return err == 0;
}

/* Renewal goes on in the background however long the work takes. */
static bool work(demo_lock *lock, int64_t span_ms)
{
    struct pollfd lost = {.fd = lock->lost_fd, .events = POLLIN};
    int64_t until = demo_now() + span_ms * 1000000;
    for (int64_t left = span_ms; left > 0; left = (until - demo_now() + 999999) / 1000000) {
        if (poll(&lost, 1, (int)left) > 0) return false;
    }
    return pawl_lock_is_held(lock->lock);
}

static bool release(demo_lock *lock)
{
    int err = pawl_lock_release(lock->lock);
    if (!err || err == PAWL_ERR_LOST) return true; /* a loss has been told before */
    fail(lock, "release", err);
    return false;
}

const demo_algorithm demo_pawl = {
    .title = "pawl",
    .open = open_lock,
    .acquire = acquire,
    .work = work,
    .release = release,
    .close = close_lock,
};
