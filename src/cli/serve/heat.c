/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "heat.h"

#include <stdlib.h>
#include <string.h>

#include "../json.h"

#define SPAN_MS     30000
#define SPANS       120
#define CLASSES_MAX 48

typedef struct class
{
    char *name; /* "": of names without a ":" */
    size_t len;
    size_t now;              /* of the look that is counted */
    uint32_t waiters[SPANS]; /* the most that a look saw */
    int64_t waited_span;     /* the last one in which somebody waited */
} class;

struct serve_heat {
    int64_t spans[SPANS]; /* which span each place is of: the clock by SPAN_MS */
    bool seen[SPANS];     /* a look succeeded in it */
    class classes[CLASSES_MAX];
    size_t count;
    uint64_t left_out; /* waits of classes for which there was no room */
};

/* ---- Time ---------------------------------------------------------------------------------- */

static size_t turn_to(serve_heat *heat, int64_t span)
{
    size_t place = (size_t)(span % SPANS);
    if (heat->spans[place] == span) return place;
    heat->spans[place] = span;
    heat->seen[place] = false;
    for (size_t i = 0; i < heat->count; i++) heat->classes[i].waiters[place] = 0;
    return place;
}

/* ---- Classes ------------------------------------------------------------------------------- */

static size_t class_len(const cli_watch_row *row)
{
    const char *colon = memchr(row->name, ':', row->name_len);
    return colon ? (size_t)(colon - row->name) : 0;
}

/* A place for a new class: one that nobody has waited for in all the time shown gives up its own.
 */
static class *room_for_class(serve_heat *heat, int64_t span)
{
    if (heat->count < CLASSES_MAX) return &heat->classes[heat->count++];
    for (size_t i = 0; i < heat->count; i++)
        if (heat->classes[i].waited_span <= span - SPANS) return &heat->classes[i];
    return NULL;
}

static class *class_of(serve_heat *heat, const cli_watch_row *row, int64_t span)
{
    size_t len = class_len(row);
    for (size_t i = 0; i < heat->count; i++)
        if (heat->classes[i].len == len && memcmp(heat->classes[i].name, row->name, len) == 0)
            return &heat->classes[i];
    char *name = strndup(row->name, len);
    class *found = name ? room_for_class(heat, span) : NULL;
    if (!found) {
        free(name);
        return NULL;
    }
    free(found->name);
    *found = (class){.name = name, .len = len, .waited_span = span};
    return found;
}

void serve_heat_add(serve_heat *heat, const cli_watch *now, int64_t now_ms)
{
    int64_t span = now_ms / SPAN_MS;
    size_t place = turn_to(heat, span);
    heat->seen[place] = true;
    for (size_t i = 0; i < heat->count; i++) heat->classes[i].now = 0;
    for (size_t i = 0; i < now->count; i++) {
        const cli_watch_row *row = &now->rows[i];
        if (!row->waiter_count) continue;
        class *one = class_of(heat, row, span);
        heat->left_out += !one;
        if (!one) continue;
        one->waited_span = span;
        one->now += row->waiter_count;
        if (one->now > one->waiters[place]) one->waiters[place] = (uint32_t)one->now;
    }
}

/* ---- Telling ------------------------------------------------------------------------------- */

static bool is_known(const serve_heat *heat, int64_t span)
{
    return span >= 0 && heat->spans[span % SPANS] == span && heat->seen[span % SPANS];
}

/* The oldest first; null: no look has seen that half minute. */
static json_t *waiters_json(const serve_heat *heat, const class *one, int64_t last)
{
    json_t *list = json_array();
    for (int64_t span = last - SPANS + 1; span <= last; span++)
        json_array_append_new(list, is_known(heat, span) ? json_integer(one->waiters[span % SPANS])
                                                         : json_null());
    return list;
}

json_t *serve_heat_json(const serve_heat *heat, int64_t now_ms)
{
    json_t *classes = json_array();
    int64_t last = now_ms / SPAN_MS;
    for (size_t i = 0; i < heat->count; i++) {
        const class *one = &heat->classes[i];
        json_t *object = json_object();
        if (one->waited_span > last - SPANS) {
            cli_json_set_bytes(object, "class", one->name, one->len);
            json_object_set_new(object, "waiters", waiters_json(heat, one, last));
            json_array_append(classes, object);
        }
        json_decref(object);
    }
    return json_pack("{s:I, s:I, s:o, s:I, s:i}", "span_ms", (json_int_t)SPAN_MS, "last_ms",
                     (json_int_t)last * SPAN_MS, "classes", classes, "left_out",
                     (json_int_t)heat->left_out, "classes_max", CLASSES_MAX);
}

serve_heat *serve_heat_new(void)
{
    return calloc(1, sizeof(serve_heat));
}

void serve_heat_free(serve_heat *heat)
{
    for (size_t i = 0; heat && i < heat->count; i++) free(heat->classes[i].name);
    free(heat);
}
