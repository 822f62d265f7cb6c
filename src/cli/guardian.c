/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* _Fork, execvpe, pipe2 */
#include "guardian.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "descendants.h"
#include "exit_codes.h"
#include "job_control.h"
#include "message.h"
#include "session.h"
#include "stdfds.h"

/* Not "pawl": a user who kills all pawls by name must not kill their guardians, which clean up. */
#define GUARDIAN_NAME "lock-guardian"
/* Kill rounds after the deadline, for what even SIGKILL cannot end (a dead network disk). */
#define LATE_ROUNDS   50

/* In the guardian's process. */
typedef struct keeper {
    const guardian_opts *opts;
    guardian_board *board;
    descendants family;
    int news_fd, lifeline_fd, signal_fd, timer_fd;
} keeper;

/* ---- The command, until it is executed ---------------------------------------------- */

bool guardian_expose(int fd, int as)
{
    if (fd < 0) return true;
    if (fd == as) return fcntl(fd, F_SETFD, 0) == 0; /* dup2 would leave close-on-exec set */
    return dup2(fd, as) == as;
}

/* Closed by exec: the other end then knows that the command has begun. */
static void report_failure(int report_fd, int why)
{
    ssize_t told = write(report_fd, &why, sizeof why);
    (void)told;
    _exit(CLI_EXIT_CANNOT_EXECUTE);
}

/*
 * Only async-signal-safe calls, and nothing of the guardian's memory is changed: it is shared
 * until the command is executed (vfork). Never returns.
 */
static void become_command(const keeper *k, const cli_signals *signals, pid_t parent, pid_t group,
                           int report_fd)
{
    const guardian_opts *opts = k->opts;
    /* If the guardian is killed, too, the kernel kills the command. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(CLI_EXIT_INTERNAL);

    setpgid(0, opts->own_group ? 0 : group);
    atomic_store(&k->board->command, getpid()); /* now signals to its group reach it */
    if (opts->tty >= 0 && cli_tty_is_of(opts->tty, group)) cli_tty_give(opts->tty, getpid());
    if (!guardian_expose(opts->events_fd, opts->events_as_fd)) report_failure(report_fd, errno);
    cli_stdfds_restore();
    cli_signals_restore(signals);
    /* The last check, because coming here may have taken long. */
    if (cli_now_ms() >= atomic_load(&k->board->start_by_ms))
        report_failure(report_fd, GUARDIAN_TOO_LATE);
    execvpe(opts->argv[0], opts->argv, opts->envp);
    report_failure(report_fd, errno);
}

/* ---- A command that is there already --------------------------------------------------- */

