/* SPDX-License-Identifier: MIT */
/* Bodies, keys, values and the parts of answers. */
#define _GNU_SOURCE
#include "etcd_json.h"

#include "../../base/capacity.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_FIRST 1024

/* ---- Keys ---------------------------------------------------------------------------------- */

static void put(pawl__etcd_bytes *to, const char *bytes, size_t len)
{
    memcpy(to->at + to->len, bytes, len);
    to->len += len;
}

void pawl__etcd_key_of_names(pawl__etcd_bytes *ret_key, const char *prefix, const char *start,
                             size_t start_len)
{
    ret_key->len = 0;
    put(ret_key, prefix, strlen(prefix));
    put(ret_key, "l/", 2);
    put(ret_key, start, start_len);
}

/* A name has no NUL, so the keys of two names never lie in each other's range. */
void pawl__etcd_key_of_name(pawl__etcd_bytes *ret_key, const char *prefix, const char *name,
                            size_t name_len)
{
    pawl__etcd_key_of_names(ret_key, prefix, name, name_len);
    put(ret_key, "", 1);
}

void pawl__etcd_key_of_value(pawl__etcd_bytes *ret_key, const char *prefix, const char *name,
                             size_t name_len)
{
    ret_key->len = 0;
    put(ret_key, prefix, strlen(prefix));
    put(ret_key, "v/", 2);
    put(ret_key, name, name_len);
}

void pawl__etcd_key_make(pawl__etcd_bytes *ret_key, const pawl__etcd_bytes *start, pawl_mode mode,
                         const char *token)
{
    const char letter = mode == PAWL_MODE_PERMIT   ? PAWL__ETCD_PERMIT
                        : mode == PAWL_MODE_SHARED ? PAWL__ETCD_SHARED
                                                   : PAWL__ETCD_EXCLUSIVE;
    *ret_key = *start;
    put(ret_key, &letter, 1);
    put(ret_key, token, strlen(token));
}

pawl_mode pawl__etcd_key_mode(const pawl__etcd_bytes *key)
{
    char letter = key->len > PAWL_TOKEN_LEN ? key->at[key->len - PAWL_TOKEN_LEN - 1] : '\0';
    return letter == PAWL__ETCD_PERMIT   ? PAWL_MODE_PERMIT
           : letter == PAWL__ETCD_SHARED ? PAWL_MODE_SHARED
                                         : PAWL_MODE_EXCLUSIVE;
}

void pawl__etcd_key_behind(pawl__etcd_bytes *ret_end, const pawl__etcd_bytes *start)
{
    *ret_end = *start;
    while (ret_end->len > 0 && (unsigned char)ret_end->at[ret_end->len - 1] == 0xff) ret_end->len--;
    if (ret_end->len > 0)
        ret_end->at[ret_end->len - 1]++;
    else
        put(ret_end, "", 1); /* a NUL alone: up to the last key */
}

bool pawl__etcd_same_bytes(const pawl__etcd_bytes *a, const pawl__etcd_bytes *b)
{
    return a->len == b->len && memcmp(a->at, b->at, a->len) == 0;
}

/* ---- Texts --------------------------------------------------------------------------------- */

static bool make_room(pawl__etcd_text *text, size_t more)
{
    size_t room = text->room ? text->room : BODY_FIRST;
    if (text->failed) return false;
    while (room - text->used <= more) room *= 2;
    if (room == text->room) return true;
    char *at = realloc(text->at, room);
    text->failed = !at;
    if (!at) return false;
    text->at = at;
    text->room = room;
    return true;
}

void pawl__etcd_text_done(pawl__etcd_text *text)
{
    free(text->at);
    *text = (pawl__etcd_text){0};
}

void pawl__etcd_add(pawl__etcd_text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !make_room(text, (size_t)len)) return;
    va_start(args, format);
    vsnprintf(text->at + text->used, (size_t)len + 1, format, args);
    va_end(args);
    text->used += (size_t)len;
}

