/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "waits.h"

#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "serve.h"

#define EDGES_MAX   20000
#define WAITERS_MAX 256 /* of one lock */
#define HOLDERS_MAX 32  /* of one lock */
#define CIRCLES_MAX 16
#define LENGTH_MAX  16

/* One owner waits for another. */
typedef struct edge {
    char *waiter, *holder, *key;
    size_t key_len;
    size_t group; /* of the edges with this waiter: the first one's place */
    size_t next;  /* the first edge on which the holder waits; NONE: it waits for nobody */
} edge;

typedef struct circle {
    size_t edges[LENGTH_MAX];
    size_t length;
    uint64_t looks; /* in a row that have seen it */
} circle;

struct serve_waits {
    edge *edges;
    size_t count, room;
    circle circles[CIRCLES_MAX];
    size_t circle_count;
    bool cut; /* not everything was looked at */
};

#define NONE SIZE_MAX

/* ---- What a look tells --------------------------------------------------------------------- */

static bool has_room(serve_waits *w)
{
    if (w->count < w->room) return true;
    size_t room = w->room ? w->room * 2 : 64;
    edge *edges = room <= 2 * EDGES_MAX ? realloc(w->edges, room * sizeof *edges) : NULL;
    if (!edges) return false;
    w->edges = edges;
    w->room = room;
    return true;
}

static void add(serve_waits *w, const pawl_info *info, const char *waiter, const char *holder)
{
    if (!*waiter || !*holder || strcmp(waiter, holder) == 0) return;
    if (w->count >= EDGES_MAX || !has_room(w)) {
        w->cut = true;
        return;
    }
    edge *e = &w->edges[w->count];
    *e = (edge){.waiter = strdup(waiter),
                .holder = strdup(holder),
                .key = strndup(info->name, info->name_len),
                .key_len = info->name_len,
                .next = NONE};
    if (e->waiter && e->holder && e->key) {
        w->count++;
        return;
    }
    w->cut = true;
    free(e->waiter);
    free(e->holder);
    free(e->key);
}

static void add_waiter(serve_waits *w, const pawl_info *info, const char *waiter)
{
    size_t holders = info->holders_shown < HOLDERS_MAX ? info->holders_shown : HOLDERS_MAX;
    if (!holders) add(w, info, waiter, info->owner);
    for (size_t i = 0; i < holders; i++) add(w, info, waiter, info->holders[i].owner);
    if (info->holder_count > HOLDERS_MAX) w->cut = true;
}

bool serve_waits_see(const pawl_info *info, void *waits)
{
    serve_waits *w = waits;
    size_t waiters = info->waiters_shown < WAITERS_MAX ? info->waiters_shown : WAITERS_MAX;
    if (!info->held) return true;
    for (size_t i = 0; i < waiters; i++) add_waiter(w, info, info->waiters[i].owner);
    if (info->waiter_count > waiters) w->cut = true;
    return true;
}

/* ---- Circles ------------------------------------------------------------------------------- */

static int by_waiter(const void *a, const void *b)
{
    return strcmp(((const edge *)a)->waiter, ((const edge *)b)->waiter);
}

static size_t first_of_waiter(const serve_waits *w, const char *waiter)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(w->edges[middle].waiter, waiter) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->count && strcmp(w->edges[low].waiter, waiter) == 0 ? low : NONE;
}

static void connect_edges(serve_waits *w)
{
    qsort(w->edges, w->count, sizeof *w->edges, by_waiter);
    for (size_t i = 0; i < w->count; i++) {
        bool same = i > 0 && by_waiter(&w->edges[i - 1], &w->edges[i]) == 0;
        w->edges[i].group = same ? w->edges[i - 1].group : i;
        w->edges[i].next = first_of_waiter(w, w->edges[i].holder);
    }
}

