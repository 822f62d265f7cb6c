/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pipe2 */
#include "run_report.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exit_codes.h"
#include "json.h"
#include "message.h"

bool run_report_open_json(run_report *report, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return false;
    /* The command must not inherit it: it would keep it open. */
    if (fd > STDERR_FILENO) fcntl(fd, F_SETFD, FD_CLOEXEC);
    report->json_fd = fd;
    return true;
}

/*
 * A number of one digit, as dash's <&9 wants it, that the command would not find
 * open otherwise: what is closed on exec may be replaced in the child.
 */
static int choose_number(int otherwise)
{
    for (int fd = 9; fd > STDERR_FILENO; fd--) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0 || (flags & FD_CLOEXEC)) return fd;
    }
    return otherwise;
}

int run_report_open_pipe(run_report *report)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        cli_error("pipe: %s", strerror(errno));
        return CLI_EXIT_SYSTEM;
    }
    /* Above the descriptor numbers that the child may replace. */
    report->pipe_read = fcntl(ends[0], F_DUPFD_CLOEXEC, 10);
    report->pipe_write = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
    close(ends[0]);
    close(ends[1]);
    if (report->pipe_read < 0 || report->pipe_write < 0) {
        cli_error("pipe: %s", strerror(errno));
        return CLI_EXIT_SYSTEM;
    }
    fcntl(report->pipe_write, F_SETFL, O_NONBLOCK);
    report->pipe_number = choose_number(report->pipe_read);
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

void run_report_close_read(run_report *report)
{
    close_fd(&report->pipe_read);
}

void run_report_close_unread(run_report *report)
{
    if (!run_report_has_reader(report)) close_fd(&report->pipe_write);
}

void run_report_close(run_report *report)
{
    close_fd(&report->pipe_read);
    close_fd(&report->pipe_write);
    free(report->key_json);
    report->key_json = NULL;
}

void run_report_tell(run_report *report, const char *format, ...)
{
    if (report->pipe_write < 0) return;
    char line[64];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    ssize_t written = write(report->pipe_write, line, (size_t)len);
    (void)written; /* the command need not read PAWL_FD */
}

static int64_t wall_clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A line of at most PIPE_BUF bytes is written whole if poll says that there is room. */
static bool write_line(int fd, const char *line, size_t len)
{
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    if (len > PIPE_BUF) return false;
    if (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT)) return false;
    return write(fd, line, len) == (ssize_t)len;
}

json_t *run_report_details(const run_report *report)
{
    return report->json_fd < 0 ? NULL : json_object();
}

/* Escaped as in "key", because JSON takes only UTF-8. */
static json_t *keys_json(const cli_words *keys)
{
    json_t *array = json_array();
    for (int i = 0; i < keys->count; i++) {
        json_t *object = json_object();
        cli_json_set_bytes(object, "key", keys->items[i], strlen(keys->items[i]));
        json_array_append(array, json_object_get(object, "key"));
        json_decref(object);
    }
    return array;
}

void run_report_event(run_report *report, const char *event, json_t *details)
{
    if (report->json_fd < 0) {
        json_decref(details);
        return;
    }
    json_t *object = json_object();
    json_object_set_new(object, "event", json_string(event));
    cli_json_set_bytes(object, "key", report->key, strlen(report->key));
    if (report->keys) json_object_set_new(object, "keys", keys_json(report->keys));
    json_object_set_new(object, "time_ms", json_integer(wall_clock_ms()));
    if (report->json_dropped) {
        json_object_set_new(object, "dropped", json_integer(report->json_dropped));
    }
    if (details) json_object_update(object, details);
    json_decref(details);

    char line[PIPE_BUF];
    size_t len = json_dumpb(object, line, sizeof line - 1, JSON_COMPACT);
    json_decref(object);
    bool fits = len > 0 && len <= sizeof line - 1;
    if (fits) line[len++] = '\n';
    if (fits && write_line(report->json_fd, line, len)) {
        report->json_dropped = 0;
        return;
    }
    report->json_dropped++;
}

/* {"key":"..."} without its braces: written in JSON once, quoted from then on. */
void run_report_prepare_bare(run_report *report)
{
    if (report->json_fd < 0 || report->key_json) return;
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", report->key, strlen(report->key));
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!text) return;
    size_t len = strlen(text);
    memmove(text, text + 1, len - 2);
    text[len - 2] = '\0';
    report->key_json = text;
}

void run_report_event_bare(const run_report *report, const char *event, int64_t remaining_ms,
                           const char *reason)
{
    char line[PIPE_BUF], remaining[48] = "";
    if (report->json_fd < 0 || !report->key_json) return;
    if (remaining_ms >= 0) {
        snprintf(remaining, sizeof remaining, "\"remaining_ms\":%lld,", (long long)remaining_ms);
    }
    int len = snprintf(line, sizeof line,
                       "{\"event\":\"%s\",%s,\"time_ms\":%lld,\"by\":\"guardian\",%s"
                       "\"reason\":\"%s\"}\n",
                       event, report->key_json, (long long)wall_clock_ms(), remaining, reason);
    if (len < 0 || (size_t)len >= sizeof line) return;
    (void)write_line(report->json_fd, line, (size_t)len);
}

bool run_report_has_reader(const run_report *report)
{
    if (report->pipe_write < 0) return false;
    struct pollfd fd = {.fd = report->pipe_write}; /* POLLERR: no reader is left */
    return poll(&fd, 1, 0) == 0 || !(fd.revents & POLLERR);
}
