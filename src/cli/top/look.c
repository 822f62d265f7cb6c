/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* asprintf */
#include "top.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../duration.h"
#include "../holder.h"
#include "../message.h"
#include "../session.h"

/* ---- Names that have gone ------------------------------------------------------------ */

typedef struct gone {
    top *t;
    int64_t now_ms;
} gone;

static bool see_gone(const pawl_info *info, void *userdata)
{
    const gone *g = userdata;
    if (info->broken_by)
        top_add_loss(g->t, info->name, info->name_len, info->broken_by, info->broken_fence,
                     g->now_ms - info->broken_ms);
    return true;
}

/* A free lock is in no list, so we ask whether it was broken: for a few locks at a time. */
static void ask_for_gone(top *t)
{
    gone g = {.t = t, .now_ms = t->now.at_ms};
    int asked = 0;
    for (size_t i = 0; i < t->before.count && asked < TOP_INSPECTS_MAX; i++) {
        const cli_watch_row *row = &t->before.rows[i];
        if (!row->held || cli_watch_find(&t->now, row)) continue;
        asked++;
        if (pawl_inspect(t->client, row->name, row->name_len, CLI_NOT_WAITING, see_gone, &g)) break;
    }
}

void top_look(top *t)
{
    int64_t began = cli_now_ms();
    cli_watch_done(&t->before);
    t->before = t->now;
    cli_watch_look(t->client, t->prefix, &t->now);
    if (!t->now.err) {
        top_remember(t);
        ask_for_gone(t);
    }
    if (t->has_details) top_inspect(t);
    t->now.took_ms = cli_now_ms() - began; /* all of this time counts for the pause */
    top_arrange(t);
}

/* ---- Details ------------------------------------------------------------------------- */

static void add_line(top *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_line(top *t, const char *format, ...)
{
    if (t->detail_count == t->detail_room) {
        size_t room = t->detail_room ? t->detail_room * 2 : 32;
        char **lines = realloc(t->details, room * sizeof *lines);
        if (!lines) return;
        t->details = lines;
        t->detail_room = room;
    }
    char *raw = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&raw, format, args);
    va_end(args);
    if (len < 0) return;
    t->details[t->detail_count++] = cli_clean(raw);
    free(raw);
}

static void add_escaped(top *t, const char *title, const char *bytes, size_t len)
{
    char *safe = cli_escape(bytes, len);
    add_line(t, "%-10s%s", title, safe);
    free(safe);
}

static void add_holders(top *t, const pawl_info *info)
{
    char left[CLI_DURATION_TEXT];
    for (size_t i = 0; i < info->holders_shown; i++) {
        const pawl_holder_info *h = &info->holders[i];
        char *owner = cli_escape(h->owner, strlen(h->owner));
        add_line(t, "          %s, %s, %s left, fence %" PRIu64, *owner ? owner : "?",
                 cli_mode_word(h->mode), cli_duration_text(h->remaining_ms, left), h->fence);
        free(owner);
    }
}

static void add_waiters(top *t, const pawl_info *info)
{
    char age[CLI_DURATION_TEXT], place[CLI_DURATION_TEXT];
    add_line(t, "%-10s%zu", "waiting", info->waiter_count);
    for (size_t i = 0; i < info->waiters_shown; i++) {
        const pawl_waiter_info *w = &info->waiters[i];
        char *owner = cli_escape(w->owner, strlen(w->owner));
        add_line(t, "%6zu    %s, for %s (its place lasts %s)", i + 1, *owner ? owner : "?",
                 cli_duration_text(w->age_ms, age), cli_duration_text(w->place_ms, place));
        free(owner);
    }
}

static bool tell(const pawl_info *info, void *userdata)
{
    top *t = userdata;
    char since[CLI_UTC_TEXT];
    add_escaped(t, "key", info->name, info->name_len);
    add_line(t, "%-10s%s", "state",
             !info->held     ? "free"
             : info->foreign ? "held, not by pawl"
                             : "held");
    add_line(t, "%-10s%" PRIu64, "fence", info->fence);
    if (info->held) {
        add_line(t, "%-10s%s", "since", cli_holder_since(info, since) ? since : "?");
        add_line(t, "%-10s%zu", "holders", info->holder_count);
        if (!info->holders_shown) add_escaped(t, "holder", info->owner, strlen(info->owner));
        add_holders(t, info);
    }
    if (info->broken_by) add_escaped(t, "broken by", info->broken_by, strlen(info->broken_by));
    add_waiters(t, info);
    return true;
}

void top_forget_details(top *t)
{
    for (size_t i = 0; i < t->detail_count; i++) free(t->details[i]);
    t->detail_count = 0;
}

void top_inspect(top *t)
{
    const char *name = t->details_name;
    char reason[PAWL_MESSAGE_MAX];
    top_forget_details(t);
    int err = pawl_inspect(t->client, name, t->details_len, CLI_NOT_WAITING, tell, t);
    if (!err) return;
    pawl_client_reason(t->client, err, reason);
    add_escaped(t, "key", name, t->details_len);
    add_line(t, "%-10s?  (%s)", "state", reason);
}