static bool is_same_edge(const edge *a, const edge *b)
{
    return strcmp(a->waiter, b->waiter) == 0 && strcmp(a->holder, b->holder) == 0 &&
           a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

static uint64_t looks_before(const serve_waits *w, const circle *one, const serve_waits *before)
{
    for (size_t i = 0; before && i < before->circle_count; i++) {
        const circle *other = &before->circles[i];
        bool same = other->length == one->length;
        for (size_t k = 0; same && k < one->length; k++)
            same = is_same_edge(&w->edges[one->edges[k]], &before->edges[other->edges[k]]);
        if (same) return other->looks;
    }
    return 0;
}

/* The path's edges from `from` on are a circle. It begins with its smallest waiter: so the next
 * look finds it the same. */
static void keep_circle(serve_waits *w, const size_t *path, size_t from, size_t depth,
                        const serve_waits *before)
{
    size_t length = depth - from, least = 0;
    if (w->circle_count == CIRCLES_MAX || length > LENGTH_MAX) {
        w->cut = true;
        return;
    }
    circle *one = &w->circles[w->circle_count++];
    for (size_t i = 1; i < length; i++)
        if (w->edges[path[from + i]].group < w->edges[path[from + least]].group) least = i;
    one->length = length;
    for (size_t i = 0; i < length; i++) one->edges[i] = path[from + (least + i) % length];
    one->looks = looks_before(w, one, before) + 1;
}

typedef struct walk {
    size_t *path;  /* edges: the way to where we are */
    size_t *place; /* for each group: 1 + where it stands in the path; 0: it does not */
    bool *left;    /* for each group: all ways from it have been gone */
    size_t depth;
} walk;

/* To the next edge of the same waiter, or back; false: all ways from the start have been gone. */
static bool step_on(serve_waits *w, walk *at)
{
    while (at->depth) {
        size_t here = at->path[at->depth - 1], group = w->edges[here].group;
        if (here + 1 < w->count && w->edges[here + 1].group == group) {
            at->path[at->depth - 1]++;
            return true;
        }
        at->place[group] = 0;
        at->left[group] = true;
        at->depth--;
    }
    return false;
}

/* Depth first; each owner is left once. */
static void walk_from(serve_waits *w, walk *at, size_t start, const serve_waits *before)
{
    at->depth = 1;
    at->path[0] = start;
    at->place[start] = 1;
    do {
        for (;;) {
            size_t next = w->edges[at->path[at->depth - 1]].next;
            if (next == NONE || at->left[next]) break;
            if (at->place[next]) {
                keep_circle(w, at->path, at->place[next] - 1, at->depth, before);
                break;
            }
            at->path[at->depth++] = next;
            at->place[next] = at->depth;
        }
    } while (step_on(w, at));
}

void serve_waits_end(serve_waits *w, const serve_waits *before)
{
    if (!w->count) return;
    connect_edges(w);
    walk at = {.path = calloc(w->count, sizeof(size_t)),
               .place = calloc(w->count, sizeof(size_t)),
               .left = calloc(w->count, sizeof(bool))};
    if (!at.path || !at.place || !at.left) w->cut = true;
    for (size_t i = 0; at.path && at.place && at.left && i < w->count; i++)
        if (w->edges[i].group == i && !at.left[i]) walk_from(w, &at, i, before);
    free(at.path);
    free(at.place);
    free(at.left);
}

/* ---- Telling ------------------------------------------------------------------------------- */

static json_t *circle_json(const serve_waits *w, const circle *one)
{
    json_t *list = json_array();
    for (size_t i = 0; i < one->length; i++) {
        const edge *e = &w->edges[one->edges[i]];
        json_t *object = json_object();
        serve_set_who(object, e->waiter);
        cli_json_set_bytes(object, "key", e->key, e->key_len);
        cli_json_set_bytes(object, "holder", e->holder, strlen(e->holder));
        json_array_append_new(list, object);
    }
    return json_pack("{s:I, s:o}", "looks", (json_int_t)one->looks, "waits", list);
}

size_t serve_waits_count(const serve_waits *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->circle_count; i++) count += w->circles[i].looks > 1;
    return count;
}

json_t *serve_waits_json(const serve_waits *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->circle_count; i++)
        json_array_append_new(list, circle_json(w, &w->circles[i]));
    return json_pack("{s:o, s:b}", "circles", list, "cut", w->cut);
}

serve_waits *serve_waits_new(void)
{
    return calloc(1, sizeof(serve_waits));
}

void serve_waits_free(serve_waits *w)
{
    if (!w) return;
    for (size_t i = 0; i < w->count; i++) {
        free(w->edges[i].waiter);
        free(w->edges[i].holder);
        free(w->edges[i].key);
    }
    free(w->edges);
    free(w);
}
