/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "plain_run.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"
#include "signals.h"
#include "stdfds.h"

static const int passed_on[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

static int say_not_started(const char *command, int why)
{
    char *safe = cli_escape(command, strlen(command));
    cli_error("cannot run %s: %s", safe, strerror(why));
    free(safe);
    return why == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_EXECUTE;
}

/* True: it has ended, *ret_code is its exit code. */
static bool has_ended(pid_t pid, int *ret_code)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) != pid) return false;
    *ret_code = WIFSIGNALED(status) ? CLI_EXIT_SIGNAL_BASE + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

int cli_plain_become(char *const *argv)
{
    cli_stdfds_restore();
    execvp(argv[0], argv);
    return say_not_started(argv[0], errno);
}

int cli_plain_run(char *const *argv)
{
    sigset_t wanted, before;
    struct sigaction reaped = {.sa_handler = SIG_DFL}, inherited;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGCHLD);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(&wanted, passed_on[i]);
    sigaction(SIGCHLD, &reaped, &inherited); /* while it is ignored we get no exit code */
    sigprocmask(SIG_BLOCK, &wanted, &before);

    pid_t pid = fork();
    if (pid < 0) {
        cli_error("fork: %s", strerror(errno));
        return CLI_EXIT_SYSTEM;
    }
    if (pid == 0) {
        cli_stdfds_restore();
        sigaction(SIGCHLD, &inherited, NULL);
        sigprocmask(SIG_SETMASK, &before, NULL);
        execvp(argv[0], argv);
        _exit(say_not_started(argv[0], errno));
    }
    int code = CLI_EXIT_INTERNAL;
    siginfo_t info;
    while (!has_ended(pid, &code)) {
        int number = sigwaitinfo(&wanted, &info);
        if (number <= 0 || number == SIGCHLD) continue;
        /* It must not get a signal twice. */
        if (!cli_signals_went_to_group(number, info.si_code)) kill(pid, number);
    }
    return code;
}
