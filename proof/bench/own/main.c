/* SPDX-License-Identifier: MIT */
/* pawl-bench: measures a store through the library. It has the options and the store of the
 * command. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../src/cli/command.h"
#include "../../../src/cli/exit_codes.h"
#include "../../../src/cli/message.h"
#include "../../../src/cli/stdfds.h"
#include "report.h"

#define COUNT_MS   250 /* of a run that only counts requests */
#define PHASES_MAX 32
#define SEVERAL    3 /* names that one acquisition takes */

typedef struct bench_opts {
    cli_common common;
    int64_t duration_ms;
    int64_t threads;
    int64_t names;
    int64_t hold_ms;
    int64_t ttl_ms;
    const char *only;
    const char *plot;
    bool json;
} bench_opts;

#define AT(field) offsetof(bench_opts, field)

static const cli_option bench_options[] = {
    {CLI_VALUE_SPAN, 'd', "duration", "D", AT(duration_ms),
     .help = "length of each measurement (default 2s)"},
    {CLI_VALUE_NUMBER, 'j', "threads", "N", AT(threads), .min = 2, .max = 1000,
     .help = "most clients that want one key, and threads (default 8)"},
    {CLI_VALUE_NUMBER, 0, "names", "N", AT(names), .min = 1, .max = 100000,
     .help = "keys of the measurement with many (default 1000)"},
    {CLI_VALUE_TEXT, 0, "only", "LIST", AT(only),
     .help = "of the measurements (see below) only these, with commas between them"},
    {CLI_VALUE_SPAN, 0, "hold", "D", AT(hold_ms),
     .help = "hold the lock so long each time (default 0)"},
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms), .help = "length of the lease (default 30s)"},
    {CLI_VALUE_TEXT, 0, "plot", "FILE", AT(plot), .help = "draw the results into this SVG file"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

static void on_interrupt(int number)
{
    (void)number;
    bench_phase_stop();
}

/* ---- What is measured ----------------------------------------------------------- */

/* "cached,names" to bits; all if text is NULL. False after one line. */
static bool choose_kinds(const cli_command *self, const char *text, unsigned *ret_kinds)
{
    *ret_kinds = text ? 0 : ~0u;
    while (text) {
        size_t length = strcspn(text, ",");
        int kind = 0;
        while (kind < BENCH_KINDS && (strlen(bench_kind_names[kind]) != length ||
                                      strncmp(bench_kind_names[kind], text, length) != 0)) {
            kind++;
        }
        if (kind == BENCH_KINDS) {
            char *safe = cli_escape(text, length);
            cli_usage_error(self,
                            "--only \"%s\": not one of uncontended, contended, cached, "
                            "threads, names, readers, permits, several",
                            safe);
            free(safe);
            return false;
        }
        *ret_kinds |= 1u << kind;
        text = text[length] ? text + length + 1 : NULL;
    }
    return true;
}

/* A measurement of a mode that the store does not grant is left out, which is said once. */
static unsigned leave_out(unsigned kinds, unsigned modes, const char *url)
{
    static const struct {
        bench_kind kind;
        pawl_mode mode;
        const char *what;
    } needs[] = {{BENCH_READERS, PAWL_MODE_SHARED, "shared locks"},
                 {BENCH_PERMITS, PAWL_MODE_PERMIT, "semaphores"}};
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (!(kinds & 1u << needs[i].kind) || modes & 1u << needs[i].mode) continue;
        cli_error("bench: %s is left out: %s has no %s", bench_kind_names[needs[i].kind], url,
                  needs[i].what);
        kinds &= ~(1u << needs[i].kind);
    }
    return kinds;
}