void pawl__etcd_add_base64(pawl__etcd_text *text, const char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = (const unsigned char *)bytes;
    if (!make_room(text, (len + 2) / 3 * 4)) return;
    char *out = text->at + text->used;
    for (size_t i = 0; i < len; i += 3) {
        unsigned second = i + 1 < len ? in[i + 1] : 0, third = i + 2 < len ? in[i + 2] : 0;
        unsigned three = (unsigned)in[i] << 16 | second << 8 | third;
        *out++ = digits[three >> 18];
        *out++ = digits[three >> 12 & 63];
        *out++ = i + 1 < len ? digits[three >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[three & 63] : '=';
    }
    *out = '\0';
    text->used = (size_t)(out - text->at);
}

static void add_bytes(pawl__etcd_text *text, const char *name, const pawl__etcd_bytes *bytes)
{
    pawl__etcd_add(text, "\"%s\":\"", name);
    pawl__etcd_add_base64(text, bytes->at, bytes->len);
    pawl__etcd_add(text, "\"");
}

void pawl__etcd_add_range(pawl__etcd_text *text, const pawl__etcd_range *range, bool comma)
{
    pawl__etcd_add(text, "%s{\"request_range\":{", comma ? "," : "");
    add_bytes(text, "key", range->key);
    if (range->end) {
        pawl__etcd_add(text, ",");
        add_bytes(text, "range_end", range->end);
        pawl__etcd_add(text, ",\"sort_target\":\"CREATE\",\"sort_order\":\"%s\"",
                       range->newest_first ? "DESCEND" : "ASCEND");
    }
    if (range->limit) pawl__etcd_add(text, ",\"limit\":\"%" PRId64 "\"", range->limit);
    if (range->before)
        pawl__etcd_add(text, ",\"max_create_revision\":\"%" PRId64 "\"", range->before - 1);
    if (range->at)
        pawl__etcd_add(text,
                       ",\"min_create_revision\":\"%" PRId64 "\",\"max_create_revision\":\"%" PRId64
                       "\"",
                       range->at, range->at);
    if (range->keys_only) pawl__etcd_add(text, ",\"keys_only\":true");
    pawl__etcd_add(text, "}}");
}

void pawl__etcd_add_put(pawl__etcd_text *text, const pawl__etcd_bytes *key, const char *value,
                        size_t value_len, int64_t lease, bool comma)
{
    pawl__etcd_add(text, "%s{\"request_put\":{", comma ? "," : "");
    add_bytes(text, "key", key);
    pawl__etcd_add(text, ",\"value\":\"");
    pawl__etcd_add_base64(text, value, value_len);
    pawl__etcd_add(text, "\",\"lease\":\"%" PRId64 "\"}}", lease);
}

void pawl__etcd_add_delete(pawl__etcd_text *text, const pawl__etcd_bytes *key, bool comma)
{
    pawl__etcd_add(text, "%s{\"request_delete_range\":{", comma ? "," : "");
    add_bytes(text, "key", key);
    pawl__etcd_add(text, "}}");
}

void pawl__etcd_add_compare(pawl__etcd_text *text, const pawl__etcd_bytes *key,
                            const pawl__etcd_bytes *end, const char *how, int64_t revision)
{
    pawl__etcd_add(text, "{\"target\":\"CREATE\",\"result\":\"%s\",", how);
    add_bytes(text, "key", key);
    if (end) {
        pawl__etcd_add(text, ",");
        add_bytes(text, "range_end", end);
    }
    pawl__etcd_add(text, ",\"create_revision\":\"%" PRId64 "\"}", revision);
}

void pawl__etcd_add_put_again(pawl__etcd_text *text, const pawl__etcd_bytes *key, int64_t lease)
{
    pawl__etcd_add(text, ",{\"request_put\":{");
    add_bytes(text, "key", key);
    pawl__etcd_add(text, ",\"ignore_value\":true,\"lease\":\"%" PRId64 "\"}}", lease);
}

void pawl__etcd_add_leased(pawl__etcd_text *text, const pawl__etcd_bytes *key, int64_t lease)
{
    pawl__etcd_add(text, ",{\"target\":\"LEASE\",\"result\":\"EQUAL\",");
    add_bytes(text, "key", key);
    pawl__etcd_add(text, ",\"lease\":\"%" PRId64 "\"}", lease);
}

void pawl__etcd_add_unchanged(pawl__etcd_text *text, const pawl__etcd_bytes *key, int64_t revision)
{
    pawl__etcd_add(text, "{\"target\":\"MOD\",\"result\":\"EQUAL\",");
    add_bytes(text, "key", key);
    pawl__etcd_add(text, ",\"mod_revision\":\"%" PRId64 "\"}", revision);
}

void pawl__etcd_add_no_news(pawl__etcd_text *text, const pawl__etcd_bytes *start,
                            const pawl__etcd_bytes *end, int64_t revision)
{
    pawl__etcd_add(text, "{\"target\":\"MOD\",\"result\":\"LESS\",");
    add_bytes(text, "key", start);
    pawl__etcd_add(text, ",");
    add_bytes(text, "range_end", end);
    pawl__etcd_add(text, ",\"mod_revision\":\"%" PRId64 "\"}", revision + 1);
}

/* ---- Base64 -------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool pawl__etcd_from_base64(const char *text, char *ret_bytes, size_t room, size_t *ret_len)
{
    size_t len = strlen(text), used = 0;
    if (len % 4) return false;
    while (len > 0 && text[len - 1] == '=' && len % 4 != 2) len--;
    unsigned bits = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = digit_of(text[i]);
        if (digit < 0) return false;
        bits = bits << 6 | (unsigned)digit;
        if (i % 4 == 0) continue;
        if (used == room) return false;
        ret_bytes[used++] = (char)(bits >> (6 - i % 4 * 2) & 255);
    }
    *ret_len = used;
    return len % 4 != 1;
}

/* ---- Answers ------------------------------------------------------------------------------- */

bool pawl__etcd_number(json_t *object, const char *name, int64_t *ret_number)
{
    json_t *number = json_object_get(object, name);
    *ret_number = 0;
    if (!number) return true;
    if (json_is_integer(number)) {
        *ret_number = json_integer_value(number);
        return true;
    }
    const char *text = json_string_value(number);
    if (!text || !*text || strlen(text) > 20) return false;
    char *end;
    *ret_number = strtoll(text, &end, 10);
    return *end == '\0' && end != text;
}

int64_t pawl__etcd_revision(json_t *answer)
{
    int64_t revision;
    if (!pawl__etcd_number(json_object_get(answer, "header"), "revision", &revision)) return 0;
    return revision;
}

bool pawl__etcd_succeeded(json_t *answer)
{
    return json_is_true(json_object_get(answer, "succeeded"));
}

json_t *pawl__etcd_inner(json_t *answer)
{
    json_t *first = json_array_get(json_object_get(answer, "responses"), 0);
    json_t *inner = json_object_get(first, "response_txn");
    json_t *header = json_object_get(answer, "header");
    return inner && json_object_set(inner, "header", header) == 0 ? inner : NULL;
}

json_t *pawl__etcd_kvs(json_t *answer, size_t n, int64_t *ret_count)
{
    json_t *response = json_array_get(json_object_get(answer, "responses"), n);
    json_t *range = json_object_get(response, "response_range");
    *ret_count = 0;
    if (!range || !pawl__etcd_number(range, "count", ret_count)) return NULL;
    return json_object_get(range, "kvs");
}

/* ---- Entries ------------------------------------------------------------------------------- */

static const char hex[] = "0123456789abcdef";

/* As many digits as the capacity needs; "-": it does not hold yet. */
static void write_slots(char *out, const pawl__etcd_entry *entry)
{
    size_t bytes = entry->has_slots ? (entry->capacity + 7) / 8 : 0;
    for (size_t i = 0; i < bytes; i++) {
        *out++ = hex[entry->slots.bits[i] >> 4];
        *out++ = hex[entry->slots.bits[i] & 15];
    }
    if (!bytes) *out++ = '-';
    *out = '\0';
}

size_t pawl__etcd_value_write(char ret_value[PAWL__ETCD_VALUE_MAX], const pawl__etcd_entry *entry)
{
    char permits[2 * PAWL__ETCD_SLOT_ROOM + 32] = "";
    if (entry->mode == PAWL_MODE_PERMIT) {
        int len = snprintf(permits, sizeof permits, " %" PRIu32 " %" PRIu32 " ", entry->units,
                           entry->capacity);
        write_slots(permits + len, entry);
    }
    char published[32] = "";
    if (entry->published) snprintf(published, sizeof published, " p%" PRIu64, entry->published);
    int len =
        snprintf(ret_value, PAWL__ETCD_VALUE_MAX, "pawl1 %" PRId64 " %" PRId64 "%s%s\n%.*s",
                 entry->lease_s, entry->since_us, permits, published, PAWL_OWNER_MAX, entry->owner);
    return len < 0 ? 0 : (size_t)len;
}

static bool read_bytes(json_t *object, const char *name, char *ret_bytes, size_t room,
                       size_t *ret_len)
{
    json_t *text = json_object_get(object, name);
    *ret_len = 0;
    if (!text) return true;
    return json_is_string(text) &&
           pawl__etcd_from_base64(json_string_value(text), ret_bytes, room, ret_len);
}

/* PREFIX l/ NAME NUL MODE TOKEN; else it is not pawl's. */
static void split_key(const char *prefix, pawl__etcd_entry *entry)
{
    const pawl__etcd_bytes *key = &entry->key;
    size_t before = strlen(prefix) + 2, behind = 2 + PAWL_TOKEN_LEN;
    if (key->len <= before + behind) return;
    const char *name = key->at + before;
    const char *token = key->at + key->len - PAWL_TOKEN_LEN;
    size_t name_len = key->len - before - behind;
    if (name_len > PAWL_NAME_MAX || name[name_len] != '\0') return;
    if (token[-1] < PAWL__ETCD_PERMIT || token[-1] > PAWL__ETCD_EXCLUSIVE) return;
    if (memchr(name, '\0', name_len) || memchr(token, '\0', PAWL_TOKEN_LEN)) return;
    memcpy(entry->name, name, name_len);
    entry->name_len = name_len;
    memcpy(entry->token, token, PAWL_TOKEN_LEN);
}

/* Returns what is behind them; NULL: they make no sense. */
static const char *read_slots(const char *text, pawl__etcd_entry *entry)
{
    uint32_t count = 0;
    if (*text == '-') return text + 1;
    for (size_t i = 0; i < 2 * ((entry->capacity + 7) / 8); i++, text++) {
        const char *digit = *text ? strchr(hex, *text) : NULL;
        if (!digit) return NULL;
        entry->slots.bits[i / 2] |= (unsigned char)((digit - hex) << (i % 2 ? 0 : 4));
    }
    for (uint32_t i = 0; i < 8 * PAWL__ETCD_SLOT_ROOM; i++) {
        if (!pawl__etcd_slot(&entry->slots, i)) continue;
        if (i >= entry->capacity) return NULL;
        count++;
    }
    entry->has_slots = count == entry->units;
    return entry->has_slots ? text : NULL;
}

/* Of permits: how many of how many, and which. False: it makes no sense. */
static bool split_permits(const char **text, pawl__etcd_entry *entry)
{
    int at = 0;
    if (sscanf(*text, " %" SCNu32 " %" SCNu32 " %n", &entry->units, &entry->capacity, &at) < 2 ||
        !at || !pawl__permits_fit(entry->units, entry->capacity))
        return false;
    *text = read_slots(*text + at, entry);
    return *text != NULL;
}

/* A permit whose value makes no sense is taken for somebody else's key. */
static void split_value(const char *value, pawl__etcd_entry *entry)
{
    int at = 0;
    bool good = sscanf(value, "pawl1 %" SCNd64 " %" SCNd64 "%n", &entry->lease_s, &entry->since_us,
                       &at) >= 2;
    const char *rest = value + at;
    if (entry->mode == PAWL_MODE_PERMIT && !(good && split_permits(&rest, entry))) {
        entry->units = entry->capacity = 0;
        entry->has_slots = false;
        entry->slots = (pawl__etcd_slots){0};
        entry->mode = PAWL_MODE_EXCLUSIVE;
        entry->token[0] = '\0';
        return;
    }
    if (good && sscanf(rest, " p%" SCNu64 "%n", &entry->published, &at) >= 1) rest += at;
    if (good && *rest == '\n') snprintf(entry->owner, sizeof entry->owner, "%s", rest + 1);
}

bool pawl__etcd_entry_read(json_t *kv, const char *prefix, pawl__etcd_entry *ret_entry)
{
    char value[PAWL__ETCD_VALUE_MAX + 1];
    size_t value_len;
    memset(ret_entry, 0, sizeof *ret_entry);
    json_t *text = json_object_get(kv, "value");
    if (!read_bytes(kv, "key", ret_entry->key.at, sizeof ret_entry->key.at, &ret_entry->key.len))
        return false;
    if (!pawl__etcd_number(kv, "create_revision", &ret_entry->created) ||
        !pawl__etcd_number(kv, "mod_revision", &ret_entry->changed) ||
        !pawl__etcd_number(kv, "lease", &ret_entry->lease))
        return false;
    if (ret_entry->created <= 0 || ret_entry->key.len == 0) return false;
    split_key(prefix, ret_entry);
    ret_entry->mode = pawl__etcd_key_mode(&ret_entry->key);
    if (!ret_entry->token[0]) ret_entry->mode = PAWL_MODE_EXCLUSIVE;
    /* A value that is longer than ours is not ours. */
    if (!text || !read_bytes(kv, "value", value, sizeof value - 1, &value_len))
        return !text || json_is_string(text);
    value[value_len] = '\0';
    split_value(value, ret_entry);
    return true;
}

bool pawl__etcd_event_read(json_t *event, pawl__etcd_event *ret_event)
{
    json_t *kv = json_object_get(event, "kv");
    const char *type = json_string_value(json_object_get(event, "type"));
    int64_t created, changed;
    if (!json_is_object(kv) ||
        !read_bytes(kv, "key", ret_event->key.at, sizeof ret_event->key.at, &ret_event->key.len))
        return false;
    if (!pawl__etcd_number(kv, "create_revision", &created) ||
        !pawl__etcd_number(kv, "mod_revision", &changed))
        return false;
    ret_event->gone = type && strcmp(type, "DELETE") == 0;
    ret_event->fresh = !ret_event->gone && created == changed;
    return true;
}

/* ---- What an answer means ------------------------------------------------------------------ */

enum { /* gRPC's */
       CODE_INVALID_ARGUMENT = 3,
       CODE_NOT_FOUND = 5,
       CODE_PERMISSION_DENIED = 7,
       CODE_RESOURCE_EXHAUSTED = 8,
       CODE_FAILED_PRECONDITION = 9,
       CODE_UNIMPLEMENTED = 12,
       CODE_UNAVAILABLE = 14,
       CODE_UNAUTHENTICATED = 16
};

/* The errors that etcd finds before it proposes anything, by their texts. All others may have come
 * after that. */
static bool is_before_any_change(const char *text)
{
    static const char *const texts[] = {"no leader",       "too many requests",
                                        "not capable",     "database space exceeded",
                                        "corrupt cluster", "learner"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strstr(text, texts[i])) return true;
    return false;
}

static void refused(pawl__etcd_answer *answer, pawl_err err)
{
    answer->fate = PAWL__ETCD_REFUSED;
    answer->err = err;
}

static void read_error(int64_t code, const char *text, pawl__etcd_answer *answer)
{
    bool before = is_before_any_change(text);
    switch (code) {
    case CODE_NOT_FOUND:
        answer->no_lease = strstr(text, "lease not found") != NULL;
        refused(answer, PAWL_ERR_PROTOCOL);
        return;
    case CODE_UNAUTHENTICATED:
        answer->login_is_over = true;
        refused(answer, PAWL_ERR_AUTH);
        return;
    case CODE_PERMISSION_DENIED:
        refused(answer, PAWL_ERR_PERMISSION);
        return;
    case CODE_INVALID_ARGUMENT:
    case CODE_FAILED_PRECONDITION:
        answer->login_is_over = strstr(text, "auth store is old") != NULL;
        refused(answer, strstr(text, "auth") || strstr(text, "user name") ? PAWL_ERR_AUTH
                                                                          : PAWL_ERR_PROTOCOL);
        return;
    case CODE_RESOURCE_EXHAUSTED:
        if (!before) break;
        refused(answer, strstr(text, "space") ? PAWL_ERR_STORE_FULL : PAWL_ERR_STORE_BUSY);
        return;
    case CODE_UNIMPLEMENTED:
        refused(answer, PAWL_ERR_UNSUPPORTED);
        return;
    case CODE_UNAVAILABLE:
        answer->leaderless = true;
        break;
    default:
        break;
    }
    if (before)
        refused(answer, PAWL_ERR_UNAVAILABLE);
    else
        answer->fate = PAWL__ETCD_UNKNOWN, answer->err = PAWL_ERR_UNAVAILABLE;
}

/* {"error":text,"code":n} of 3.4 and 3.5, {"code":n,"message":text} of 3.6; a stream's error is an
 * object of its own. */
static bool find_error(json_t *root, pawl__etcd_answer *answer)
{
    json_t *error = json_object_get(root, "error"), *in = json_is_object(error) ? error : root;
    const char *text = json_string_value(json_object_get(in, "message"));
    int64_t code = 0;
    if (!text) text = json_string_value(error);
    if (!pawl__etcd_number(in, "code", &code)) code = 0;
    if (!code && !pawl__etcd_number(in, "grpc_code", &code)) code = 0;
    if (!text || !code) return false;
    snprintf(answer->message, sizeof answer->message, "%.200s", text);
    read_error(code, text, answer);
    return true;
}

static void is_odd(pawl__etcd_answer *answer, long status)
{
    answer->fate = PAWL__ETCD_UNKNOWN;
    answer->err =
        status == 503 || status == 502 || status == 504 ? PAWL_ERR_UNAVAILABLE : PAWL_ERR_PROTOCOL;
    answer->leaderless = answer->err == PAWL_ERR_UNAVAILABLE;
    answer->is_odd = !answer->leaderless;
    snprintf(answer->message, sizeof answer->message,
             "the server answered with status %ld and something that is not etcd's JSON", status);
}

void pawl__etcd_answer_read(long status, const char *text, size_t len,
                            pawl__etcd_answer *ret_answer)
{
    json_error_t error;
    *ret_answer = (pawl__etcd_answer){.fate = PAWL__ETCD_DONE};
    json_t *root =
        json_loadb(text ? text : "", len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    bool is_error = json_is_object(root) && find_error(root, ret_answer);
    if (!is_error && status == 200 && json_is_object(root)) {
        ret_answer->root = root;
        return;
    }
    bool no_memory = !root && json_error_code(&error) == json_error_out_of_memory;
    json_decref(root);
    if (!is_error) is_odd(ret_answer, no_memory ? 503 : status);
}

/* ---- Versions ------------------------------------------------------------------------------ */

bool pawl__etcd_version_read(const char *version, int ret_numbers[3])
{
    return sscanf(version, "%d.%d.%d", &ret_numbers[0], &ret_numbers[1], &ret_numbers[2]) == 3;
}

bool pawl__etcd_has_lease_bugs(const char *version)
{
    int n[3];
    if (!pawl__etcd_version_read(version, n) || n[0] != 3) return false;
    return n[1] < 4 || (n[1] == 4 && n[2] < 38) || (n[1] == 5 && n[2] < 23) ||
           (n[1] == 6 && n[2] < 5);
}
