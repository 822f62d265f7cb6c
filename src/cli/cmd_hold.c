/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "command.h"
#include "exit_codes.h"
#include "fence_file.h"
#include "json.h"
#include "message.h"
#include "notify.h"
#include "session.h"
#include "stdfds.h"

typedef struct hold_opts {
    cli_common common;
    int64_t wait_ms;
    int64_t busy_code;
    int64_t ttl_ms;
    const char *fence_file;
    bool json;
} hold_opts;

#define AT(field) offsetof(hold_opts, field)

static const cli_option hold_options[] = {
    {CLI_VALUE_FIXED, 'n', "nb|nonblock", NULL, AT(wait_ms), .min = 0,
     .help = "do not wait for a busy lock"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait at most so long; 0 is -n"},
    CLI_OPTION_CONFLICT_CODE(AT(busy_code), "the lock stays busy"),
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms),
     .help = "length of the lease, renewed long before its end (default 30s)"},
    {CLI_VALUE_TEXT, 0, "fence-file", "PATH", AT(fence_file),
     .help = "write the fence to PATH once it is held"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print the line as JSON"},
    CLI_OPTIONS_END,
};

typedef struct hold {
    cli_session session;
    bool lost;
    char doubt_reason[PAWL_MESSAGE_MAX]; /* why the latest renewal failed; "": it did not */
} hold;

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    hold *h = userdata;
    (void)lock;
    const char *reason =
        event->message && *event->message ? event->message : pawl_err_text(event->err);
    if (event->kind == PAWL_EVENT_HELD) h->doubt_reason[0] = '\0';
    if (event->kind == PAWL_EVENT_DOUBT) {
        snprintf(h->doubt_reason, sizeof h->doubt_reason, "%s", reason);
        cli_info("%s: renewal overdue: %s", h->session.shown_key, reason);
    }
    if (event->kind != PAWL_EVENT_LOST) return;
    h->lost = true;
    cli_warn("%s: lost: %s", h->session.shown_key, reason);
}

/* Whether stdin can tell when to stop. */
typedef enum lifeline {
    LIFELINE_NONE,
    LIFELINE_PIPE,    /* its end is the end of the wait */
    LIFELINE_TERMINAL /* likewise, but only while it is ours to read */
} lifeline;

#define TERMINAL_LOOK_MS 250

/*
 * A file is at its end at once, and so is /dev/null, which shells give background jobs. Nobody can
 * close such a stdin to end the wait, nor one that was never open.
 */
static lifeline lifeline_of_stdin(void)
{
    struct stat in;
    if (cli_stdfds_was_closed(STDIN_FILENO) || fstat(STDIN_FILENO, &in) != 0) return LIFELINE_NONE;
    bool is_null = S_ISCHR(in.st_mode) && in.st_rdev == makedev(1, 3);
    if (is_null || S_ISREG(in.st_mode)) return LIFELINE_NONE;
    return isatty(STDIN_FILENO) ? LIFELINE_TERMINAL : LIFELINE_PIPE;
}

/*
 * A background job ("pawl hold k &") must not read what is typed for others: it would be
 * stopped, and nobody would renew.
 */
static bool may_read(lifeline kind)
{
    if (kind != LIFELINE_TERMINAL) return kind == LIFELINE_PIPE;
    pid_t foreground = tcgetpgrp(STDIN_FILENO);
    return foreground < 0 || foreground == getpgrp(); /* < 0: not the terminal of our session */
}

/* True once the other end has closed; what is sent is thrown away. */
static bool stdin_ended(lifeline kind)
{
    char scrap[4096];
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (!may_read(kind) || poll(&in, 1, 0) != 1) return false;
    ssize_t got = read(STDIN_FILENO, scrap, sizeof scrap);
    /* EIO: we were just put into the background. */
    bool not_ours = kind == LIFELINE_TERMINAL && got < 0 && errno == EIO;
    return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN && !not_ours);
}

