/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../holder.h"
#include "../json.h"
#include "serve.h"

#define SHOWN_MAX 200 /* entries of one answer */

typedef enum change {
    TAKEN,  /* free before */
    FREED,  /* held before */
    PASSED, /* another holder than before */
    BROKEN, /* taken away by force */
    MODE    /* another mode, or another number of holders */
} change;

typedef struct entry {
    uint64_t number; /* the larger, the later */
    change change;
    serve_span span;
    char *holder, *before; /* labels; NULL: nobody */
    char *by, *reason;     /* of a break; NULL: not known */
    uint64_t fence, before_fence;
    int64_t since_s;       /* of the new holder; -1: unknown */
    bool may_have_run_out; /* the lease of the earlier holder */
    const char *mode, *before_mode;
    size_t holders, before_holders;
} entry;

typedef struct track {
    char *name;
    size_t name_len;
    int64_t changed_ms;
    size_t first, count; /* of the ring */
    bool cut;            /* older entries have been forgotten */
    entry ring[SERVE_PAST_MAX];
} track;

struct serve_history {
    track *tracks[SERVE_TRACKS_MAX]; /* by name */
    size_t count;
    uint64_t numbers; /* given to entries */
    int64_t began_ms; /* 0: no look has succeeded */
    uint64_t forgotten_names;
};

int64_t serve_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- Entries ------------------------------------------------------------------------------- */

static void clear(entry *e)
{
    free(e->holder);
    free(e->before);
    free(e->by);
    free(e->reason);
    *e = (entry){.since_s = -1};
}

static entry *latest(track *t)
{
    return t->count ? &t->ring[(t->first + t->count - 1) % SERVE_PAST_MAX] : NULL;
}

static void push(track *t, const entry *e)
{
    if (t->count == SERVE_PAST_MAX) {
        clear(&t->ring[t->first]);
        t->first = (t->first + 1) % SERVE_PAST_MAX;
        t->count--;
        t->cut = true;
    }
    t->count++;
    *latest(t) = *e;
    t->changed_ms = e->span.to_ms;
}

/* ---- Tracks -------------------------------------------------------------------------------- */

static void free_track(track *t)
{
    for (size_t i = 0; i < SERVE_PAST_MAX; i++) clear(&t->ring[i]);
    free(t->name);
    free(t);
}

static int order(const track *t, const char *name, size_t len)
{
    size_t shorter = len < t->name_len ? len : t->name_len;
    int difference = memcmp(t->name, name, shorter);
    return difference ? difference : (t->name_len > len) - (t->name_len < len);
}

