/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "holder.h"
#include "message.h"
#include "utf8.h"

void cli_json_set_bytes(json_t *object, const char *key, const char *bytes, size_t len)
{
    if (cli_utf8_valid(bytes, len)) {
        json_object_set_new(object, key, json_stringn(bytes, len));
        return;
    }
    char *escaped = cli_escape(bytes, len);
    json_object_set_new(object, key, json_string(escaped));
    free(escaped);

    char name[64], hex[2 * PAWL_NAME_MAX + 1];
    if (len > PAWL_NAME_MAX) return;
    for (size_t i = 0; i < len; i++) snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    snprintf(name, sizeof name, "%s_hex", key);
    json_object_set_new(object, name, json_stringn(hex, 2 * len));
}

static void set_trace(json_t *object, const char *label)
{
    cli_holder holder;
    if (!cli_holder_parse(label, &holder) || !holder.trace) return;
    json_object_set_new(object, "trace_id", json_string(holder.trace));
}

/* Null where the label or the fence does not tell. */
static void set_holder(json_t *object, const pawl_info *info)
{
    cli_holder holder;
    char since[CLI_UTC_TEXT];
    bool known = cli_holder_since(info, since);
    json_object_set_new(object, "since", known ? json_string(since) : json_null());
    if (!cli_holder_parse(info->owner, &holder)) {
        json_object_set_new(object, "host", json_null());
        json_object_set_new(object, "pid", json_null());
        return;
    }
    cli_json_set_bytes(object, "user", holder.user, holder.user_len);
    cli_json_set_bytes(object, "host", holder.host, holder.host_len);
    json_object_set_new(object, "pid", json_integer(holder.pid));
    cli_json_set_bytes(object, "program", holder.program, holder.program_len);
    set_trace(object, info->owner);
}

static json_t *json_of_span(int64_t ms)
{
    return ms < 0 ? json_null() : json_integer(ms);
}

static void set_mode(json_t *object, pawl_mode mode, uint32_t units)
{
    json_object_set_new(object, "mode", json_string(cli_mode_word(mode)));
    if (units) json_object_set_new(object, "units", json_integer((json_int_t)units));
}

static json_t *json_of_holders(const pawl_info *info)
{
    json_t *holders = json_array();
    for (size_t i = 0; i < info->holders_shown; i++) {
        json_t *holder = json_object();
        const pawl_holder_info *h = &info->holders[i];
        cli_json_set_bytes(holder, "owner", h->owner, strlen(h->owner));
        set_trace(holder, h->owner);
        json_object_set_new(holder, "remaining_ms", json_of_span(h->remaining_ms));
        json_object_set_new(holder, "fence", json_integer((json_int_t)h->fence));
        set_mode(holder, h->mode, h->units);
        json_array_append_new(holders, holder);
    }
    return holders;
}

json_t *cli_json_of_info(const pawl_info *info)
{
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", info->name, info->name_len);
    json_object_set_new(object, "held", json_boolean(info->held));
    if (info->held) {
        cli_json_set_bytes(object, "owner", info->owner, strlen(info->owner));
        set_holder(object, info);
        json_object_set_new(object, "foreign", json_boolean(info->foreign));
        json_object_set_new(object, "remaining_ms", json_of_span(info->remaining_ms));
        set_mode(object, info->mode, 0);
        if (info->capacity)
            json_object_set_new(object, "slots", json_integer((json_int_t)info->capacity));
        json_object_set_new(object, "holder_count", json_integer((json_int_t)info->holder_count));
        json_object_set_new(object, "holders", json_of_holders(info));
    }
    json_object_set_new(object, "fence", json_integer((json_int_t)info->fence));
    if (info->broken_by) {
        cli_json_set_bytes(object, "broken_by", info->broken_by, strlen(info->broken_by));
        json_object_set_new(object, "broken_ms", json_integer(info->broken_ms));
        json_object_set_new(object, "broken_fence", json_integer((json_int_t)info->broken_fence));
    }
    json_object_set_new(object, "waiting", json_integer((json_int_t)info->waiter_count));
    json_t *waiters = json_array();
    for (size_t i = 0; i < info->waiters_shown; i++) {
        json_t *waiter = json_object();
        const pawl_waiter_info *w = &info->waiters[i];
        cli_json_set_bytes(waiter, "owner", w->owner, strlen(w->owner));
        set_trace(waiter, w->owner);
        json_object_set_new(waiter, "age_ms", json_integer(w->age_ms));
        json_object_set_new(waiter, "place_ms", json_integer(w->place_ms));
        set_mode(waiter, w->mode, w->units);
        json_array_append_new(waiters, waiter);
    }
    json_object_set_new(object, "waiters", waiters);
    return object;
}

const char *cli_severity_word(pawl_severity severity)
{
    switch (severity) {
    case PAWL_SEVERITY_OK:
        return "ok";
    case PAWL_SEVERITY_NOTE:
        return "note";
    case PAWL_SEVERITY_WARNING:
        return "warning";
    case PAWL_SEVERITY_ERROR:
        return "error";
    }
    return "error";
}

json_t *cli_json_of_finding(const pawl_finding *finding)
{
    json_t *object = json_object();
    json_object_set_new(object, "severity", json_string(cli_severity_word(finding->severity)));
    cli_json_set_bytes(object, "topic", finding->topic, strlen(finding->topic));
    cli_json_set_bytes(object, "text", finding->text, strlen(finding->text));
    cli_json_set_bytes(object, "advice", finding->advice, strlen(finding->advice));
    return object;
}

void cli_json_print(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!text) {
        cli_error("out of memory");
        exit(CLI_EXIT_SYSTEM);
    }
    char *clean = cli_clean_json(text);
    cli_print("%s\n", clean);
    free(clean);
    free(text);
}
