/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* asprintf */
#include "cache_json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pawl/types.h"
#include "text.h"

typedef enum field_id {
    FIELD_CONN,
    FIELD_DBNUM,
    FIELD_PASSWORD,
    FIELD_KEY,
    FIELD_SKIP_EMPTY_PREFIX,
    FIELD_CACHE_PATH,
    FIELD_IGNORED, /* tunes a cache (pools, sweeps, file names); no effect on a lock */
    FIELD_COUNT
} field_id;

struct pawl__cache_json {
    char *values[FIELD_COUNT]; /* NULL: not given */
    char *where;
};

static const struct field {
    const char *name;
    field_id id;
    bool numeric; /* a number is accepted, and a string of digits */
    const char *adapters;
} fields[] = {
    {"conn", FIELD_CONN, false, "redis memcache mysql postgresql ssdb leveldb"},
    {"dbNum", FIELD_DBNUM, true, "redis"},
    {"password", FIELD_PASSWORD, false, "redis"},
    {"key", FIELD_KEY, false, "redis"},
    {"skipEmptyPrefix", FIELD_SKIP_EMPTY_PREFIX, false, "redis"},
    {"maxIdle", FIELD_IGNORED, true, "redis"},
    {"timeout", FIELD_IGNORED, true, "redis"},
    {"CachePath", FIELD_CACHE_PATH, false, "file"},
    {"FileSuffix", FIELD_IGNORED, false, "file"},
    {"DirectoryLevel", FIELD_IGNORED, true, "file"},
    {"EmbedExpiry", FIELD_IGNORED, true, "file"},
    {"interval", FIELD_IGNORED, true, "memory"},
};
#define FIELDS (sizeof fields / sizeof *fields)

static int fail(char *message, const char *where, const char *name, const char *text)
{
    snprintf(message, PAWL_MESSAGE_MAX, "%.200s%s%.60s%s%.200s", where, where[0] ? ": " : "", name,
             name[0] ? ": " : "", text);
    pawl__text_mend(message);
    return PAWL_ERR_OPTION;
}

static bool belongs(const struct field *field, const char *adapter)
{
    return strstr(field->adapters, adapter) != NULL;
}

/* Which fields there are; NULL-terminated line for a message. */
static void list_fields(const char *adapter, char *ret_line, size_t size)
{
    size_t used = (size_t)snprintf(ret_line, size, "expected one of");
    for (size_t i = 0; i < FIELDS && used < size; i++)
        if (belongs(&fields[i], adapter))
            used += (size_t)snprintf(ret_line + used, size - used, " %s", fields[i].name);
}

static const struct field *find_field(const char *adapter, const char *name)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (belongs(&fields[i], adapter) && strcasecmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

/* The value as text. NULL: wrong type, or out of memory. */
static char *text_of(const struct field *field, const json_t *value)
{
    char *text = NULL;
    if (json_is_string(value)) return strdup(json_string_value(value));
    if (field->id == FIELD_SKIP_EMPTY_PREFIX && json_is_boolean(value))
        return strdup(json_is_true(value) ? "true" : "false");
    if (!field->numeric || !json_is_integer(value)) return NULL;
    if (asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) < 0) return NULL;
    return text;
}

static int take_field(pawl__cache_json *json, const char *adapter, const char *name,
                      const json_t *value, char *message)
{
    const struct field *field = find_field(adapter, name);
    if (!field) {
        char known[200];
        char unknown[80];
        snprintf(unknown, sizeof unknown, "no field \"%.50s\"", name);
        list_fields(adapter, known, sizeof known);
        return fail(message, json->where, unknown, known);
    }
    if (field->id == FIELD_IGNORED) return PAWL_OK;
    if (json->values[field->id]) return fail(message, json->where, name, "is given twice");
    char *text = text_of(field, value);
    if (!text)
        return fail(message, json->where, name,
                    field->numeric ? "expected a number or a string of digits"
                                   : "expected a string");
    if (field->id == FIELD_SKIP_EMPTY_PREFIX && strcmp(text, "true") != 0 &&
        strcmp(text, "false") != 0 && strcmp(text, "1") != 0 && strcmp(text, "0") != 0) {
        free(text);
        return fail(message, json->where, name, "expected \"true\" or \"false\"");
    }
    json->values[field->id] = text;
    return PAWL_OK;
}

static int take_fields(pawl__cache_json *json, const char *adapter, json_t *root, char *message)
{
    if (!json_is_object(root))
        return fail(message, json->where, "", "expected a JSON object {...}");
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        int err = take_field(json, adapter, name, value, message);
        if (err) return err;
    }
    return PAWL_OK;
}

static int read_text(pawl__cache_json *json, const char *adapter, const char *text, char *message)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root) {
        /* jansson's message would quote the text, which may contain a password */
        char line[160];
        snprintf(line, sizeof line,
                 "expected JSON such as {\"conn\":\"127.0.0.1:6379\"}, broken at character %d",
                 error.position);
        return fail(message, json->where, "", line);
    }
    int err = take_fields(json, adapter, root, message);
    json_decref(root);
    return err;
}

int pawl__cache_json_read(const char *adapter, const char *where, const char *text,
                          pawl__cache_json **ret_json, char *reterr_message)
{
    pawl__cache_json *json = calloc(1, sizeof *json);
    if (json) json->where = strdup(where);
    if (!json || !json->where) {
        pawl__cache_json_free(json);
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
        return PAWL_ERR_NO_MEMORY;
    }
    int err = read_text(json, adapter, text, reterr_message);
    if (err) {
        pawl__cache_json_free(json);
        return err;
    }
    *ret_json = json;
    return PAWL_OK;
}

void pawl__cache_json_settings(const pawl__cache_json *json, pawl__adapter_settings *settings)
{
    char *const *values = json->values;
    const char *skip = values[FIELD_SKIP_EMPTY_PREFIX];
    settings->conn = (pawl__setting){values[FIELD_CONN], json->where};
    settings->dbnum = (pawl__setting){values[FIELD_DBNUM], json->where};
    settings->password = (pawl__setting){values[FIELD_PASSWORD], json->where};
    settings->key = (pawl__setting){values[FIELD_KEY], json->where};
    settings->skip_empty_prefix = skip && (skip[0] == 't' || skip[0] == '1');
    settings->dir = values[FIELD_CACHE_PATH];
}

void pawl__cache_json_free(pawl__cache_json *json)
{
    if (!json) return;
    for (size_t i = 0; i < FIELD_COUNT; i++) free(json->values[i]);
    free(json->where);
    free(json);
}
