/* SPDX-License-Identifier: MIT */
/* One call for beginners, made only of public calls. */
#include "pawl/pawl.h"

#include <stdio.h>
#include <string.h>

/* The work has run; the result tells what became of the lock meanwhile. */
static int give_back(pawl_lock *lock)
{
    int err = pawl_lock_release_wait(lock, PAWL_WAIT_FOREVER); /* ends with the lease at most */
    /* It was ours until the release was sent; it does not matter whether the store has freed it
     * yet. */
    return err == PAWL_ERR_UNKNOWN ? PAWL_OK : err;
}

static int work_under(pawl_client *client, const char *name, int64_t wait_ms, pawl_work_fn work,
                      void *userdata)
{
    pawl_lock *lock;
    int err = pawl_lock_new(client, name, strlen(name), NULL, &lock);
    if (err) return err;
    err = pawl_lock_acquire(lock, wait_ms);
    if (!err) {
        work(lock, userdata);
        err = give_back(lock);
    }
    pawl_lock_free(lock);
    return err;
}

static int refuse_arguments(char *reterr_message)
{
    if (reterr_message)
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "pawl_with_lock: name or work is NULL");
    return PAWL_ERR_ARGUMENT;
}

int pawl_with_lock(const char *url, const char *name, int64_t wait_ms, pawl_work_fn work,
                   void *userdata, char *reterr_message)
{
    if (!name || !work) return refuse_arguments(reterr_message);
    pawl_client *client;
    int err = pawl_client_open(url, NULL, &client, reterr_message);
    if (err) return err;
    err = work_under(client, name, wait_ms, work, userdata);
    if (err && reterr_message) pawl_client_reason(client, err, reterr_message);
    pawl_client_close(client);
    return err;
}