/* The place of that name, or where it would be. */
static size_t place_of(const serve_history *h, const char *name, size_t len)
{
    size_t low = 0, high = h->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(h->tracks[middle], name, len) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static track *find(const serve_history *h, const char *name, size_t len)
{
    size_t at = place_of(h, name, len);
    return at < h->count && order(h->tracks[at], name, len) == 0 ? h->tracks[at] : NULL;
}

/* Makes room by forgetting whose last change is the longest ago. False: all are of this look. */
static bool make_room(serve_history *h, int64_t now_ms)
{
    size_t oldest = 0;
    if (h->count < SERVE_TRACKS_MAX) return true;
    h->forgotten_names++;
    for (size_t i = 1; i < h->count; i++)
        if (h->tracks[i]->changed_ms < h->tracks[oldest]->changed_ms) oldest = i;
    if (h->tracks[oldest]->changed_ms >= now_ms) return false;
    free_track(h->tracks[oldest]);
    h->count--;
    memmove(&h->tracks[oldest], &h->tracks[oldest + 1], (h->count - oldest) * sizeof(track *));
    return true;
}

static track *track_of(serve_history *h, const char *name, size_t len, int64_t now_ms)
{
    track *t = find(h, name, len);
    if (t || !make_room(h, now_ms)) return t;
    t = calloc(1, sizeof *t);
    if (t) t->name = strndup(name, len);
    if (!t || !t->name) {
        free(t);
        return NULL;
    }
    t->name_len = len;
    size_t at = place_of(h, name, len);
    memmove(&h->tracks[at + 1], &h->tracks[at], (h->count - at) * sizeof(track *));
    h->tracks[at] = t;
    h->count++;
    return t;
}

static void add(serve_history *h, const char *name, size_t len, entry *e)
{
    track *t = track_of(h, name, len, e->span.to_ms);
    e->number = ++h->numbers;
    if (t)
        push(t, e);
    else
        clear(e);
}

/* ---- Two looks at one lock ----------------------------------------------------------------- */

static bool is_broken(const cli_watch_row *row, uint64_t fence)
{
    return row && row->broken_by && row->broken_fence == fence;
}

static bool is_alone(const cli_watch_row *row)
{
    return row->mode == PAWL_MODE_EXCLUSIVE && row->holder_count <= 1;
}

/* What happened from one row to the other; either may be NULL: nobody holds it. False: nothing. */
static bool has_changed(const cli_watch_row *before, const cli_watch_row *now, change *ret_change)
{
    bool was_held = before && before->held, is_held = now && now->held;
    *ret_change = !was_held ? TAKEN : !is_held ? FREED : PASSED;
    if (!was_held || !is_held) return was_held != is_held;
    if (is_alone(before) && is_alone(now))
        return before->fence != now->fence || strcmp(before->owner, now->owner) != 0;
    *ret_change = MODE;
    return before->mode != now->mode || before->holder_count != now->holder_count ||
           before->fence != now->fence;
}

static void fill(entry *e, const cli_watch_row *before, const cli_watch_row *now)
{
    if (before && before->held) {
        e->before = strdup(before->owner);
        e->before_fence = before->fence;
        e->before_mode = cli_mode_word(before->mode);
        e->before_holders = before->holder_count;
        e->may_have_run_out =
            before->remaining_ms >= 0 && before->remaining_ms <= e->span.longest_ms;
    }
    if (now && now->held) {
        e->holder = strdup(now->owner);
        e->fence = now->fence;
        e->mode = cli_mode_word(now->mode);
        e->holders = now->holder_count;
        e->since_s = now->since_s;
    }
}

/* A break of our own is there already. */
static bool is_told(const serve_history *h, const cli_watch_row *row, uint64_t fence)
{
    track *t = find(h, row->name, row->name_len);
    const entry *last = t ? latest(t) : NULL;
    return last && last->change == BROKEN && last->before_fence == fence;
}

static void compare(serve_history *h, const cli_watch_row *before, const cli_watch_row *now,
                    const serve_span *span)
{
    const cli_watch_row *row = now ? now : before;
    entry e = {.span = *span, .since_s = -1};
    if (!row || !has_changed(before, now, &e.change)) return;
    fill(&e, before, now);
    if (is_broken(now, e.before_fence) && e.before) {
        e.change = BROKEN;
        e.by = strdup(now->broken_by);
    }
    if (e.before && is_told(h, row, e.before_fence)) {
        if (!e.holder) {
            clear(&e);
            return;
        }
        free(e.before);
        e.before = NULL;
        e.change = TAKEN;
    }
    add(h, row->name, row->name_len, &e);
}

/* Both looks are in the order of names. */
void serve_history_add(serve_history *h, const cli_watch *before, const cli_watch *now,
                       const cli_watch *asked, const serve_span *span)
{
    size_t i = 0, j = 0;
    if (!h->began_ms) h->began_ms = span->to_ms;
    if (!before->at_ms || before->err || now->err) return;
    while (i < before->count || j < now->count) {
        const cli_watch_row *old = i < before->count ? &before->rows[i] : NULL;
        const cli_watch_row *new = j < now->count ? &now->rows[j] : NULL;
        int side = !old ? 1 : !new ? -1 : cli_watch_order(old, new);
        if (side < 0)
            compare(h, old, cli_watch_find(asked, old), span);
        else
            compare(h, side == 0 ? old : NULL, new, span);
        i += side <= 0;
        j += side >= 0;
    }
}

void serve_history_add_break(serve_history *h, const char *name, size_t name_len,
                             const char *holder, uint64_t fence, const char *who,
                             const char *reason)
{
    int64_t now = serve_wall_ms();
    entry e = {.change = BROKEN,
               .span = {.from_ms = now, .to_ms = now},
               .since_s = -1,
               .before = strdup(holder),
               .before_fence = fence,
               .by = strdup(who),
               .reason = strdup(reason)};
    add(h, name, name_len, &e);
}

/* ---- Telling ------------------------------------------------------------------------------- */

static void set_text(json_t *object, const char *name, const char *text)
{
    if (text) cli_json_set_bytes(object, name, text, strlen(text));
}

static json_t *entry_json(const track *t, const entry *e)
{
    static const char *const words[] = {"taken", "freed", "passed", "broken", "mode"};
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", t->name, t->name_len);
    json_object_set_new(object, "change", json_string(words[e->change]));
    json_object_set_new(object, "from_ms", json_integer(e->span.from_ms));
    json_object_set_new(object, "to_ms", json_integer(e->span.to_ms));
    json_object_set_new(object, "was_away", json_boolean(e->span.was_away));
    set_text(object, "holder", e->holder);
    set_text(object, "before", e->before);
    set_text(object, "by", e->by);
    set_text(object, "reason", e->reason);
    if (e->holder) json_object_set_new(object, "fence", serve_fence_json(e->fence));
    if (e->before) {
        json_object_set_new(object, "before_fence", serve_fence_json(e->before_fence));
        json_object_set_new(object, "may_have_run_out", json_boolean(e->may_have_run_out));
    }
    json_object_set_new(object, "since_s", serve_number_json(e->since_s));
    if (e->change != MODE) return object;
    json_object_set_new(object, "mode", json_string(e->mode));
    json_object_set_new(object, "before_mode", json_string(e->before_mode));
    json_object_set_new(object, "holders", json_integer((json_int_t)e->holders));
    json_object_set_new(object, "before_holders", json_integer((json_int_t)e->before_holders));
    return object;
}

typedef struct found {
    const track *track;
    const entry *entry;
} found;

static int latest_first(const void *a, const void *b)
{
    const found *left = a, *right = b;
    return left->entry->number > right->entry->number ? -1 : 1;
}

static size_t collect(const track *t, found *ret_found)
{
    for (size_t i = 0; i < t->count; i++)
        ret_found[i] = (found){t, &t->ring[(t->first + t->count - 1 - i) % SERVE_PAST_MAX]};
    return t->count;
}

/* The latest entries; of one track they are in order already. */
static json_t *list_json(const serve_history *h, const track *one, const char *prefix,
                         size_t *ret_count)
{
    json_t *list = json_array();
    size_t count = 0, room = (one ? 1 : h->count) * SERVE_PAST_MAX;
    found *all = room ? malloc(room * sizeof *all) : NULL;
    if (all && one) count = collect(one, all);
    for (size_t i = 0; all && !one && i < h->count; i++)
        if (strncmp(h->tracks[i]->name, prefix, strlen(prefix)) == 0)
            count += collect(h->tracks[i], all + count);
    if (all && !one) qsort(all, count, sizeof *all, latest_first);
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++)
        json_array_append_new(list, entry_json(all[i].track, all[i].entry));
    free(all);
    *ret_count = count;
    return list;
}

