/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "report.h"

#include <inttypes.h>
#include <string.h>

#include "../../../src/cli/json.h"

double bench_per_second(const bench_result *r)
{
    return r->seconds > 0 ? (double)r->pairs / r->seconds : 0;
}

static double us(int64_t ns)
{
    return (double)ns / 1000;
}

/* ---- For people ------------------------------------------------------------------ */

/* Three digits or the whole number: more digits have no meaning. */
static const char *us_text(int64_t ns, char buf[24])
{
    snprintf(buf, 24, ns < 10000 ? "%.2f" : ns < 100000 ? "%.1f" : "%.0f", us(ns));
    return buf;
}

static void print_line(const bench_result *r)
{
    char title[BENCH_TITLE_MAX], commands[16] = "-", jain[16] = "-";
    char half[24], late[24], most[24];
    if (r->commands >= 0) snprintf(commands, sizeof commands, "%.2f", r->commands);
    if (r->phase.threads > 1) snprintf(jain, sizeof jain, "%.3f", r->jain);
    printf("%-26s%12.0f%11s%11s%11s%8s%10s\n", bench_phase_title(&r->phase, title),
           bench_per_second(r), us_text(histogram_quantile(&r->waits, 0.5), half),
           us_text(histogram_quantile(&r->waits, 0.99), late), us_text(r->waits.max_ns, most), jain,
           commands);
}

void bench_print_table(const bench_report *report)
{
    uint64_t overlaps = 0, slips = 0;
    printf("%s\n\n%-26s%12s%11s%11s%11s%8s%10s\n", report->store, "acquire and release", "pairs/s",
           "p50 us", "p99 us", "max us", "Jain", "commands");
    for (int i = 0; i < report->count; i++) {
        print_line(&report->results[i]);
        overlaps += report->results[i].overlaps;
        slips += report->results[i].slips;
    }
    printf(
        "\nTimes are from asking to holding. Jain: fairness, 1 is best. Commands: what the server "
        "got\nfor each acquisition. Two inside at once: %" PRIu64
        "; fences that did not grow: %" PRIu64 ".\n",
        overlaps, slips);
    if (report->interrupted) puts("Interrupted: this is what was measured until then.");
}

/* ---- For programs ------------------------------------------------------------------ */

static void set_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, json_real(value));
}

static void set_integer(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *json_of(const bench_result *r)
{
    json_t *object = json_object();
    json_object_set_new(object, "phase", json_string(bench_kind_names[r->phase.kind]));
    set_integer(object, "threads", (uint64_t)r->phase.threads);
    set_integer(object, "names", (uint64_t)r->phase.names);
    set_real(object, "seconds", r->seconds);
    set_integer(object, "pairs", r->pairs);
    set_real(object, "pairs_per_second", bench_per_second(r));
    set_integer(object, "handovers", r->handovers);
    set_real(object, "p50_us", us(histogram_quantile(&r->waits, 0.5)));
    set_real(object, "p99_us", us(histogram_quantile(&r->waits, 0.99)));
    set_real(object, "max_us", us(r->waits.max_ns));
    set_real(object, "jain", r->jain);
    json_object_set_new(object, "commands_per_acquisition",
                        r->commands >= 0 ? json_real(r->commands) : json_null());
    set_integer(object, "overlaps", r->overlaps);
    set_integer(object, "fence_slips", r->slips);
    return object;
}

void bench_print_json(const bench_report *report)
{
    json_t *object = json_object(), *phases = json_array();
    cli_json_set_bytes(object, "store", report->store, strlen(report->store));
    set_integer(object, "duration_ms", (uint64_t)report->setup->duration_ms);
    set_integer(object, "hold_ms", (uint64_t)report->setup->hold_ms);
    json_object_set_new(object, "interrupted", json_boolean(report->interrupted));
    for (int i = 0; i < report->count; i++) {
        json_array_append_new(phases, json_of(&report->results[i]));
    }
    json_object_set_new(object, "phases", phases);
    cli_json_print(object);
}
