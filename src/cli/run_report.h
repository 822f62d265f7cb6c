/* SPDX-License-Identifier: MIT */
/*
 * How `run` tells programs what happens: lines on PAWL_FD for the command, JSON
 * lines on --json-events for whoever started us. Nothing here ever blocks: a reader that does not
 * read loses lines, never the deadline.
 */
#ifndef PAWL_CLI_RUN_REPORT_H
#define PAWL_CLI_RUN_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "options.h"

typedef struct run_report {
    int pipe_read, pipe_write; /* PAWL_FD; -1: none */
    int pipe_number;           /* the number that the command sees */
    int json_fd;               /* -1: none */
    unsigned json_dropped;     /* lines that the reader had no room for */
    const char *key;
    const cli_words *keys; /* NULL: that one alone */
    char *key_json;        /* "key":"..." for run_report_event_bare; NULL: not prepared */
} run_report;

#define RUN_REPORT_NONE                                                                            \
    {                                                                                              \
        .pipe_read = -1, .pipe_write = -1, .pipe_number = -1, .json_fd = -1                        \
    }

/* Checks and keeps the descriptor of --json-events; false if it is not open for writing. */
bool run_report_open_json(run_report *report, int fd);

/* Makes the pipe. 0 or an exit code after one line. */
int run_report_open_pipe(run_report *report);

/* After the command was started: its end is its own. */
void run_report_close_read(run_report *report);
void run_report_close(run_report *report);

/* When no process can read it any more, so that it is not reported again and again. */
void run_report_close_unread(run_report *report);

/* One line to the command: "held 29000", "doubt", "lost", "yield". */
void run_report_tell(run_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Where the details of an event go: an object, or NULL when nobody wants to know. */
json_t *run_report_details(const run_report *report);
/* One event as JSON; details (may be NULL) are merged in and freed. */
void run_report_event(run_report *report, const char *event, json_t *details);

/*
 * Two steps for a process that must not allocate, the guardian: what has to be allocated is
 * prepared before it is forked; then an event that it says for itself. remaining_ms -1: none.
 */
void run_report_prepare_bare(run_report *report);
void run_report_event_bare(const run_report *report, const char *event, int64_t remaining_ms,
                           const char *reason);

/* Whether some process still has the command's end of the pipe open. */
bool run_report_has_reader(const run_report *report);

#endif
