/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "job_control.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

void cli_tty_give(int tty, pid_t group)
{
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU); /* a background process that does this is stopped otherwise */
    sigprocmask(SIG_BLOCK, &ttou, &before);
    tcsetpgrp(tty, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

bool cli_tty_is_of(int tty, pid_t group)
{
    return tcgetpgrp(tty) == group;
}

void cli_tty_take(int tty, pid_t from, pid_t to)
{
    pid_t group = tcgetpgrp(tty);
    if (group <= 0) return;
    bool is_left = kill(-group, 0) != 0 && errno == ESRCH;
    if (group == from || is_left) cli_tty_give(tty, to);
}