static int choose_phases(const bench_opts *opts, unsigned kinds, bench_phase *ret_phases)
{
    int count = 0, threads = (int)opts->threads;
    int names = opts->names > threads ? (int)opts->names : threads;
    bench_phase all[PHASES_MAX];
    int known = 0;
    all[known++] = (bench_phase){BENCH_UNCONTENDED, 1, 1};
    for (int n = 2; n < threads; n *= 2) all[known++] = (bench_phase){BENCH_CONTENDED, n, 1};
    all[known++] = (bench_phase){BENCH_CONTENDED, threads, 1};
    all[known++] = (bench_phase){BENCH_CACHED, 1, 1};
    all[known++] = (bench_phase){BENCH_THREADS, threads, threads};
    all[known++] = (bench_phase){BENCH_NAMES, threads, names};
    int permits = threads / 2 < PAWL_CAPACITY_MAX ? threads / 2 : PAWL_CAPACITY_MAX;
    all[known++] = (bench_phase){BENCH_READERS, threads, 1};
    all[known++] = (bench_phase){BENCH_PERMITS, threads, permits};
    all[known++] = (bench_phase){BENCH_SEVERAL, 1, SEVERAL};
    for (int i = 0; i < known; i++) {
        if (kinds & (1u << all[i].kind)) ret_phases[count++] = all[i];
    }
    return count;
}

/* ---- Measuring ------------------------------------------------------------------- */

/* A short run through a relay, apart, because a relay in the way slows it down. */
static int count_commands(const bench_setup *setup, const bench_phase *phase, double *ret_commands)
{
    cli_store counted;
    bench_relay *relay = bench_relay_open(setup->store, &counted);
    *ret_commands = -1;
    if (!relay) return 0;
    bench_setup brief = *setup;
    brief.store = &counted;
    brief.duration_ms = COUNT_MS < setup->duration_ms ? COUNT_MS : setup->duration_ms;
    brief.progress = NULL;
    bench_result *result = calloc(1, sizeof *result); /* a histogram is large for a stack */
    int code = result ? bench_phase_run(&brief, phase, relay, result) : CLI_EXIT_SYSTEM;
    if (!code) *ret_commands = result->commands;
    free(result);
    bench_relay_close(relay);
    return code;
}

/* Until all are measured, one fails, or an interrupt comes. */
static int measure(bench_setup *setup, const bench_phase *phases, int count, bool progress,
                   bench_report *report, bench_result *results)
{
    int code = 0;
    for (int i = 0; i < count && !code && !bench_phase_was_stopped(); i++) {
        char where[32];
        double commands;
        snprintf(where, sizeof where, "bench %d/%d: ", i + 1, count);
        setup->progress = progress ? where : NULL;
        code = count_commands(setup, &phases[i], &commands);
        if (code || bench_phase_was_stopped()) break;
        code = bench_phase_run(setup, &phases[i], NULL, &results[i]);
        if (code) break;
        results[i].commands = commands;
        report->count++;
    }
    setup->progress = NULL;
    report->interrupted = bench_phase_was_stopped();
    return code;
}

/* ---- Telling ------------------------------------------------------------------------ */

/* Checks before the measurement that the file can be made. */
static int open_plot(const char *path, FILE **ret_file)
{
    *ret_file = NULL;
    if (!path) return 0;
    *ret_file = fopen(path, "we");
    if (*ret_file) return 0;
    cli_error("bench: --plot %s: %s", path, strerror(errno));
    return CLI_EXIT_CANNOT_WRITE;
}

static int close_plot(const char *path, FILE *file)
{
    if (!file) return 0;
    bool broken = ferror(file);
    broken = fclose(file) != 0 || broken;
    if (!broken) return 0;
    cli_error("bench: --plot %s: it could not be written whole", path);
    return CLI_EXIT_CANNOT_WRITE;
}

static int tell(const bench_report *report, const bench_opts *opts, FILE *plot)
{
    bool broken = false;
    for (int i = 0; i < report->count; i++) {
        broken = broken || report->results[i].overlaps || report->results[i].slips;
    }
    if (opts->json) {
        bench_print_json(report);
    } else {
        bench_print_table(report);
    }
    if (plot) bench_plot(report, plot);
    return broken ? CLI_EXIT_INTERNAL : CLI_EXIT_OK;
}

/* The store's URL without its password, and which modes it grants; an exit code if there is no such
 * store, or if it cannot be reached. */
