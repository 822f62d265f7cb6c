/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zookeeper_name.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS       10
#define BEFORE_TOKEN "_c_"
#define READER       "__READ__"
#define WRITER       "__WRIT__"
#define MUTEX        "lock-"
#define PERMIT       "permit-"
#define MAGIC        "pawl1 "

static const char hex[] = "0123456789ABCDEF";

/* ---- Names of locks ------------------------------------------------------------------------ */

/* ZooKeeper's paths are UTF-8 without control characters; a component is not "." or "..". What
 * begins like our own nodes is no lock's. */
static bool stays(const char *name, size_t len, size_t at)
{
    unsigned char c = (unsigned char)name[at];
    bool only_dots = len <= 2 && name[0] == '.' && name[len - 1] == '.';
    bool is_taken = at == 0 && strncmp(name, PAWL__ZK_OWN_NODES, strlen(PAWL__ZK_OWN_NODES)) == 0;
    return c > ' ' && c < 0x7f && c != '/' && c != '%' && !only_dots && !is_taken;
}

void pawl__zk_path_make(char *to, const char *prefix, const char *name, size_t name_len)
{
    size_t prefix_len = strlen(prefix);
    memcpy(to, prefix, prefix_len);
    to += prefix_len;
    *to++ = '/';
    for (size_t i = 0; i < name_len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (stays(name, name_len, i)) {
            *to++ = name[i];
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    *to = '\0';
}

void pawl__zk_value_path_make(char *to, const char *prefix, const char *name, size_t name_len)
{
    char folder[PAWL__ZK_FOLDER_MAX + 1];
    pawl__zk_values_folder(folder, prefix);
    pawl__zk_path_make(to, folder, name, name_len);
}

void pawl__zk_values_folder(char *to, const char *prefix)
{
    snprintf(to, PAWL__ZK_FOLDER_MAX + 1, "%s/" PAWL__ZK_OWN_NODES "values", prefix);
}

void pawl__zk_path_join(char *to, const char *parent, const char *child)
{
    snprintf(to, PAWL__ZK_FULL_MAX + 1, "%s/%s", parent, child);
}

static int digit(char c)
{
    const char *at = c ? strchr(hex, c) : NULL;
    return at ? (int)(at - hex) : -1;
}

bool pawl__zk_name_read(const char *child, char *ret_name, size_t *ret_len)
{
    size_t len = 0;
    if (strncmp(child, PAWL__ZK_OWN_NODES, strlen(PAWL__ZK_OWN_NODES)) == 0) return false;
    for (; *child; child++) {
        int high = 0, low = 0;
        if (len == PAWL_NAME_MAX) return false;
        if (*child != '%') {
            ret_name[len++] = *child;
            continue;
        }
        high = digit(child[1]);
        low = high < 0 ? -1 : digit(child[2]);
        if (low < 0 || (high == 0 && low == 0)) return false;
        ret_name[len++] = (char)(high << 4 | low);
        child += 2;
    }
    ret_name[len] = '\0';
    *ret_len = len;
    return len > 0;
}

/* ---- Names of nodes ------------------------------------------------------------------------ */

void pawl__zk_child_make(char *to, const char *token, const pawl__zk_want *want, bool read_write)
{
    const char *word = read_write ? WRITER : MUTEX;
    if (want->mode == PAWL_MODE_SHARED) word = READER;
    if (want->mode == PAWL_MODE_PERMIT)
        snprintf(to, PAWL__ZK_CHILD_MAX + 1, BEFORE_TOKEN "%s-" PERMIT "%" PRIu32 "x%" PRIu32 "-",
                 token, want->units, want->capacity);
    else
        snprintf(to, PAWL__ZK_CHILD_MAX + 1, BEFORE_TOKEN "%s-%s", token, word);
}

/* "%010d" of an int: ten digits, or a sign and nine or ten of them: "lock--2147483648",
 * "__READ__-2147483648". */
static bool read_number(const char *child, size_t len, int32_t *ret_number)
{
    static const char digits[] = "0123456789";
    if (len < DIGITS) return false;
    const char *from = child + len - DIGITS;
    if (strspn(from + 1, digits) != DIGITS - 1 || (*from != '-' && !strchr(digits, *from)))
        return false;
    if (len >= DIGITS + 2 && *from != '-' && from[-1] == '-' && strchr("-_", from[-2])) from--;
    long long number = strtoll(from, NULL, 10);
    if (number < INT32_MIN || number > INT32_MAX) return false;
    *ret_number = (int32_t)number;
    return true;
}

/* "2x10-", and the number of the node behind it. */
static bool read_permits(const char *text, pawl__zk_want *ret_want)
{
    char *end;
    unsigned long units = strtoul(text, &end, 10);
    if (*end != 'x') return false;
    unsigned long capacity = strtoul(end + 1, &end, 10);
    if (*end != '-' || strlen(end + 1) < DIGITS || units < 1 || units > capacity ||
        capacity > PAWL_CAPACITY_MAX)
        return false;
    *ret_want = (pawl__zk_want){PAWL_MODE_PERMIT, (uint32_t)units, (uint32_t)capacity};
    return true;
}

/* Behind BEFORE_TOKEN: a token, and the word of a kind. */
static bool is_pawls(const char *text, pawl__zk_want *ret_want)
{
    static const char *const words[] = {"-" MUTEX, "-" READER, "-" WRITER};
    if (strlen(text) < PAWL_TOKEN_LEN) return false;
    const char *word = text + PAWL_TOKEN_LEN;
    if (strncmp(word, "-" PERMIT, strlen("-" PERMIT)) == 0)
        return read_permits(word + strlen("-" PERMIT), ret_want);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(word, words[i], strlen(words[i])) == 0)
            return strlen(word) >= strlen(words[i]) + DIGITS;
    return false;
}

bool pawl__zk_child_read(const char *child, pawl__zk_node *ret_node)
{
    size_t len = strlen(child), before = strlen(BEFORE_TOKEN);
    memset(ret_node, 0, offsetof(pawl__zk_node, owner)); /* of each of a thousand names */
    ret_node->owner[0] = '\0';
    if (len > PAWL__ZK_CHILD_MAX || !read_number(child, len, &ret_node->number)) return false;
    memcpy(ret_node->child, child, len + 1);
    ret_node->want.mode = strstr(child, READER) ? PAWL_MODE_SHARED : PAWL_MODE_EXCLUSIVE;
    if (memcmp(child, BEFORE_TOKEN, before) == 0 && is_pawls(child + before, &ret_node->want))
        memcpy(ret_node->token, child + before, PAWL_TOKEN_LEN);
    return true;
}

bool pawl__zk_is_before(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b) < 0;
}

