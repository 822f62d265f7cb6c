/* SPDX-License-Identifier: MIT */
/* One lock, as an INSPECT shows it. */
#include "serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../holder.h"
#include "../json.h"

/* A number of 64 bits: JavaScript's numbers are exact to 53. */
json_t *serve_fence_json(uint64_t fence)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, fence);
    return json_string(text);
}

json_t *serve_number_json(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

/* The parts of a label of the usual form. */
void serve_set_who(json_t *object, const char *label)
{
    cli_holder holder;
    cli_json_set_bytes(object, "owner", label, strlen(label));
    if (!cli_holder_parse(label, &holder)) return;
    cli_json_set_bytes(object, "user", holder.user, holder.user_len);
    cli_json_set_bytes(object, "host", holder.host, holder.host_len);
    cli_json_set_bytes(object, "program", holder.program, holder.program_len);
    json_object_set_new(object, "pid", json_integer(holder.pid));
    if (holder.trace) json_object_set_new(object, "trace_id", json_string(holder.trace));
}

static json_t *holder_json(const pawl_holder_info *holder)
{
    json_t *object = json_object();
    serve_set_who(object, holder->owner);
    json_object_set_new(object, "fence", serve_fence_json(holder->fence));
    json_object_set_new(object, "mode", json_string(cli_mode_word(holder->mode)));
    json_object_set_new(object, "units", json_integer((json_int_t)holder->units));
    json_object_set_new(object, "remaining_ms", json_integer(holder->remaining_ms));
    return object;
}

static json_t *waiter_json(const pawl_waiter_info *waiter)
{
    json_t *object = json_object();
    serve_set_who(object, waiter->owner);
    json_object_set_new(object, "mode", json_string(cli_mode_word(waiter->mode)));
    json_object_set_new(object, "units", json_integer((json_int_t)waiter->units));
    json_object_set_new(object, "age_ms", json_integer(waiter->age_ms));
    json_object_set_new(object, "place_ms", json_integer(waiter->place_ms));
    return object;
}

static void set_lists(json_t *object, const pawl_info *info)
{
    json_t *holders = json_array(), *waiters = json_array();
    for (size_t i = 0; i < info->holders_shown && i < SERVE_ROWS_MAX; i++)
        json_array_append_new(holders, holder_json(&info->holders[i]));
    for (size_t i = 0; i < info->waiters_shown && i < SERVE_ROWS_MAX; i++)
        json_array_append_new(waiters, waiter_json(&info->waiters[i]));
    json_object_set_new(object, "holders", holders);
    json_object_set_new(object, "waiters", waiters);
}

json_t *serve_detail_json(const pawl_info *info)
{
    json_t *object = json_object();
    int64_t since_s = cli_holder_since_s(info);
    cli_json_set_bytes(object, "key", info->name, info->name_len);
    json_object_set_new(object, "held", json_boolean(info->held));
    json_object_set_new(object, "foreign", json_boolean(info->held && info->foreign));
    json_object_set_new(object, "fence", serve_fence_json(info->fence));
    json_object_set_new(object, "remaining_ms",
                        info->held ? json_integer(info->remaining_ms) : json_null());
    json_object_set_new(object, "since_s", serve_number_json(since_s));
    if (info->held) serve_set_who(object, info->owner);
    json_object_set_new(object, "capacity", json_integer((json_int_t)info->capacity));
    json_object_set_new(object, "holder_count",
                        json_integer(info->held ? (json_int_t)info->holder_count : 0));
    json_object_set_new(object, "waiting", json_integer((json_int_t)info->waiter_count));
    if (info->broken_by) {
        cli_json_set_bytes(object, "broken_by", info->broken_by, strlen(info->broken_by));
        json_object_set_new(object, "broken_ms", json_integer(info->broken_ms));
        json_object_set_new(object, "broken_fence", serve_fence_json(info->broken_fence));
    }
    set_lists(object, info);
    return object;
}