static void hold_until_told(hold *h)
{
    struct signalfd_siginfo info;
    lifeline kind = lifeline_of_stdin();
    if (kind == LIFELINE_PIPE && !cli_session_watch(&h->session, STDIN_FILENO, false)) return;
    /* Not watched: each key that is typed for the foreground job would wake us. */
    if (kind == LIFELINE_TERMINAL) signal(SIGTTIN, SIG_IGN);
    for (;;) {
        int64_t span = pawl_lock_remaining_ms(h->session.lock) + 1;
        if (kind == LIFELINE_TERMINAL && span > TERMINAL_LOOK_MS) span = TERMINAL_LOOK_MS;
        if (cli_notify_again() && span > CLI_NOTIFY_AGAIN_MS) span = CLI_NOTIFY_AGAIN_MS;
        if (cli_session_wait(&h->session, span) < 0 || h->lost) return;
        if (!pawl_lock_is_held(h->session.lock)) {
            h->lost = true;
            const char *why = h->doubt_reason[0] ? h->doubt_reason : "its deadline has passed";
            cli_warn("%s: lost: %s", h->session.shown_key, why);
            return;
        }
        if (cli_signals_next(&h->session.signals, &info)) return;
        if (stdin_ended(kind)) return;
    }
}

static int announce(const hold_opts *opts, const cli_session *session)
{
    uint64_t fence = pawl_lock_fence(session->lock);
    if (opts->fence_file) {
        int code = cli_fence_file_write(opts->fence_file, fence);
        if (code) return code;
    }
    if (!opts->json) {
        cli_print("held %" PRIu64 " %s\n", fence, session->shown_key);
        return cli_finish_output(CLI_EXIT_OK);
    }
    pawl_token token;
    pawl_lock_token(session->lock, &token);
    json_t *object = json_object();
    json_object_set_new(object, "event", json_string("held"));
    cli_json_set_bytes(object, "key", session->key, strlen(session->key));
    json_object_set_new(object, "fence", json_integer((json_int_t)fence));
    json_object_set_new(object, "token", json_string(token.text));
    cli_json_print(object);
    return cli_finish_output(CLI_EXIT_OK);
}

static int hold_and_release(const hold_opts *opts, hold *h)
{
    int code = 0;
    if (!cli_session_acquire(&h->session, opts->wait_ms, (int)opts->busy_code, true, &code)) {
        return code;
    }
    code = announce(opts, &h->session);
    if (!code) {
        cli_notify(CLI_NOTIFY_READY, "holds %s, fence %" PRIu64 ", as %s", h->session.shown_key,
                   pawl_lock_fence(h->session.lock), pawl_client_owner(h->session.client));
        hold_until_told(h);
    }
    cli_notify(CLI_NOTIFY_STOPPING, h->lost ? "%s is lost" : "gives %s back", h->session.shown_key);
    int err = cli_session_release(&h->session);
    if (h->lost || err == PAWL_ERR_LOST) return CLI_EXIT_LOST;
    return code;
}

static int hold_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    hold_opts opts = {
        .common = *globals,
        .wait_ms = PAWL_WAIT_FOREVER,
        .busy_code = CLI_EXIT_BUSY,
        .ttl_ms = PAWL_TTL_DEFAULT_MS,
    };
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (!code) code = cli_ttl_check(self->verb, opts.ttl_ms);
    if (code) return code;

    cli_notify_open(false);
    hold h = {0};
    pawl_lock_opts lock_opts;
    pawl_lock_opts_init(&lock_opts);
    lock_opts.ttl_ms = opts.ttl_ms;
    lock_opts.on_event = on_event;
    lock_opts.event_userdata = &h;
    code = cli_session_open(&h.session, &opts.common, cli_ending_signals, key, &lock_opts);
    if (!code) code = hold_and_release(&opts, &h);
    cli_session_close(&h.session);
    return code;
}

static const char hold_page[] =
    "Prints one line, \"held FENCE KEY\", when the lock is held, and keeps it until stdin is\n"
    "closed or TERM, INT or HUP comes. It replaces flock's lock on a descriptor:\n\n"
    "  coproc pawl hold nightly; read -r _ fence _ <&\"${COPROC[0]}\"\n"
    "  ... ; eval \"exec ${COPROC[1]}>&-\"\n\n"
    "If the lock is lost, pawl says so and exits with 76; nobody stops the script. A stdin\n"
    "of /dev/null, or of a file, does not count, nor does a terminal while the job is in the\n"
    "background: then only a signal ends it.";

const cli_command cli_cmd_hold = {
    .verb = "hold",
    .operands = "KEY",
    .summary = "hold a lock until stdin is closed",
    .page = hold_page,
    .options = hold_options,
    .main = hold_main,
};
