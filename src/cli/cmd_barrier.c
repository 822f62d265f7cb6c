/* SPDX-License-Identifier: MIT */
/* barrier: waits until all parties have come, and goes on with them. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "message.h"
#include "pawl/composed.h"
#include "session.h"

typedef struct barrier_opts {
    cli_common common;
    int64_t parties, ttl_ms, wait_ms, busy_code;
} barrier_opts;

#define AT(field) offsetof(barrier_opts, field)

static const cli_option barrier_options[] = {
    {CLI_VALUE_NUMBER, 0, "parties", "N", AT(parties), .min = 1, .max = PAWL_BARRIER_PARTIES_MAX,
     .help = "so many go on together; all name the same N"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "give up after so long, which breaks the barrier for the others"},
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms),
     .help = "a party that died is missed after this (default 30s)"},
    CLI_OPTION_CONFLICT_CODE(AT(busy_code), "the wait ran out"),
    CLI_OPTIONS_END,
};

typedef struct visit {
    cli_signals signals;
    pawl_client *client;
    pawl_barrier *barrier;
    int ended_by; /* a signal; 0: none */
    bool decided;
    int result;
} visit;

static void on_decided(pawl_lock *lock, int err, void *userdata)
{
    visit *v = userdata;
    (void)lock;
    v->decided = true;
    v->result = err;
}

/* A signal makes this party leave: the others are told at once. */
static void leave_on_signal(visit *v)
{
    struct signalfd_siginfo info;
    while (cli_signals_next(&v->signals, &info)) {
        v->ended_by = (int)info.ssi_signo;
        if (v->barrier) v->barrier = pawl_barrier_free(v->barrier);
    }
}

static int wait_in(visit *v, const char *key, const barrier_opts *opts)
{
    pawl_barrier_opts wanted;
    pawl_barrier_opts_init(&wanted);
    wanted.parties = (uint32_t)opts->parties;
    wanted.ttl_ms = opts->ttl_ms;
    int err = pawl_barrier_new(v->client, key, strlen(key), &wanted, &v->barrier);
    if (!err) err = pawl_barrier_wait_start(v->barrier, opts->wait_ms, on_decided, v);
    while (!err && !v->decided) {
        int ran = pawl_client_wait(v->client, v->signals.fd, PAWL_WAIT_FOREVER);
        if (ran < 0) err = ran;
        leave_on_signal(v);
    }
    return err ? err : v->result;
}

static int tell(const cli_command *self, const barrier_opts *opts, const visit *v, const char *key,
                int err)
{
    if (v->ended_by && err) return CLI_EXIT_SIGNAL_BASE + v->ended_by;
    if (err != PAWL_ERR_BUSY && err != PAWL_ERR_TIMEOUT)
        return err ? cli_fail(v->client, self->verb, key, err) : cli_finish_output(CLI_EXIT_OK);
    char *safe = cli_escape(key, strlen(key));
    cli_warn("%s: not all parties have come", safe);
    free(safe);
    return (int)opts->busy_code;
}

static int barrier_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    barrier_opts opts = {.common = *globals,
                         .ttl_ms = 30000,
                         .wait_ms = PAWL_WAIT_FOREVER,
                         .busy_code = CLI_EXIT_BUSY};
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    if (!opts.parties)
        return cli_usage_error(self, "--parties N is wanted: how many go on together");
    if (strlen(key) < 1 || strlen(key) > PAWL_BARRIER_NAME_MAX)
        return cli_usage_error(self, "a barrier's key has 1 to %d bytes", PAWL_BARRIER_NAME_MAX);
    code = cli_ttl_check(self->verb, opts.ttl_ms);
    visit v = {0};
    if (!code) code = cli_signals_open(&v.signals, cli_ending_signals);
    if (!code) code = cli_client_open_simple(&opts.common, &v.client);
    if (!code) code = tell(self, &opts, &v, key, wait_in(&v, key, &opts));
    pawl_barrier_free(v.barrier);
    pawl_client_close(v.client);
    return code;
}

static const char barrier_page[] =
    "Waits until N parties wait for KEY; all of them go on then, and exit with 0. The next N\n"
    "make the next round; a late one of the last round is not counted in it.\n\n"
    "A party that gives up, is ended by a signal, or dies breaks the round: the others exit\n"
    "with 76, at once, or when its lease is over if it died. KEY.gate is used, too.\n\n"
    "  pawl barrier phase-1 --parties 4 -w 10m && ./phase-2";

const cli_command cli_cmd_barrier = {
    .verb = "barrier",
    .operands = "KEY --parties N",
    .summary = "wait until so many wait, and go on together",
    .page = barrier_page,
    .options = barrier_options,
    .main = barrier_main,
};
