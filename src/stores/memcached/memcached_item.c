/* SPDX-License-Identifier: MIT */
/* Keys and values, as memcached_store.h describes them. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MAX 128 /* of a value: its first line */
#define FENCE_MAX  (UINT64_C(1) << 53)

/* ---- Keys ---------------------------------------------------------------------------------- */

static bool stands_for_itself(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '%' && c != '#';
}

/* FNV-1a. If two names have the same hash, the name in the value tells which one it is. */
static uint64_t hash_of(const char *name, size_t len, uint64_t start)
{
    uint64_t hash = start;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool write_name(char *to, size_t room, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (room < 4) return false;
        int n = snprintf(to, room, stands_for_itself(c) ? "%c" : "%%%02X", c);
        to += n;
        room -= (size_t)n;
    }
    return true;
}

void pawl__memcached_key_make(pawl__memcached_key *ret_key, const char *prefix, const char *name,
                              size_t name_len)
{
    char *to = ret_key->text + snprintf(ret_key->text, sizeof ret_key->text, "%s", prefix);
    size_t room = (size_t)(ret_key->text + sizeof ret_key->text - to);
    if (write_name(to, room, name, name_len)) return;
    snprintf(to, room, "#%016" PRIx64 "%016" PRIx64,
             hash_of(name, name_len, UINT64_C(0xcbf29ce484222325)),
             hash_of(name, name_len, UINT64_C(0x9e3779b97f4a7c15)));
}

/* ---- Values -------------------------------------------------------------------------------- */

size_t pawl__memcached_item_write(char ret_text[PAWL__MEMCACHED_TEXT_MAX], uint64_t fence,
                                  const char *token, const char *name, size_t name_len,
                                  const char *owner)
{
    size_t owner_len = token ? strlen(owner) : 0;
    int used = snprintf(ret_text, HEADER_MAX, "pawl1 %c %" PRIu64 " %s %zu %zu\n",
                        token ? 'h' : 'f', fence, token ? token : "-", name_len, owner_len);
    memcpy(ret_text + used, name, name_len);
    memcpy(ret_text + (size_t)used + name_len, owner, owner_len);
    return (size_t)used + name_len + owner_len;
}

bool pawl__memcached_to_number(const char *text, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 19 || (text[digits] && text[digits] != ' ')) return false;
    for (size_t i = 0; i < digits; i++) number = number * 10 + (uint64_t)(text[i] - '0');
    *ret_number = number;
    return true;
}

typedef struct header {
    char state;
    uint64_t fence;
    char token[PAWL_TOKEN_LEN + 2]; /* one more than there may be */
    size_t name_len, owner_len, used;
} header;

/* The value's first line; false: it is not pawl's. */
static bool read_header(const char *value, size_t len, header *ret)
{
    char line[HEADER_MAX];
    int end = 0;
    const char *newline = memchr(value, '\n', len < sizeof line ? len : sizeof line - 1);
    if (!newline) return false;
    ret->used = (size_t)(newline - value) + 1;
    memcpy(line, value, ret->used - 1);
    line[ret->used - 1] = '\0';
    if (sscanf(line, "pawl1 %c %" SCNu64 " %41s %zu %zu%n", &ret->state, &ret->fence, ret->token,
               &ret->name_len, &ret->owner_len, &end) != 5 ||
        line[end])
        return false;
    return ret->fence < FENCE_MAX && ret->name_len <= PAWL_NAME_MAX &&
           ret->owner_len <= PAWL_OWNER_MAX && ret->used + ret->name_len + ret->owner_len == len;
}

static bool is_hex(const char *text)
{
    return strlen(text) == PAWL_TOKEN_LEN && strspn(text, "0123456789abcdef") == PAWL_TOKEN_LEN;
}

static pawl__memcached_state read_value(const char *value, size_t len, const char *name,
                                        size_t name_len, pawl__memcached_item *item)
{
    header h;
    if (!value || !read_header(value, len, &h)) return PAWL__MEMCACHED_FOREIGN;
    if (h.state == 'h' ? !is_hex(h.token) : h.state != 'f') return PAWL__MEMCACHED_FOREIGN;
    if (h.name_len != name_len || memcmp(value + h.used, name, name_len) != 0)
        return PAWL__MEMCACHED_OTHER;
    const char *owner = value + h.used + name_len;
    if (memchr(owner, '\0', h.owner_len)) return PAWL__MEMCACHED_FOREIGN;
    item->fence = h.fence;
    if (h.state == 'f') return PAWL__MEMCACHED_FREE;
    memcpy(item->token, h.token, sizeof item->token);
    memcpy(item->owner, owner, h.owner_len);
    item->owner[h.owner_len] = '\0';
    return PAWL__MEMCACHED_HELD;
}

bool pawl__memcached_item_read(const pawl__memcached_answer *answer, const char *name,
                               size_t name_len, pawl__memcached_item *ret_item)
{
    *ret_item = (pawl__memcached_item){.left_ms = -1};
    if (answer->code == PAWL__MEMCACHED_EN) return true;
    if (answer->code != PAWL__MEMCACHED_VA || !answer->has_ttl) return false;
    ret_item->cas = answer->cas;
    if (answer->ttl_s >= 0 && answer->ttl_s <= INT64_MAX / 1000)
        ret_item->left_ms = answer->ttl_s * 1000;
    ret_item->state = read_value(answer->value, answer->value_len, name, name_len, ret_item);
    return true;
}
