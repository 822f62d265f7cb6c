/* SPDX-License-Identifier: MIT */
/* What is seen while a stage runs: one live line on a terminal, else a line now and then. */
#define _GNU_SOURCE
#include "demo.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PLAIN_EVERY_NS (INT64_C(2) * 1000000000)
#define BAR_WIDTH      24

static struct {
    bool live;
    const char *title;
    int seconds;
    int64_t next_plain_at;
} shown;

void demo_progress_begin(const demo_config *config, const demo_algorithm *algorithm, bool overstay)
{
    (void)overstay;
    shown.live = !config->plain && isatty(STDOUT_FILENO);
    demo_say_over_line(shown.live);
    shown.title = algorithm->title;
    shown.seconds = config->seconds;
    shown.next_plain_at = demo_now() + PLAIN_EVERY_NS;
}

static double share_of(const demo_board *board, int asked)
{
    if (asked > 0) return (double)atomic_load(&board->finished) / asked;
    int64_t stop_at = atomic_load(&board->stop_at);
    if (!stop_at) return 0;
    double share = 1 - (double)(stop_at - demo_now()) / 1e9 / shown.seconds;
    return share > 1 ? 1 : share;
}

static void show_line(const demo_board *board, int asked, const char *end)
{
    char bar[BAR_WIDTH + 1];
    double share = share_of(board, asked);
    int full = (int)(share * BAR_WIDTH);
    for (int i = 0; i < BAR_WIDTH; i++) bar[i] = i < full ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    int together = atomic_load(&board->together);
    printf("  %-9s %s %5d increments, two inside at once %d time%s%s", shown.title, bar,
           atomic_load(&board->finished), together, together == 1 ? "" : "s", end);
    fflush(stdout);
}

void demo_progress_show(const demo_board *board, int asked)
{
    if (shown.live) {
        fputs("\r", stdout);
        show_line(board, asked, "\033[K");
        return;
    }
    if (demo_now() < shown.next_plain_at) return;
    shown.next_plain_at = demo_now() + PLAIN_EVERY_NS;
    show_line(board, asked, "\n");
}

void demo_progress_end(const demo_result *result)
{
    if (shown.live) fputs("\r\033[K", stdout);
    shown.live = false;
    long lost = result->asked - result->survived;
    printf("  %-9s %d increments, ", result->algorithm->title, result->asked);
    if (lost == 0) {
        printf("none lost");
    } else {
        printf("%ld lost", lost);
    }
    printf(", two inside at once %d time%s\n", result->together, result->together == 1 ? "" : "s");
    fflush(stdout);
}
