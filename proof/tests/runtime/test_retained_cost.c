/* SPDX-License-Identifier: MIT */
/*
 * Goal: to take a retained lease again and to put it back makes no system call and
 * no allocation, nor does a reader who comes and goes beside another one of its client. Method:
 * after the first release the thread forbids itself all system calls but the end of the process,
 * under penalty of death, and malloc counts.
 */
#define _GNU_SOURCE
#include "allocations.h"
#include "pawl/pawl.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAIRS 10000

static bool forbid_system_calls(void)
{
    struct sock_filter only_exit[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof only_exit / sizeof only_exit[0],
                                 .filter = only_exit};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int fail(const char *what)
{
    printf("not ok 1 - %s\n", what);
    return 1;
}

typedef enum lease { RETAINED, BESIDE_A_READER } lease;

/* NULL: it failed. */
static pawl_lock *lock_of(pawl_client *client, lease kind)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    if (kind == RETAINED) opts.retain_ms = 3600000;
    if (kind == BESIDE_A_READER) opts.mode = PAWL_MODE_SHARED;
    pawl_lock *stays = NULL, *lock = NULL;
    if (pawl_lock_new(client, "lease", 5, &opts, &lock)) return NULL;
    if (kind == RETAINED) return lock;
    if (pawl_lock_new(client, "lease", 5, &opts, &stays)) return NULL;
    return pawl_lock_acquire(stays, 1000) ? NULL : lock;
}

/* Ends with 0 if all went well, 77 if this system cannot forbid, 1 else. */
static int work(lease kind, bool by_syscall)
{
    pawl_client *client;
    if (pawl_client_open("memory:", NULL, &client, NULL)) return 1;
    pawl_lock *lock = lock_of(client, kind);
    if (!lock) return 1;
    for (int i = 0; i < 2; i++)
        if (pawl_lock_acquire(lock, 1000) || pawl_lock_release(lock)) return 1;
    if (!forbid_system_calls()) return 77;
    long before = allocations;
    if (by_syscall) (void)getppid(); /* shows that the penalty is real */
    for (int i = 0; i < PAIRS; i++)
        if (pawl_lock_acquire(lock, 1000) || pawl_lock_release(lock)) return 1;
    return allocations == before ? 0 : 1;
}

static int run(lease kind, bool by_syscall)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) _exit(work(kind, by_syscall));
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) return 1 << 8;
    return status;
}

int main(void)
{
    int status = run(RETAINED, false), beside = run(BESIDE_A_READER, false);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("SKIP: system calls cannot be forbidden here\n");
        return 77;
    }
    printf("1..3\n");
    if (!WIFEXITED(status)) return fail("a retained pair made a system call");
    if (WEXITSTATUS(status)) return fail("a retained pair failed or allocated");
    printf("ok 1 - no system call, no allocation\n");
    if (!WIFSIGNALED(run(RETAINED, true))) return fail("system calls were not forbidden");
    printf("ok 2 - a system call would have been seen\n");
    if (!WIFEXITED(beside)) return fail("a reader beside another made a system call");
    if (WEXITSTATUS(beside)) return fail("a reader beside another failed or allocated");
    printf("ok 3 - neither by a reader beside another\n");
    return 0;
}
