/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pidfd_open, execvpe */
#include "no_fork.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"
#include "notify.h"
#include "stdfds.h"

/* First byte to the process that waits: it ends, with the exit code that follows. */
#define ENDS 'e'

const char *run_no_fork_misfit(const run_opts *opts)
{
    if (opts->hold_descendants)
        return "-F and --hold-descendants exclude each other: what the command leaves behind is "
               "not ours to see";
    if (opts->foreground) return "-F and --foreground exclude each other: it keeps its group";
    if (opts->reentrant) return "-F and --reentrant exclude each other: that never forks";
    if (opts->lost_code != CLI_EXIT_LOST)
        return "-F and --lost-exit-code exclude each other: the exit status is the command's own";
    return NULL;
}

static int say_system(const char *call)
{
    cli_error("%s: %s", call, strerror(errno));
    return CLI_EXIT_SYSTEM;
}

/* ---- The process that becomes the command ---------------------------------------------- */

/* The empty string behind the last one. */
static bool has_end(const char *heard, size_t len)
{
    return len >= 2 && heard[len - 1] == '\0' && heard[len - 2] == '\0';
}

/* Twice the room; NULL, and nothing is left of it: no memory. */
static char *grown(char *heard, size_t *room)
{
    char *more = realloc(heard, *room * 2);
    if (!more) free(heard);
    *room *= 2;
    return more;
}

/* Reads until the empty string at the end, or the end of the other side. NULL: no memory. */
static char *hear(int fd, size_t *ret_len)
{
    size_t room = 16384, len = 0;
    char *heard = malloc(room);
    while (heard && !has_end(heard, len) && !(len >= 2 && heard[0] == ENDS)) {
        ssize_t got = recv(fd, heard + len, room - len, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        len += (size_t)got;
        if (len == room) heard = grown(heard, &room);
    }
    *ret_len = len;
    return heard;
}

/* "a\0b\0\0" to an array that points into it; NULL: no memory. */
static char **environment_of(char *text)
{
    size_t count = 0;
    for (const char *at = text; *at; at += strlen(at) + 1) count++;
    char **env = calloc(count + 1, sizeof *env);
    for (size_t i = 0; env && i < count; i++, text += strlen(text) + 1) env[i] = text;
    return env;
}

static const char *value_in(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') return *env + len + 1;
    return "?";
}

/* We are the service's main process, whom the service manager believes; who stands beside is not.
 */
static void tell_ready(char *const *env)
{
    const char *key = value_in(env, "PAWL_KEY");
    char *shown = cli_escape(key, strlen(key));
    cli_notify(CLI_NOTIFY_READY, "holds %s, fence %s, as %s", shown, value_in(env, "PAWL_FENCE"),
               value_in(env, "PAWL_OWNER"));
    free(shown);
    cli_notify_flush();
}

/* Executes the command, or says why not to those who wait for that, who say it to people. */
static int begin(const guardian_adopted *self, char *env_text, char *const *argv)
{
    char **env = environment_of(env_text);
    int why = env ? 0 : ENOMEM;
    if (!why && !guardian_expose(self->pipe_read, self->pipe_number)) why = errno;
    if (!why) tell_ready(env);
    if (!why && cli_now_ms() >= atomic_load(&self->board->start_by_ms)) why = GUARDIAN_TOO_LATE;
    if (!why) {
        cli_stdfds_restore();
        execvpe(argv[0], argv, env);
        why = errno;
    }
    ssize_t told = send(self->socket, &why, sizeof why, MSG_NOSIGNAL);
    (void)told; /* they may be gone */
    free(env);
    if (why == GUARDIAN_TOO_LATE) return CLI_EXIT_LOST;
    return why == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_EXECUTE;
}

static int become_command(const guardian_adopted *self, char *const *argv)
{
    size_t len = 0;
    char *heard = hear(self->socket, &len);
    int code = CLI_EXIT_INTERNAL;
    if (!heard) return say_system("malloc");
    if (len >= 2 && heard[0] == ENDS)
        code = (unsigned char)heard[1];
    else if (len >= 2 && heard[0] == GUARDIAN_LETS_BEGIN && has_end(heard, len))
        code = begin(self, heard + 1, argv);
    else
        cli_error("the process that asked for the lock was killed");
    free(heard);
    return code;
}

/* ---- Pawl beside it --------------------------------------------------------------------- */

/* Closes the command's pipes here, so that their readers see its end. stderr stays. */
static void leave_streams(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0) return;
    (void)dup2(nothing, STDIN_FILENO);
    (void)dup2(nothing, STDOUT_FILENO);
    if (nothing > STDERR_FILENO) close(nothing);
}

static void stand_beside(const run_opts *opts, guardian_adopted *adopted, const run_plan *plan,
                         const char *key, char *const *argv)
{
    run_opts own = *opts;
    own.adopted = adopted;
    setpgid(0, 0); /* the terminal's signals are for the command */
    leave_streams();
    cli_notify_close();
    int code = run_execute(&own, plan, key, argv);
    const char word[] = {ENDS, (char)code};
    if (adopted->socket >= 0 && send(adopted->socket, word, sizeof word, MSG_NOSIGNAL) < 0)
        cli_info("the process that asked for the lock has ended");
    exit(code);
}

/* Makes a child of a child that ends at once; does not return in it. 0 or an exit code after one
 * line. */
static int start_beside(const run_opts *opts, guardian_adopted *adopted, int own_end,
                        const run_plan *plan, const char *key, char *const *argv)
{
    pid_t between = fork();
    if (between < 0) return say_system("fork");
    if (between == 0) {
        pid_t pid = fork();
        if (pid != 0) _exit(pid < 0 ? CLI_EXIT_SYSTEM : 0);
        close(own_end);
        stand_beside(opts, adopted, plan, key, argv);
    }
    int status = 0;
    while (waitpid(between, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 0) return 0;
    cli_error("fork: there is no room for another process");
    return CLI_EXIT_SYSTEM;
}

static int prepare(const run_opts *opts, guardian_adopted *ret_self, int *ret_other_end)
{
    int ends[2];
    run_report report = RUN_REPORT_NONE;
    cli_notify_open(opts->pass_notify);
    *ret_self = (guardian_adopted){.pid = getpid()};
    ret_self->pidfd = pidfd_open(ret_self->pid, 0);
    if (ret_self->pidfd < 0) return say_system("pidfd_open");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return say_system("socketpair");
    if (opts->json_fd > STDERR_FILENO) fcntl((int)opts->json_fd, F_SETFD, FD_CLOEXEC);
    ret_self->board = guardian_board_new();
    if (!ret_self->board) return CLI_EXIT_SYSTEM;
    int code = opts->close_fds ? 0 : run_report_open_pipe(&report);
    ret_self->pipe_read = report.pipe_read;
    ret_self->pipe_write = report.pipe_write;
    ret_self->pipe_number = report.pipe_number;
    ret_self->socket = ends[0];
    *ret_other_end = ends[1];
    return code;
}

int run_execute_no_fork(const run_opts *opts, const run_plan *plan, const char *key,
                        char *const *argv)
{
    guardian_adopted self, beside;
    int other_end = -1;
    int code = prepare(opts, &self, &other_end);
    if (code) return code;
    beside = self;
    beside.socket = other_end;
    code = start_beside(opts, &beside, self.socket, plan, key, argv);
    close(other_end);
    if (self.pipe_write >= 0) close(self.pipe_write);
    return code ? code : become_command(&self, argv);
}
