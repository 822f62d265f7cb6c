/* SPDX-License-Identifier: MIT */
/* A child of fork() has nothing of its parent's (law 9), and can begin anew. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_PATIENCE_S 60 /* then SIGALRM ends it, and the test */

#ifdef __SANITIZE_THREAD__
#define CHILD_MAY_HAVE_THREADS false /* TSan allows none in a child of fork */
#else
#define CHILD_MAY_HAVE_THREADS true
#endif

enum { FINE = 0, HOLDS = 2, ACQUIRES, RELEASES, REMAINS, OPENS, FENCELESS };

static int begin_anew(void)
{
    char name[32], message[PAWL_MESSAGE_MAX];
    pawl_client *client = NULL;
    pawl_lock *lock = NULL;
    int err = pawl_client_open(soak_url(), NULL, &client, message);
    if (err == PAWL_ERR_FORKED)
        return FINE; /* SQLite was in use for the whole patience of the fork */
    if (err) return OPENS;
    int len = snprintf(name, sizeof name, "child-%ld", (long)getpid());
    if (pawl_lock_new(client, name, (size_t)len, NULL, &lock)) return OPENS;
    int status = FINE;
    if (pawl_lock_acquire(lock, 500) == PAWL_OK) { /* a hostile store may refuse */
        if (!pawl_lock_fence(lock)) status = FENCELESS;
        pawl_lock_release(lock);
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
    return status;
}

static int live(pawl_lock *parents, bool anew)
{
    alarm(CHILD_PATIENCE_S);
    if (pawl_lock_is_held(parents)) return HOLDS;
    if (pawl_lock_remaining_ms(parents)) return REMAINS;
    if (pawl_lock_acquire(parents, 0) != PAWL_ERR_FORKED) return ACQUIRES;
    if (pawl_lock_release(parents) != PAWL_ERR_FORKED) return RELEASES;
    pawl_lock_free(parents);
    return anew && CHILD_MAY_HAVE_THREADS ? begin_anew() : FINE;
}

void soak_fork(user *u, pawl_lock *parents)
{
    bool anew = draw(u, 2);
    pid_t pid = fork();
    if (pid < 0) FAIL_TEST("fork: %s", strerror(errno));
    if (pid == 0) _exit(live(parents, anew));
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (status) FAIL_TEST("a child ended with status %x", (unsigned)status);
    count(FIGURE_forks);
}
