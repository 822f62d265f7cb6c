/* SPDX-License-Identifier: MIT */
#include "sql_reply.h"

#include "../../base/capacity.h"
#include "../../base/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Bytes, which travel as hex digits ----------------------------------------------------- */

bool pawl__sql_parse_hex(const char *text, char *ret_bytes, size_t room, size_t *ret_len)
{
    size_t digits = strspn(text, "0123456789abcdef");
    *ret_len = 0;
    ret_bytes[0] = '\0';
    if (text[digits] || digits % 2 || digits / 2 >= room) return false;
    pawl__hex_pack(text, (uint8_t *)ret_bytes, digits / 2);
    ret_bytes[digits / 2] = '\0';
    *ret_len = digits / 2;
    return true;
}

/* ---- Replies ------------------------------------------------------------------------------- */

/* "0,3,4" or "-". False: it is neither. */
static bool parse_slots(const char *text, uint16_t slots[PAWL_CAPACITY_MAX], size_t *ret_count)
{
    *ret_count = 0;
    if (strcmp(text, "-") == 0) return true;
    for (const char *at = text;; at++) {
        char *end;
        long slot = strtol(at, &end, 10);
        if (end == at || slot < 0 || slot >= PAWL_CAPACITY_MAX) return false;
        if (*ret_count == PAWL_CAPACITY_MAX) return false;
        slots[(*ret_count)++] = (uint16_t)slot;
        at = end;
        if (*at == '\0') return true;
        if (*at != ',') return false;
    }
}

/* "-" are no bytes. */
static bool parse_bytes(const char *hex, char *ret_bytes, size_t room, size_t *ret_len)
{
    return pawl__sql_parse_hex(strcmp(hex, "-") == 0 ? "" : hex, ret_bytes, room, ret_len);
}

static bool decode_value(const char *text, pawl__sql_value *room)
{
    char owner[2 * PAWL_OWNER_MAX + 2];
    pawl_value *value = &room->value;
    size_t owner_len;
    int end = 0;
    *value = (pawl_value){.bytes = room->bytes, .owner = room->owner};
    int count = sscanf(text, "%*s %" SCNu64 " %" SCNd64 " %" SCNd64 " %511s %n", &value->fence,
                       &value->at_us, &value->now_us, owner, &end);
    return count == 4 && text[end] &&
           parse_bytes(owner, room->owner, sizeof room->owner, &owner_len) &&
           parse_bytes(text + end, room->bytes, sizeof room->bytes, &value->len);
}

static bool decode_held(const char *text, pawl__sql_words *w, pawl_reply *reply)
{
    int waiting;
    if (sscanf(text, "%*s %" SCNu64 " %d %5120s", &reply->fence, &waiting, w->slots_text) != 3)
        return false;
    if (!parse_slots(w->slots_text, w->slots, &reply->slot_count)) return false;
    reply->waiting = waiting != 0;
    reply->slots = reply->slot_count ? w->slots : NULL;
    return true;
}

/* Hex of a label, from the second word on; NULL: there is none. False: it is none. */
static bool decode_label(const char *text, pawl__sql_words *w, const char **ret_label)
{
    char hex[2 * PAWL_OWNER_MAX + 1] = "";
    size_t len;
    (void)sscanf(text, "%*s %510s", hex);
    if (!pawl__sql_parse_hex(hex, w->owner, sizeof w->owner, &len)) return false;
    *ret_label = len ? w->owner : NULL;
    return true;
}

static bool decode_busy(const char *text, pawl__sql_words *w, pawl_reply *reply)
{
    if (sscanf(text, "%*s %" SCNd64, &reply->holder_ms) != 1) return false;
    return decode_label(text + strcspn(text, " ") + 1, w, &reply->message);
}

/* What a procedure's reply says; see schema.sql. False: it says nothing that pawl knows. */
bool pawl__sql_decode(const char *text, pawl__sql_words *w, pawl_reply *reply)
{
    int err;
    uint32_t has, wanted; /* capacities */
    static const struct {
        const char *kind;
        pawl_outcome outcome;
    } kinds[] = {
        {"granted", PAWL_GRANTED},     {"confirmed", PAWL_CONFIRMED}, {"queued", PAWL_QUEUED},
        {"busy", PAWL_BUSY},           {"released", PAWL_RELEASED},   {"left", PAWL_LEFT},
        {"not_owner", PAWL_NOT_OWNER}, {"failed", PAWL_FAILED},       {"value", PAWL_REPORTED}};
    size_t i = 0, count = sizeof kinds / sizeof kinds[0];
    if (sscanf(text, "%15s", w->kind) != 1) return false;
    while (i < count && strcmp(kinds[i].kind, w->kind) != 0) i++;
    if (i == count) return false;
    reply->outcome = kinds[i].outcome;
    switch (reply->outcome) {
    case PAWL_GRANTED:
    case PAWL_CONFIRMED:
        return decode_held(text, w, reply);
    case PAWL_QUEUED:
        return sscanf(text, "%*s %" SCNd64 " %" SCNd64 " %" SCNu64, &reply->position,
                      &reply->holder_ms, &reply->fence) == 3;
    case PAWL_BUSY:
        return decode_busy(text, w, reply);
    case PAWL_NOT_OWNER:
        return decode_label(text, w, &reply->message);
    case PAWL_FAILED:
        if (sscanf(text, "%*s %d", &err) != 1 || err <= 0) return false;
        reply->err = (pawl_err)-err;
        if (sscanf(text, "%*s %*d %" SCNu32 " %" SCNu32, &has, &wanted) == 2)
            reply->message = pawl__capacity_message(has, wanted, w->owner);
        return true;
    case PAWL_REPORTED:
        reply->value = &w->value.value;
        return decode_value(text, &w->value);
    default:
        return true;
    }
}

/* ---- Pushes -------------------------------------------------------------------------------- */

void pawl__sql_hear(pawl_host *host, const char *text)
{
    char kind, token[PAWL_TOKEN_LEN + 1], fence[24], waiting[8], name[PAWL_NAME_MAX + 1];
    char hex[2 * PAWL_NAME_MAX + 1], slots_text[PAWL_CAPACITY_MAX * 5 + 1];
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl_push push = {.name = name, .slots = slots};
    if (sscanf(text, "%c %23s %7s %5120s %40s %1024s", &kind, fence, waiting, slots_text, token,
               hex) != 6 ||
        !pawl__sql_parse_hex(hex, name, sizeof name, &push.name_len) || push.name_len == 0 ||
        !parse_slots(slots_text, slots, &push.slot_count))
        return;
    if (kind == 'g')
        push.kind = PAWL_PUSH_GRANT;
    else if (kind == 'y')
        push.kind = PAWL_PUSH_YIELD;
    else if (kind == 'r')
        push.kind = PAWL_PUSH_RECHECK;
    else if (kind == 'n')
        push.kind = PAWL_PUSH_NEWS;
    else
        return;
    bool has_token = kind == 'g' || kind == 'y';
    if (has_token && strlen(token) != PAWL_TOKEN_LEN) return;
    if (push.slot_count == 0) push.slots = NULL;
    push.token = has_token ? token : NULL;
    push.fence = strtoull(fence, NULL, 10);
    push.waiting = strcmp(waiting, "1") == 0;
    host->push(host, &push);
}