static bool send_all(int fd, const void *bytes, size_t len)
{
    for (const char *at = bytes; len > 0;) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Sends its environment: each string with its NUL, and an empty one at the end. */
static bool send_environment(int fd, char *const *envp)
{
    char begins = GUARDIAN_LETS_BEGIN;
    bool fine = send_all(fd, &begins, 1);
    for (; fine && *envp; envp++)
        if (**envp) fine = send_all(fd, *envp, strlen(*envp) + 1);
    return fine && send_all(fd, "", 1);
}

/* Returns 0 when it has begun, or has ended; else why it cannot begin, like `why` of the board. */
static int let_begin(const guardian_adopted *adopted, char *const *envp)
{
    int why = 0;
    if (!send_environment(adopted->socket, envp)) return 0; /* it is gone: seen next */
    ssize_t got;
    do got = recv(adopted->socket, &why, sizeof why, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof why ? why : 0;
}

/* ---- News for pawl -------------------------------------------------------------------- */

static void tell(const keeper *k)
{
    uint64_t one = 1;
    ssize_t told = write(k->news_fd, &one, sizeof one);
    (void)told; /* an eventfd that is full is readable already */
}

static void say_phase(const keeper *k, int why)
{
    atomic_store(&k->board->why, why);
    atomic_store(&k->board->phase, why ? GUARDIAN_FAILED : GUARDIAN_RUNNING);
    tell(k);
}

static void begin_adopted(const keeper *k)
{
    const guardian_adopted *adopted = k->opts->adopted;
    atomic_store(&k->board->command, adopted->pid);
    say_phase(k, let_begin(adopted, k->opts->envp));
    close(adopted->socket);
}

static void start_command(const keeper *k, const cli_signals *signals, pid_t group)
{
    int report[2], why = 0;
    if (pipe2(report, O_CLOEXEC) < 0) {
        why = errno;
        goto failed;
    }
    /* Out of the way of events_as_fd. */
    int report_high = fcntl(report[1], F_DUPFD_CLOEXEC, 10);
    close(report[1]);
    pid_t self = getpid();
    /* Not fork: it would copy our page tables once more. */
    /* NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
    pid_t pid = vfork();
    if (pid == 0) become_command(k, signals, self, group, report_high);
    /* NOLINTEND(clang-analyzer-security.insecureAPI.vfork,clang-analyzer-unix.Vfork) */
    if (pid < 0) why = errno;
    close(report_high);
    if (pid > 0 && read(report[0], &why, sizeof why) == 0) why = 0;
    close(report[0]);
failed:
    say_phase(k, why);
}

/* It is not our child, so we can only know that it has ended. */
static void look_at_adopted(const keeper *k)
{
    if (atomic_load(&k->board->phase) != GUARDIAN_RUNNING) return;
    if (!guardian_adopted_ended(k->opts->adopted)) return;
    atomic_store(&k->board->phase, GUARDIAN_ENDED);
}

/* Collects all children that have ended, or were stopped. */
static void reap(const keeper *k)
{
    guardian_board *board = k->board;
    if (k->opts->adopted) {
        look_at_adopted(k);
        tell(k);
        return;
    }
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED);
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) atomic_store(&board->childless, true); /* ECHILD */
        if (pid <= 0) break;
        if (pid != atomic_load(&board->command)) continue;
        if (WIFSTOPPED(status)) {
            atomic_fetch_add(&board->stops, 1);
        } else if (atomic_load(&board->phase) == GUARDIAN_RUNNING) {
            atomic_store(&board->wait_status, status);
            atomic_store(&board->phase, GUARDIAN_ENDED);
        }
    }
    tell(k);
}

/* ---- Waiting ------------------------------------------------------------------------------ */

