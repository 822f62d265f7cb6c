/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int cli_signals_open(cli_signals *signals, const int *numbers)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, standard = {.sa_handler = SIG_DFL};
    sigaction(SIGPIPE, &ignore, &signals->inherited_pipe);
    /* While it is ignored, the children's exit status is lost. */
    sigaction(SIGCHLD, &standard, &signals->inherited_child);

    sigset_t set;
    sigemptyset(&set);
    for (; *numbers; numbers++) {
        if (!is_ignored(*numbers)) sigaddset(&set, *numbers);
    }
    pthread_sigmask(SIG_BLOCK, &set, &signals->inherited_mask);
    signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals->fd >= 0) return 0;
    cli_error("signalfd: %s", strerror(errno));
    return CLI_EXIT_SYSTEM;
}

bool cli_signals_next(cli_signals *signals, struct signalfd_siginfo *ret_info)
{
    return read(signals->fd, ret_info, sizeof *ret_info) == (ssize_t)sizeof *ret_info;
}

bool cli_signals_went_to_group(int number, int code)
{
    bool is_hangup = (number == SIGHUP || number == SIGCONT) && getsid(0) == getpid();
    return code == SI_KERNEL && !is_hangup;
}

void cli_signals_restore(const cli_signals *signals)
{
    sigaction(SIGPIPE, &signals->inherited_pipe, NULL);
    sigaction(SIGCHLD, &signals->inherited_child, NULL);
    sigprocmask(SIG_SETMASK, &signals->inherited_mask, NULL);
}

/*
 * With SIGTSTP, not SIGSTOP: if nobody could continue us (an orphaned process group), the kernel
 * does not stop us.
 */
void cli_signals_stop_self(void)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    pthread_kill(pthread_self(), SIGTSTP);
    pthread_sigmask(SIG_UNBLOCK, &stop, NULL);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
}
