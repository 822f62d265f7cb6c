/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench_phase.h"
#include "command.h"
#include "exit_codes.h"
#include "json.h"
#include "message.h"

typedef struct bench_opts {
    cli_common common;
    int64_t duration_ms;
    int64_t threads;
    int64_t hold_ms;
    int64_t retain_ms;
    int64_t ttl_ms;
    bool json;
} bench_opts;

#define AT(field) offsetof(bench_opts, field)

static const cli_option bench_options[] = {
    {CLI_VALUE_SPAN, 'd', "duration", "D", AT(duration_ms),
     .help = "length of each of the two phases (default 3s)"},
    {CLI_VALUE_NUMBER, 'j', "threads", "N", AT(threads), .min = 2, .max = 1000,
     .help = "threads of the contended phase, each with its own client (default 8)"},
    {CLI_VALUE_SPAN, 0, "hold", "D", AT(hold_ms),
     .help = "hold the lock so long each time (default 0)"},
    {CLI_VALUE_SPAN, 0, "retain", "D", AT(retain_ms),
     .help = "keep a released lease so long for the same client (default 0)"},
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms), .help = "length of the lease (default 30s)"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

static void on_interrupt(int number)
{
    (void)number;
    bench_phase_stop();
}

static double per_second(const bench_result *r)
{
    return r->seconds > 0 ? (double)r->pairs / r->seconds : 0;
}

static double us(int64_t ns)
{
    return (double)ns / 1000;
}

static void print_line(const char *title, const bench_result *r)
{
    printf("%-24s%14.0f%12.1f%12.1f%12.1f\n", title, per_second(r),
           us(histogram_quantile(&r->waits, 0.5)), us(histogram_quantile(&r->waits, 0.99)),
           us(r->waits.max_ns));
}

static json_t *json_of(const bench_result *r)
{
    json_t *object = json_object();
    json_object_set_new(object, "seconds", json_real(r->seconds));
    json_object_set_new(object, "pairs", json_integer((json_int_t)r->pairs));
    json_object_set_new(object, "pairs_per_second", json_real(per_second(r)));
    json_object_set_new(object, "p50_us", json_real(us(histogram_quantile(&r->waits, 0.5))));
    json_object_set_new(object, "p99_us", json_real(us(histogram_quantile(&r->waits, 0.99))));
    json_object_set_new(object, "max_us", json_real(us(r->waits.max_ns)));
    json_object_set_new(object, "overlaps", json_integer((json_int_t)r->overlaps));
    json_object_set_new(object, "fence_slips", json_integer((json_int_t)r->fence_slips));
    return object;
}

static void print_results(const bench_opts *opts, const bench_result *alone,
                          const bench_result *together)
{
    if (opts->json) {
        json_t *object = json_object();
        json_object_set_new(object, "threads", json_integer(opts->threads));
        json_object_set_new(object, "hold_ms", json_integer(opts->hold_ms));
        json_object_set_new(object, "uncontended", json_of(alone));
        json_object_set_new(object, "contended", json_of(together));
        cli_json_print(object);
        return;
    }
    char title[40];
    snprintf(title, sizeof title, "%d clients, one key", (int)opts->threads);
    printf("%-24s%14s%12s%12s%12s\n", "acquire and release", "pairs/s", "p50 us", "p99 us",
           "max us");
    print_line("1 client", alone);
    print_line(title, together);
    printf("\nTimes are from asking to holding. Two inside at once: %" PRIu64
           "; fences that did not grow: %" PRIu64 ".\n",
           alone->overlaps + together->overlaps, alone->fence_slips + together->fence_slips);
}

static int measure(const bench_opts *opts, const char *key)
{
    cli_store store;
    int code = cli_store_choose(&opts->common, &store);
    if (code) return code;
    static bench_result alone, together; /* a histogram is large for a stack */
    bench_plan plan = {
        .common = &opts->common,
        .store = &store,
        .key = key,
        .title = "1 client",
        .threads = 1,
        .duration_ms = opts->duration_ms,
        .hold_ms = opts->hold_ms,
        .retain_ms = opts->retain_ms,
        .ttl_ms = opts->ttl_ms,
    };
    code = bench_phase_run(&plan, &alone);
    if (code) return code;
    if (!bench_phase_was_stopped()) {
        char title[32];
        snprintf(title, sizeof title, "%d clients", (int)opts->threads);
        plan.title = title;
        plan.threads = (int)opts->threads;
        code = bench_phase_run(&plan, &together);
    }
    if (code) return code;
    print_results(opts, &alone, &together);
    bool broken = alone.overlaps + together.overlaps + alone.fence_slips + together.fence_slips > 0;
    return cli_finish_output(broken ? CLI_EXIT_INTERNAL : CLI_EXIT_OK);
}

static int bench_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    bench_opts opts = {
        .common = *globals, .duration_ms = 3000, .threads = 8, .ttl_ms = PAWL_TTL_DEFAULT_MS};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count > 1) return cli_usage_error(self, "at most one KEY is wanted");
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
    return measure(&opts, key);
}

const cli_command cli_cmd_bench = {
    .verb = "bench",
    .operands = "[KEY]",
    .summary = "measure the store: pairs per second, waiting times",
    .page = "First one client alone, then --threads clients that want the same key. While it\n"
            "measures it checks that never two are inside and that fences grow; if not, the exit\n"
            "code is 70. ^C ends it early and prints what was measured.",
    .options = bench_options,
    .main = bench_main,
};
