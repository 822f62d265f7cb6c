/* SPDX-License-Identifier: MIT */
/*
 * How `run` tells programs what happens: lines on PAWL_FD for the command, JSON lines on
 * --json-events for the program that started us. Nothing here ever blocks: a reader that does not
 * read loses lines, but the deadline is kept.
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
    unsigned json_dropped;     /* lines that were dropped because the reader was slow */
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

/* After the command was started: closes our copy of the command's end. */
void run_report_close_read(run_report *report);
void run_report_close(run_report *report);

/* Closes the pipe when no process can read it any more, so that this is not reported again and
 * again. */
void run_report_close_unread(run_report *report);

/* One line to the command: "held 29000", "doubt", "lost", "yield". */
void run_report_tell(run_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An object for the details of an event, or NULL when nobody reads them. */
json_t *run_report_details(const run_report *report);
/* One event as JSON; details (may be NULL) are merged in and freed. */
void run_report_event(run_report *report, const char *event, json_t *details);

/*
 * Two steps for the guardian, which must not allocate. _prepare_bare allocates what is needed,
 * before the fork; _event_bare reports an event from the guardian. remaining_ms -1: none.
 */
void run_report_prepare_bare(run_report *report);
void run_report_event_bare(const run_report *report, const char *event, int64_t remaining_ms,
                           const char *reason);

/* Whether some process still has the command's end of the pipe open. */
bool run_report_has_reader(const run_report *report);

#endif