/* By CLOCK_BOOTTIME: poll's own time stands still in suspend. */
static void set_timer(const keeper *k, int64_t at_ms)
{
    struct itimerspec timer = {0};
    if (at_ms != GUARDIAN_NEVER_MS) {
        if (at_ms < 1) at_ms = 1; /* zero would mean never */
        timer.it_value = (struct timespec){at_ms / 1000, at_ms % 1000 * 1000000};
    }
    timerfd_settime(k->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

/* Waits until something has happened, at most until at_ms. Returns whether pawl has died. */
static bool wait_for_news(const keeper *k, int64_t at_ms)
{
    const guardian_adopted *adopted = k->opts->adopted;
    bool runs = atomic_load(&k->board->phase) == GUARDIAN_RUNNING; /* then we watch for its end */
    struct pollfd fds[] = {
        {.fd = k->lifeline_fd}, /* POLLHUP comes unasked */
        {.fd = k->signal_fd, .events = POLLIN},
        {.fd = k->timer_fd, .events = POLLIN},
        {.fd = adopted && runs ? adopted->pidfd : -1, .events = POLLIN},
    };
    struct signalfd_siginfo info;
    set_timer(k, at_ms);
    (void)poll(fds, sizeof fds / sizeof fds[0], -1);
    while (read(k->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
    }
    reap(k);
    return fds[0].revents != 0;
}

static void pause_ms(long ms)
{
    struct timespec moment = {.tv_nsec = ms * 1000000};
    nanosleep(&moment, NULL);
}

/* ---- Stopping the command ------------------------------------------------------------------ */

static descendants_count signal_all(keeper *k, int number)
{
    descendants_count count;
    k->family.command = atomic_load(&k->board->command);
    descendants_signal(&k->family, number, (descendants_spared){0}, &count);
    return count;
}

/*
 * A process may have forked just before it was killed: its children become ours, and the next
 * round finds them. There are always some rounds, however late it is.
 */
static void kill_all(keeper *k)
{
    descendants_count left = {0};
    for (int round = 0; round < LATE_ROUNDS || cli_now_ms() < k->board->deadline_ms; round++) {
        signal_all(k, SIGKILL);
        reap(k);
        left = signal_all(k, 0);
        if (left.reached == 0) break;
        pause_ms(1);
    }
    if (left.denied) {
        cli_error("%s: may not stop process %d, which the command has started: it lives on",
                  k->opts->shown_key, (int)left.denied_pid);
    } else if (left.reached) {
        cli_error("%s: some of the command's processes do not die of SIGKILL", k->opts->shown_key);
    }
}

static bool is_gone(keeper *k)
{
    descendants_count left;
    if (atomic_load(&k->board->childless)) return true;
    left = signal_all(k, 0);
    return left.reached + left.denied == 0;
}

static bool stops_command(const keeper *k)
{
    return atomic_load(&k->board->kill_at_ms) != GUARDIAN_NEVER_MS;
}

/* An event for programs; people have been told. */
static void say(const keeper *k, const char *event, int64_t remaining_ms, const char *reason)
{
    k->opts->say(k->opts->say_userdata, event, remaining_ms, reason);
}

static void say_term(const keeper *k)
{
    int64_t remaining_ms = atomic_load(&k->board->deadline_ms) - cli_now_ms();
    cli_warn("%s: pawl was killed: SIGTERM to the command", k->opts->shown_key);
    say(k, "term", remaining_ms > 0 ? remaining_ms : 0, "pawl was killed");
}

/* Told before it is done, so that a reader hears of it before the command ends. */
static void say_kill(const keeper *k, const char *reason)
{
    cli_warn("%s: %s: SIGKILL to the command", k->opts->shown_key, reason);
    say(k, "kill", -1, reason);
}

/* Nobody renews any more: the command gets its grace, but not beyond the deadline. */
static void stop_command(keeper *k)
{
    int64_t kill_at = atomic_load(&k->board->kill_at_ms);
    int64_t after_grace = cli_now_ms() + k->opts->grace_ms;
    if (after_grace < kill_at) kill_at = after_grace;
    if (k->opts->grace_ms > 0) {
        say_term(k);
        signal_all(k, SIGTERM);
        signal_all(k, SIGCONT); /* a stopped process does not hear TERM */
    }
    k->lifeline_fd = -1; /* it stays hung up: poll would return at once */
    while (!is_gone(k) && cli_now_ms() < kill_at) (void)wait_for_news(k, kill_at);
    if (is_gone(k)) return;
    say_kill(k, "pawl was killed");
    kill_all(k);
}

/* --on-lost notify and ignore: only the lock is kept, until it is of no more use. */
static void outlast_command(keeper *k)
{
    k->lifeline_fd = -1;
    for (;;) {
        int64_t deadline = atomic_load(&k->board->deadline_ms);
        bool ended = atomic_load(&k->board->phase) != GUARDIAN_RUNNING;
        if (k->family.daemons_too ? is_gone(k) : ended) return;
        if (cli_now_ms() >= deadline) return;
        (void)wait_for_news(k, deadline);
    }
}

static void after_pawl(keeper *k)
{
    bool over = atomic_load(&k->board->phase) == GUARDIAN_ENDED && !k->family.daemons_too;
    if (over && !atomic_load(&k->board->stopping)) return; /* as when pawl ends by itself */
    if (stops_command(k)) {
        stop_command(k);
    } else {
        outlast_command(k);
    }
}

/* ---- Life -------------------------------------------------------------------------------------
 */

static void close_unless_kept(const keeper *k, int fd)
{
    struct stat st;
    if (fd <= STDERR_FILENO && fd != STDIN_FILENO && fd != STDOUT_FILENO) return;
    if (fd == k->opts->said_to_fd) return;
    if (k->opts->adopted && fd == k->opts->adopted->pidfd) return;
    if (fd == k->news_fd || fd == k->lifeline_fd || fd == k->signal_fd || fd == k->timer_fd) return;
    /* A file of a store may carry the lock that says that the holder lives. */
    if (fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) return;
    close(fd);
}

/* Pipes and sockets are not kept: others wait for their end. */
static void close_files(const keeper *k)
{
    _Alignas(struct dirent64) char entries[4096];
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return;
    for (ssize_t len; (len = getdents64(dir, entries, sizeof entries)) > 0;) {
        for (ssize_t at = 0; at < len;) {
            const struct dirent64 *entry = (const void *)(entries + at);
            at += entry->d_reclen;
            char *end;
            long fd = strtol(entry->d_name, &end, 10);
            if (*end == '\0' && fd != dir) close_unless_kept(k, (int)fd);
        }
    }
    close(dir);
}

static bool open_descriptors(keeper *k)
{
    sigset_t all, child;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL); /* signals for the command are sent to pawl */
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    k->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    k->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return k->signal_fd >= 0 && k->timer_fd >= 0;
}

static void watch_over_command(keeper *k)
{
    for (;;) {
        int64_t kill_at = atomic_load(&k->board->kill_at_ms);
        bool late = cli_now_ms() >= kill_at;
        if (late && !is_gone(k)) {
            say_kill(k, "pawl stands still");
            kill_all(k);
        }
        if (wait_for_news(k, late ? GUARDIAN_NEVER_MS : kill_at)) break;
    }
    after_pawl(k);
}

/* Never returns. */
static void live(keeper *k, const cli_signals *signals, pid_t group)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, GUARDIAN_NAME);
    cli_messages_never_block();
    k->family = (descendants){.keepers = {getpid()}, .daemons_too = k->opts->whole_tree};
    setpgid(0, 0); /* a signal to pawl's group must not reach us */
    if (!open_descriptors(k)) {
        atomic_store(&k->board->why, errno);
        atomic_store(&k->board->phase, GUARDIAN_FAILED);
        tell(k);
        _exit(0);
    }
    if (k->opts->adopted) {
        (void)descendants_adopt(&k->family, k->opts->adopted->pid);
        begin_adopted(k);
    } else {
        start_command(k, signals, group);
    }
    close_files(k);
    watch_over_command(k);
    _exit(0);
}

