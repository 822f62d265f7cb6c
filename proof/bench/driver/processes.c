/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "processes.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver.h"

void *bench_shared_new(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) bench_die("cannot share memory");
    return memory;
}

void bench_barrier_init(pthread_barrier_t *ret_barrier, unsigned parties)
{
    pthread_barrierattr_t attributes;
    if (pthread_barrierattr_init(&attributes) ||
        pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) ||
        pthread_barrier_init(ret_barrier, &attributes, parties)) {
        bench_die("cannot make a barrier");
    }
}

/* A client that died would leave the others at a barrier for ever: they end with their parent. */
static void on_child(int number)
{
    (void)number;
    int status;
    while (waitpid(-1, &status, WNOHANG) > 0) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) _exit(1);
    }
}

void bench_fork(int count, void (*process_main)(int number, void *userdata), void *userdata)
{
    signal(SIGCHLD, on_child);
    for (int i = 0; i < count; i++) {
        pid_t parent = getpid(), pid = fork();
        if (pid < 0) bench_die("cannot fork");
        if (pid > 0) continue;
        signal(SIGCHLD, SIG_DFL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        process_main(i, userdata);
        _exit(0);
    }
}
