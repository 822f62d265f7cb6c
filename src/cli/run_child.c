/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* execvpe, pipe2 */
#include "run_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "descendants.h"
#include "exit_codes.h"
#include "message.h"
#include "stdfds.h"

/* ---- Birth -------------------------------------------------------------------- */

/* The controlling terminal, or -1. */
static int open_terminal(void)
{
    return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

/* Async-signal-safe. */
static void give_terminal(int tty, pid_t group)
{
    sigset_t ttou, before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU); /* a background process that does this is stopped otherwise */
    sigprocmask(SIG_BLOCK, &ttou, &before);
    tcsetpgrp(tty, group);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Leaves fd open under the number `as` when the command is executed. */
static bool expose(int fd, int as)
{
    if (fd < 0) return true;
    if (fd == as) return fcntl(fd, F_SETFD, 0) == 0; /* dup2 would leave close-on-exec set */
    return dup2(fd, as) == as;
}

/*
 * Only async-signal-safe calls, and nothing of the parent's memory is changed: it is shared
 * until the command is executed (vfork). Never returns.
 */
static void become_command(const run_child_opts *opts, const cli_signals *signals, bool own_group,
                           int tty, pid_t parent, int report_fd)
{
    /* The kernel tells the command when pawl dies; if it died already, there is nobody to tell. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(CLI_EXIT_INTERNAL);

    if (own_group) setpgid(0, 0);
    if (own_group && tty >= 0) give_terminal(tty, getpid());
    if (!expose(opts->events_fd, opts->events_as_fd)) goto failed;
    cli_stdfds_restore();
    cli_signals_restore(signals);
    execvpe(opts->argv[0], opts->argv, opts->envp);
failed:;
    int why = errno;
    ssize_t told = write(report_fd, &why, sizeof why);
    (void)told;
    _exit(CLI_EXIT_CANNOT_EXECUTE);
}

static int say_not_started(const char *command, int why)
{
    char *safe = cli_escape(command, strlen(command));
    cli_error("cannot run %s: %s", safe, strerror(why));
    free(safe);
    return why == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_EXECUTE;
}

static int say_system(const char *call)
{
    cli_error("%s: %s", call, strerror(errno));
    return CLI_EXIT_SYSTEM;
}

int run_child_start(const run_child_opts *opts, const cli_signals *signals, run_child *ret_child)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) < 0) return say_system("pipe");
    int report_high = fcntl(report[1], F_DUPFD_CLOEXEC, 10); /* out of the way of events_as_fd */
    close(report[1]);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    descendants_begin();

    int tty = open_terminal();
    bool own_group = tty < 0 || opts->foreground;
    pid_t parent = getpid();
    /* Not fork: it would copy our page tables and bring the library to rest, both for nothing. */
    /* NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
    pid_t pid = vfork();
    if (pid == 0) become_command(opts, signals, own_group, tty, parent, report_high);
    /* NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
    close(report_high);
    if (pid < 0) {
        close(report[0]);
        return say_system("fork");
    }
    if (own_group) setpgid(pid, pid); /* both do it: whoever comes first */

    int why = 0;
    ssize_t got;
    do got = read(report[0], &why, sizeof why);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    run_child child = {
        .pid = pid,
        .running = true,
        .own_group = own_group,
        .whole_tree = opts->whole_tree,
        .tty = own_group ? tty : -1,
    };
    if (!own_group) close(tty);
    if (got == (ssize_t)sizeof why) {
        waitpid(pid, NULL, 0);
        run_child_take_terminal(&child);
        return say_not_started(opts->argv[0], why);
    }
    *ret_child = child;
    return 0;
}

/* ---- Terminal ------------------------------------------------------------------- */

bool run_child_shares_terminal(const run_child *child)
{
    return !child->own_group;
}

void run_child_take_terminal(const run_child *child)
{
    if (child->tty >= 0) give_terminal(child->tty, getpgrp());
}

void run_child_give_terminal(const run_child *child)
{
    if (child->tty >= 0) give_terminal(child->tty, child->pid);
}

/* ---- Signals ----------------------------------------------------------------------- */

/* The group's number is ours to use only as long as its leader has not been reaped. */
static bool has_group(const run_child *child)
{
    return child->own_group && child->running;
}

void run_child_relay(const run_child *child, int number)
{
    if (!child->running) return;
    kill(child->own_group ? -child->pid : child->pid, number);
}

static descendants_scope scope_of(const run_child *child)
{
    return (descendants_scope){.session = child->whole_tree ? 0 : getsid(0)};
}

void run_child_signal_all(const run_child *child, int number)
{
    descendants_scope scope = scope_of(child);
    if (has_group(child) && kill(-child->pid, number) == 0) {
        scope.spared_group = child->pid; /* served by this one call */
    } else if (child->running) {
        scope.spared_pid = child->pid; /* wherever it has gone: a session of its own is no escape */
        kill(child->pid, number);
    }
    descendants_signal(number, scope);
}

/*
 * What is killed may have forked a moment before: its children become ours when it
 * is gone, and the next round finds them. Bounded, for processes that even SIGKILL
 * cannot end (a dead network disk).
 */
void run_child_kill_all(run_child *child)
{
    for (int round = 0; round < 50; round++) {
        run_child_signal_all(child, SIGKILL);
        run_child_reap(child);
        if (run_child_is_gone(child)) return;
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    cli_error("some of the command's processes do not die of SIGKILL");
}

/* ---- End ----------------------------------------------------------------------------- */

void run_child_reap(run_child *child)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED);
        if (pid < 0 && errno == EINTR) continue;
        child->childless = pid < 0; /* ECHILD */
        if (pid <= 0) return;
        if (pid != child->pid) continue;
        if (WIFSTOPPED(status)) {
            child->stopped = true;
            continue;
        }
        child->running = false;
        child->wait_status = status;
    }
}

bool run_child_is_gone(const run_child *child)
{
    if (child->running) return false;
    return child->childless || descendants_signal(0, scope_of(child)) <= 0;
}

int run_child_exit_code(const run_child *child)
{
    if (WIFSIGNALED(child->wait_status)) return CLI_EXIT_SIGNAL_BASE + WTERMSIG(child->wait_status);
    return WEXITSTATUS(child->wait_status);
}