/* ---- In pawl ------------------------------------------------------------------------------------
 */

static int say_system(const char *call)
{
    cli_error("%s: %s", call, strerror(errno));
    return CLI_EXIT_SYSTEM;
}

guardian_board *guardian_board_new(void)
{
    void *board = mmap(NULL, sizeof(guardian_board), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board != MAP_FAILED) return board;
    (void)say_system("mmap");
    return NULL;
}

bool guardian_adopted_ended(const guardian_adopted *adopted)
{
    struct pollfd end = {.fd = adopted->pidfd, .events = POLLIN};
    return poll(&end, 1, 0) == 1;
}

int guardian_prepare(guardian *ret_guardian, const guardian_adopted *adopted)
{
    *ret_guardian = (guardian){.lifeline_fd = -1};
    ret_guardian->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ret_guardian->news_fd < 0) return say_system("eventfd");
    ret_guardian->board = adopted ? adopted->board : guardian_board_new();
    return ret_guardian->board ? 0 : CLI_EXIT_SYSTEM;
}

int guardian_start(guardian *g, const guardian_opts *opts, const cli_signals *signals)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return say_system("pipe");
    /* If the guardian is killed, what it kept becomes ours. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    descendants_begin();
    pid_t group = getpgrp();
    /*
     * Not fork: its handlers would stop the library, and close the file whose lock shows that we
     * live, which the guardian has to keep open.
     */
    pid_t pid = _Fork();
    if (pid == 0) {
        keeper k = {.opts = opts, .board = g->board, .news_fd = g->news_fd, .lifeline_fd = ends[0]};
        close(ends[1]);
        live(&k, signals, group);
    }
    close(ends[0]);
    if (opts->adopted) { /* if the guardian is killed, the other end sees a hang-up */
        close(opts->adopted->socket);
        opts->adopted->socket = -1;
    }
    if (pid < 0) {
        close(ends[1]);
        return say_system("fork");
    }
    g->pid = pid;
    g->lifeline_fd = ends[1];
    return 0;
}

void guardian_end(guardian *g)
{
    /* First: else the guardian would take the end of the lifeline for our death. */
    if (g->pid > 0) kill(g->pid, SIGKILL);
    if (g->pid > 0) waitpid(g->pid, NULL, 0);
    g->pid = 0;
    if (g->lifeline_fd >= 0) close(g->lifeline_fd);
    if (g->news_fd >= 0) close(g->news_fd);
    g->lifeline_fd = g->news_fd = -1;
    if (g->board) munmap(g->board, sizeof *g->board);
    g->board = NULL;
}
