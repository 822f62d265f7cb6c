/* SPDX-License-Identifier: MIT */
/* The table at the end, and what it means. */
#define _GNU_SOURCE
#include "demo.h"

#include <stdio.h>

#define LABEL_WIDTH  40
#define COLUMN_WIDTH 14

static void span_text(double seconds, char *ret_text, size_t size)
{
    if (seconds < 0.1) {
        snprintf(ret_text, size, "%.1f ms", seconds * 1000);
        return;
    }
    snprintf(ret_text, size, "%.2f s", seconds);
}

static void row(const char *label, const char *tutorial, const char *pawl)
{
    printf("  %-*s%*s%*s\n", LABEL_WIDTH, label, COLUMN_WIDTH, tutorial, COLUMN_WIDTH, pawl);
}

static void number_row(const char *label, long tutorial, long pawl)
{
    char left[24], right[24];
    snprintf(left, sizeof left, "%ld", tutorial);
    snprintf(right, sizeof right, "%ld", pawl);
    row(label, left, right);
}

static void rule(void)
{
    for (int i = 0; i < LABEL_WIDTH + 2 * COLUMN_WIDTH + 2; i++) putchar('-');
    putchar('\n');
}

static void print_stage(const char *title, const demo_result *tutorial, const demo_result *pawl)
{
    char left[24], right[24];
    printf("%s\n", title);
    number_row("increments asked", tutorial->asked, pawl->asked);
    number_row("increments that survived", tutorial->survived, pawl->survived);
    number_row("times that two were inside at once", tutorial->together, pawl->together);
    snprintf(left, sizeof left, "%.1f", tutorial->per_second);
    snprintf(right, sizeof right, "%.1f", pawl->per_second);
    row("locks per second", left, right);
    span_text(tutorial->longest_wait_s, left, sizeof left);
    span_text(pawl->longest_wait_s, right, sizeof right);
    row("longest wait", left, right);
    rule();
}

void demo_table_print(const demo_report *report)
{
    printf("\n");
    row("", "tutorial", "pawl");
    rule();
    print_stage("One holder in ten works longer than its ttl", &report->tutorial[0],
                &report->pawl[0]);
    print_stage("Nobody works longer than the ttl", &report->tutorial[1], &report->pawl[1]);
    if (report->tutorial[0].together > 0) {
        printf("(With several inside at once, more locks per second is no merit.)\n");
    }
}

/* ---- The verdict ------------------------------------------------------------------ */

static bool is_clean(const demo_result *result)
{
    return result->survived == result->asked && result->together == 0;
}

static void say_result(const char *who, const demo_result results[2])
{
    int asked = results[0].asked + results[1].asked;
    long lost = asked - results[0].survived - results[1].survived;
    int together = results[0].together + results[1].together;
    printf("%s: %ld of %d increments lost, two inside at once %d time%s.\n", who, lost, asked,
           together, together == 1 ? "" : "s");
}

int demo_verdict_print(const demo_report *report)
{
    printf("\n");
    say_result("tutorial", report->tutorial);
    say_result("pawl", report->pawl);
    int told = report->pawl[0].told + report->pawl[1].told;
    if (told > 0) {
        printf("      %d time%s a holder lost its lock, was told in time, and tried again.\n", told,
               told == 1 ? "" : "s");
    }
    if (is_clean(&report->pawl[0]) && is_clean(&report->pawl[1])) return DEMO_OK;
    printf("pawl FAILED: this must not happen; please report it with the lines above.\n");
    return DEMO_FAILED;
}
