/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int torture_interrupted;

/* A PostgreSQL whose first process alone is killed leaves the others: no other can be started. */
#define END_PATIENCE_NS (30000 * TORTURE_MS)

const char *torture_self(void)
{
    static char path[PATH_MAX];
    if (!path[0] && readlink("/proc/self/exe", path, sizeof path - 1) < 0) path[0] = '\0';
    return path;
}

/* parent 0: it lives in another pid namespace, and cannot be seen. */
static void become(const char *const *argv, int log, int pass_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (parent && getppid() != parent) _exit(127); /* it died before the line above */
    setpgid(0, 0); /* ^C is for the rig, which ends the others in its own order */
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (pass_fd >= 0 && dup2(pass_fd, 3) != 3) _exit(127);
    if (pass_fd == 3) fcntl(3, F_SETFD, 0); /* dup2 onto itself keeps close-on-exec */
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

pid_t torture_child_start(const char *const *argv, const char *log, int pass_fd)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid();
    pid_t pid = fd < 0 ? -1 : fork();
    if (pid == 0) become(argv, fd, pass_fd, parent);
    if (pid < 0) torture_say("%s: %s", fd < 0 ? log : argv[0], strerror(errno));
    if (fd >= 0) close(fd);
    return pid < 0 ? 0 : pid;
}

/* ---- In namespaces of its own ----------------------------------------------------------- */

/* A fork whose child is the first process of a new pid namespace; ours stays what it was. */
static pid_t fork_apart(void)
{
    int ours = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (ours < 0 || unshare(CLONE_NEWPID) != 0) {
        if (ours >= 0) close(ours);
        return -1;
    }
    pid_t pid = fork();
    int why = errno;
    if (pid != 0) setns(ours, CLONE_NEWPID); /* of our next children */
    close(ours);
    errno = why;
    return pid;
}

/* /proc shows the new namespace, as in a container. */
static bool separate_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("proc", "/proc", "proc", 0, NULL) == 0;
}

bool torture_can_start_apart(void)
{
    int status = -1;
    pid_t pid = fork_apart();
    if (pid == 0) _exit(separate_mounts() ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

pid_t torture_child_start_apart(const char *const *argv, const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t pid = fd < 0 ? -1 : fork_apart();
    if (pid == 0) {
        if (separate_mounts()) become(argv, fd, -1, 0);
        _exit(127);
    }
    if (pid < 0) torture_say("%s: %s", fd < 0 ? log : argv[0], strerror(errno));
    if (fd >= 0) close(fd);
    return pid < 0 ? 0 : pid;
}

void torture_child_end(pid_t pid, int number)
{
    if (pid <= 0) return;
    int64_t patience = torture_now() + END_PATIENCE_NS;
    kill(pid, number);
    for (;;) {
        pid_t done = waitpid(pid, NULL, number == SIGKILL ? 0 : WNOHANG);
        if (done == pid || (done < 0 && errno != EINTR)) return;
        if (number == SIGKILL) continue;
        if (torture_now() > patience) kill(pid, number = SIGKILL);
        torture_sleep_ns(TORTURE_MS);
    }
}