/* ---- What is in them ----------------------------------------------------------------------- */

/* Without those behind the last that is set. */
static void write_slots(char *to, const pawl__zk_slots *slots)
{
    size_t bytes = sizeof slots->bits;
    while (bytes > 1 && !slots->bits[bytes - 1]) bytes--;
    for (size_t i = 0; i < bytes; i++) {
        *to++ = hex[slots->bits[i] >> 4];
        *to++ = hex[slots->bits[i] & 15];
    }
    *to++ = ' ';
    *to = '\0';
}

size_t pawl__zk_data_write(char *to, bool is_lease, int64_t life_ms, int64_t since_us,
                           const pawl__zk_slots *slots, const char *owner)
{
    char permits[2 * PAWL__ZK_SLOT_BYTES + 2] = "";
    if (slots) write_slots(permits, slots);
    int n = snprintf(to, PAWL__ZK_DATA_MAX, MAGIC "%c %" PRId64 " %" PRId64 " %s%s",
                     slots      ? 'p'
                     : is_lease ? 'h'
                                : 'w',
                     life_ms, since_us, permits, owner);
    return n < 0 ? 0 : n < PAWL__ZK_DATA_MAX ? (size_t)n : PAWL__ZK_DATA_MAX - 1;
}

/* A number and the space behind it; false: it is none. */
static bool take_number(const char **at, int64_t max, int64_t *ret_number)
{
    int64_t number = 0;
    const char *from = *at;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        number = number * 10 + (**at - '0');
        if (number > max) return false;
    }
    if (*at == from || **at != ' ') return false;
    ++*at;
    *ret_number = number;
    return true;
}

static bool take_slots(const char **at, pawl__zk_slots *ret_slots)
{
    size_t count = 0;
    for (; **at != ' '; *at += 2, count++) {
        int high = digit((*at)[0]), low = high < 0 ? -1 : digit((*at)[1]);
        if (low < 0 || count == sizeof ret_slots->bits) return false;
        ret_slots->bits[count] = (uint8_t)(high << 4 | low);
    }
    ++*at;
    return count > 0;
}

void pawl__zk_data_read(const char *data, size_t len, pawl__zk_node *node)
{
    char text[PAWL__ZK_DATA_MAX + 1];
    const char *at = text + strlen(MAGIC);
    node->ours = false;
    if (!data || len >= sizeof text || len < strlen(MAGIC) + 2) return;
    memcpy(text, data, len);
    text[len] = '\0';
    bool good = memcmp(text, MAGIC, strlen(MAGIC)) == 0 && strchr("hwp", *at) && at[1] == ' ' &&
                strlen(text) == len;
    if (!good) return;
    node->is_lease = *at != 'w';
    node->has_slots = *at == 'p';
    memset(&node->slots, 0, sizeof node->slots);
    at += 2;
    if (!take_number(&at, PAWL_TTL_MAX_MS, &node->life_ms) ||
        !take_number(&at, INT64_MAX / 11, &node->since_us) ||
        (node->has_slots && !take_slots(&at, &node->slots)) || strlen(at) > PAWL_OWNER_MAX)
        return;
    snprintf(node->owner, sizeof node->owner, "%s", at);
    node->ours = true;
}
