/* SPDX-License-Identifier: MIT */
/* The thread that looks, and rests (watch.h: looking takes at most a tenth of the time). */
#include "serve.h"

#include <string.h>

#include "../session.h"
#include "../store.h"
#include "heat.h"
#include "history.h"
#include "waits.h"

#define FREED_MAX 16

/* ---- Looks -------------------------------------------------------------------------------- */

/*
 * A list has no free locks. So of those that were held and are not in it any more the first few
 * are asked for: they may have been broken.
 */
static bool keep_row(const pawl_info *info, void *userdata)
{
    return cli_watch_keep(info, userdata);
}

static void ask_for_freed(serve *s, const cli_watch *now, cli_watch *ret_asked)
{
    const cli_watch *before = &s->picture.rows;
    *ret_asked = (cli_watch){.rows = NULL};
    if (now->err) return;
    for (size_t i = 0; i < before->count && ret_asked->count < FREED_MAX; i++) {
        const cli_watch_row *row = &before->rows[i];
        if (!row->held || cli_watch_find(now, row)) continue;
        if (pawl_inspect(s->client, row->name, row->name_len, CLI_NOT_WAITING, keep_row, ret_asked))
            return;
    }
}

/* Mutex held. */
static void note_changes(serve *s, const cli_watch *now, const cli_watch *asked)
{
    const serve_picture *p = &s->picture;
    int64_t wall = serve_wall_ms();
    serve_span span = {.from_ms = p->wall_ms,
                       .to_ms = wall,
                       .longest_ms = cli_now_ms() - p->at_ms + p->rows.took_ms,
                       .was_away = p->err != 0};
    if (now->err) return;
    serve_history_add(s->history, &p->rows, now, asked, &span);
    serve_heat_add(s->heat, now, wall);
    s->picture.wall_ms = wall;
}

/* The waits of a look that failed are not kept. Mutex held. */
static serve_waits *swap_waits(serve *s, serve_waits *waits, int err)
{
    if (err || !waits) return waits;
    serve_waits *before = s->waits;
    s->waits = waits;
    return before;
}

/* While the store cannot be asked the old picture stays: the page says how old it is. */
static void show(serve_picture *picture, cli_watch *now)
{
    picture->looks++;
    picture->err = now->err;
    picture->took_ms = now->took_ms;
    memcpy(picture->reason, now->reason, sizeof picture->reason);
    if (now->err) return;
    cli_watch before = picture->rows;
    picture->rows = *now;
    picture->at_ms = now->at_ms;
    cli_watch_sum(&picture->rows, &before, &picture->sums);
    *now = before;
}

/* Returns when the next look may begin. */
static int64_t look(serve *s)
{
    cli_watch now, asked;
    serve_waits *waits = serve_waits_new();
    cli_watch_look_with(s->client, s->prefix, waits ? serve_waits_see : NULL, waits, &now);
    ask_for_freed(s, &now, &asked);
    if (waits && !now.err) serve_waits_end(waits, s->waits);
    int64_t next = cli_watch_next(&now, s->opts.interval_ms);
    pthread_mutex_lock(&s->mutex);
    note_changes(s, &now, &asked);
    waits = swap_waits(s, waits, now.err);
    show(&s->picture, &now);
    pthread_mutex_unlock(&s->mutex);
    serve_waits_free(waits);
    cli_watch_done(&asked);
    cli_watch_done(&now);
    serve_ring(s->news_fd);
    return next;
}

void *serve_observe(void *arg)
{
    serve *s = arg;
    int64_t next = cli_now_ms();
    while (!serve_is_ending(s)) {
        int64_t left = next - cli_now_ms();
        if (left <= 0)
            next = look(s);
        else
            (void)pawl_client_wait(s->client, s->end_fd, left);
    }
    return NULL;
}