static bool is_cut(const serve_history *h, const track *one)
{
    bool cut = one ? one->cut : h->forgotten_names > 0;
    for (size_t i = 0; !one && i < h->count; i++) cut |= h->tracks[i]->cut;
    return cut;
}

json_t *serve_history_json(const serve_history *h, const char *name, size_t len, const char *prefix)
{
    size_t count = 0;
    const track *one = len ? find(h, name, len) : NULL;
    json_t *object = json_object();
    json_t *list = len && !one ? json_array() : list_json(h, one, prefix, &count);
    json_object_set_new(object, "began_ms", h->began_ms ? json_integer(h->began_ms) : json_null());
    json_object_set_new(object, "now_ms", json_integer(serve_wall_ms()));
    json_object_set_new(object, "entries", list);
    json_object_set_new(object, "total", json_integer((json_int_t)count));
    json_object_set_new(object, "cut", json_boolean(count > SHOWN_MAX || is_cut(h, one)));
    json_object_set_new(object, "names", json_integer((json_int_t)h->count));
    json_object_set_new(object, "names_max", json_integer(SERVE_TRACKS_MAX));
    json_object_set_new(object, "past_max", json_integer(SERVE_PAST_MAX));
    json_object_set_new(object, "forgotten_names", json_integer((json_int_t)h->forgotten_names));
    return object;
}

serve_history *serve_history_new(void)
{
    return calloc(1, sizeof(serve_history));
}

void serve_history_free(serve_history *h)
{
    for (size_t i = 0; h && i < h->count; i++) free_track(h->tracks[i]);
    free(h);
}