static int ask_store(const bench_setup *setup, char ret_url[CLI_URL_MAX], unsigned *ret_modes)
{
    pawl_client *client;
    pawl_caps caps;
    int code = cli_client_open(setup->common, setup->store, PAWL_CALLBACKS_THREAD, &client);
    if (code) return code;
    snprintf(ret_url, CLI_URL_MAX, "%s", pawl_client_url(client));
    int err = pawl_client_caps(client, setup->common->store_timeout_ms, &caps);
    if (err) code = cli_fail(client, "bench", NULL, err);
    *ret_modes = err ? 0 : caps.modes;
    pawl_client_close(client);
    return code;
}

static int run_bench(const bench_opts *opts, const char *key, unsigned kinds)
{
    cli_store store;
    char url[CLI_URL_MAX];
    bench_setup setup = {.common = &opts->common,
                         .store = &store,
                         .key = key,
                         .duration_ms = opts->duration_ms,
                         .hold_ms = opts->hold_ms,
                         .ttl_ms = opts->ttl_ms};
    int code = cli_store_choose(&opts->common, &store);
    unsigned modes = 0;
    if (!code) code = ask_store(&setup, url, &modes);
    FILE *plot = NULL;
    if (!code) code = open_plot(opts->plot, &plot);
    if (code) return code;

    bench_phase phases[PHASES_MAX];
    int count = choose_phases(opts, leave_out(kinds, modes, url), phases);
    if (count == 0) {
        (void)close_plot(opts->plot, plot);
        return CLI_EXIT_CONFIG;
    }
    bench_result *results = calloc((size_t)count, sizeof *results);
    bench_report report = {.store = url, .setup = &setup, .results = results};
    if (!results) {
        cli_error("out of memory");
        code = CLI_EXIT_SYSTEM;
    } else {
        code = measure(&setup, phases, count, !opts->common.quiet, &report, results);
    }
    /* Measurements from before a failure are printed, too. */
    if (results && (report.count || !code)) {
        int told = tell(&report, opts, plot);
        if (!code) code = told;
    }
    int drawn = close_plot(opts->plot, plot);
    free(results);
    return cli_finish_output(code ? code : drawn);
}

static int bench_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    bench_opts opts = {.common = *globals,
                       .duration_ms = 2000,
                       .threads = 8,
                       .names = 1000,
                       .ttl_ms = PAWL_TTL_DEFAULT_MS};
    cli_args rest;
    int code = 0;
    unsigned kinds;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count > 1) return cli_usage_error(self, "at most one KEY is wanted");
    if (opts.duration_ms < 1) return cli_usage_error(self, "--duration: more than 0 is wanted");
    if (!choose_kinds(self, opts.only, &kinds)) return CLI_EXIT_USAGE;
    code = cli_ttl_check(self->verb, opts.ttl_ms);
    if (code) return code;

    /* Two benches at a time measure their own locks, unless they are given one key. */
    char own_key[64];
    snprintf(own_key, sizeof own_key, "pawl-bench-%d", (int)getpid());
    const char *key = rest.count ? rest.items[0] : own_key;
    code = cli_key_check(self->verb, key);
    if (code) return code;

    struct sigaction stop = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &stop, NULL); /* the second ^C ends it as usual */
    sigaction(SIGTERM, &stop, NULL);
    return run_bench(&opts, key, kinds);
}

static const cli_command bench_command = {
    .verb = "bench",
    .operands = "[KEY]",
    .summary = "measure the store: pairs per second, waiting times",
    .page =
        "The measurements: uncontended, one client alone; contended, 2, 4, 8 and so on up to\n"
        "--threads clients that want the same key; cached, one client that keeps its lease;\n"
        "threads, threads of one client with a key each; names, the same with many keys in turn;\n"
        "readers, clients that hold one key in mode shared; permits, clients and half as many\n"
        "permits of a semaphore; several, three keys at once. It checks meanwhile that never two\n"
        "are inside and that fences grow; if not, the exit code is 70. ^C ends it early and\n"
        "prints what was measured.",
    .options = bench_options,
    .main = bench_main,
};

int main(int argc, char **argv)
{
    cli_common globals = CLI_COMMON_DEFAULTS;
    cli_stdfds_open();
    return bench_command.main(&bench_command, &globals, argc, argv);
}
