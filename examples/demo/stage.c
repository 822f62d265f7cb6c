/* SPDX-License-Identifier: MIT */
/*
 * A stage: starts the processes, opens the gate when all are ready, shows
 * progress, collects the results. The parent never touches a lock itself and
 * stays without threads, so forking is safe.
 */
#define _GNU_SOURCE
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW_EVERY_MS 100
#define READY_MAX_MS  30000 /* all processes have reached their store by then */
#define STALL_MAX_NS  (INT64_C(60) * 1000000000)

typedef struct stage {
    const demo_config *config;
    const demo_algorithm *algorithm;
    bool overstay;
    demo_board *board;
    pid_t workers[DEMO_PROCESSES_MAX];
    int alive;
    int code; /* of the first worker that failed, or of a signal to us */
    int signal_fd;
    int ready[2], gate[2];
} stage;

void demo_signals_block(sigset_t *ret_watched)
{
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD};
    sigemptyset(ret_watched);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        sigaddset(ret_watched, signals[i]);
    }
    sigprocmask(SIG_BLOCK, ret_watched, NULL);
}

/* ---- Processes ----------------------------------------------------------------- */

/* In a child: dies with its parent, and of the usual signals. */
static void begin_child(pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(DEMO_INTERNAL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void be_worker(stage *s, pid_t parent)
{
    begin_child(parent);
    demo_say_once(&s->board->said);
    close(s->signal_fd);
    close(s->ready[0]);
    close(s->gate[1]);
    _exit(demo_worker(s->config, s->algorithm, s->overstay, s->board, s->ready[1], s->gate[0]));
}

static bool start_workers(stage *s)
{
    pid_t parent = getpid();
    fflush(stdout);
    for (int i = 0; i < s->config->processes; i++) {
        pid_t pid = fork();
        if (pid == 0) be_worker(s, parent);
        if (pid < 0) {
            demo_say("fork: %s", strerror(errno));
            s->code = DEMO_INTERNAL;
            return false;
        }
        s->workers[i] = pid;
        s->alive++;
    }
    return true;
}

static void kill_workers(const stage *s)
{
    for (int i = 0; i < DEMO_PROCESSES_MAX; i++) {
        if (s->workers[i]) kill(s->workers[i], SIGKILL);
    }
}

/* A process that a ^C reached before us is no failure of its own. */
static int code_of_status(int status)
{
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    int number = WTERMSIG(status);
    if (number != SIGINT && number != SIGQUIT) demo_say("a process died of signal %d", number);
    return DEMO_SIGNAL_BASE + number;
}

static void reap(stage *s, bool wait_for_all)
{
    for (int i = 0; i < DEMO_PROCESSES_MAX; i++) {
        int status;
        pid_t pid = s->workers[i];
        if (!pid || waitpid(pid, &status, wait_for_all ? 0 : WNOHANG) != pid) continue;
        s->workers[i] = 0;
        s->alive--;
        if (wait_for_all) continue; /* we killed it ourselves */
        int code = code_of_status(status);
        if (code && !s->code) s->code = code;
    }
}

/* Waits for a signal, a descriptor or the span; takes note of what signals say. */
static bool wait_a_while(stage *s, int fd, int span_ms)
{
    struct pollfd fds[2] = {{.fd = s->signal_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    poll(fds, 2, span_ms);
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD || s->code) continue;
        demo_say("interrupted");
        s->code = DEMO_SIGNAL_BASE + (int)info.ssi_signo;
    }
    reap(s, false);
    return s->code == 0;
}

/* ---- The course of a stage ------------------------------------------------------- */

static bool wait_until_ready(stage *s)
{
    int64_t until = demo_now() + READY_MAX_MS * INT64_C(1000000);
    for (int ready = 0; ready < s->config->processes;) {
        if (!wait_a_while(s, s->ready[0], SHOW_EVERY_MS)) return false;
        char bytes[DEMO_PROCESSES_MAX];
        ssize_t n = read(s->ready[0], bytes, sizeof bytes);
        if (n > 0) ready += (int)n;
        if (demo_now() > until) {
            demo_say("the processes did not get ready within %d s", READY_MAX_MS / 1000);
            s->code = DEMO_UNAVAILABLE;
            return false;
        }
    }
    return true;
}

static bool watch(stage *s)
{
    int asked = s->overstay ? s->config->rounds : 0;
    int finished = 0;
    int64_t moved_at = demo_now();
    while (s->alive > 0) {
        demo_progress_show(s->board, asked);
        if (!wait_a_while(s, -1, SHOW_EVERY_MS)) return false;
        if (atomic_load(&s->board->finished) != finished) {
            finished = atomic_load(&s->board->finished);
            moved_at = demo_now();
        }
        if (demo_now() - moved_at > STALL_MAX_NS) {
            demo_say("nothing has moved for %d s", (int)(STALL_MAX_NS / 1000000000));
            s->code = DEMO_INTERNAL;
            return false;
        }
    }
    return true;
}

static bool reset_counter(const demo_config *config)
{
    int fd = demo_counter_open(config);
    if (fd < 0) return false;
    demo_counter_write(fd, 0);
    close(fd);
    return true;
}

static demo_result result_of(const stage *s, int64_t began_at)
{
    demo_board *b = s->board;
    double took = (double)(atomic_load(&b->last_done_at) - began_at) / 1e9;
    int fd = demo_counter_open(s->config);
    demo_result result = {
        .algorithm = s->algorithm,
        .overstay = s->overstay,
        .asked = atomic_load(&b->finished),
        .survived = fd >= 0 ? demo_counter_read(fd) : -1,
        .together = atomic_load(&b->together),
        .told = atomic_load(&b->told),
        .per_second = took > 0 ? atomic_load(&b->finished) / took : 0,
        .longest_wait_s = (double)atomic_load(&b->longest_wait_ns) / 1e9,
    };
    if (fd >= 0) close(fd);
    return result;
}

static int prepare(stage *s)
{
    sigset_t watched;
    demo_signals_block(&watched);
    s->board =
        mmap(NULL, sizeof *s->board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    s->signal_fd = signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->board == MAP_FAILED || s->signal_fd < 0 || pipe2(s->ready, O_CLOEXEC | O_NONBLOCK) ||
        pipe2(s->gate, O_CLOEXEC)) {
        demo_say("%s", strerror(errno));
        return DEMO_INTERNAL;
    }
    return reset_counter(s->config) ? 0 : DEMO_INTERNAL;
}

int demo_stage_run(const demo_config *config, const demo_algorithm *algorithm, bool overstay,
                   demo_result *ret_result)
{
    stage s = {.config = config, .algorithm = algorithm, .overstay = overstay};
    int code = prepare(&s);
    if (code) return code;

    demo_progress_begin(config, algorithm, overstay);
    bool fine = start_workers(&s) && wait_until_ready(&s);
    int64_t began_at = demo_now();
    if (!overstay) {
        atomic_store(&s.board->stop_at, began_at + config->seconds * INT64_C(1000000000));
    }
    if (fine) close(s.gate[1]);
    fine = fine && watch(&s);
    if (!fine) kill_workers(&s);
    reap(&s, true);
    if (fine) {
        *ret_result = result_of(&s, began_at);
        demo_progress_end(ret_result);
    } else {
        close(s.gate[1]);
    }
    close(s.gate[0]);
    close(s.ready[0]);
    close(s.ready[1]);
    close(s.signal_fd);
    munmap(s.board, sizeof *s.board);
    return s.code;
}

/* In a process of its own: pawl's threads must not be there when the workers are forked. */
int demo_store_check(const demo_config *config, const demo_algorithm *tutorial)
{
    const demo_algorithm *both[] = {&demo_pawl, tutorial};
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        demo_say("fork: %s", strerror(errno));
        return DEMO_INTERNAL;
    }
    if (pid > 0) {
        int status = 0;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        return code_of_status(status);
    }
    begin_child(parent);
    for (int i = 0; i < 2; i++) {
        int code = DEMO_INTERNAL;
        demo_lock *lock = both[i]->open(config, &code);
        if (!lock) _exit(code);
        both[i]->close(lock);
    }
    _exit(0);
}
