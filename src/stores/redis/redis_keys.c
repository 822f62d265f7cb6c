/* SPDX-License-Identifier: MIT */
/* Keys, inbox and globs: how names become what Redis sees. */
#include "redis_proto.h"

#include <string.h>

static pawl__redis_bytes bytes(const char *data, size_t len)
{
    return (pawl__redis_bytes){.data = data, .len = len};
}

bool pawl__redis_space_init(pawl__redis_space *ret_space, const char *prefix, const char *client_id,
                            const char *where)
{
    size_t prefix_len = strlen(prefix), word_len = strlen(PAWL__REDIS_INBOX_WORD);
    size_t id_len = strlen(client_id);
    if (prefix_len > PAWL__REDIS_PREFIX_MAX) return false;
    for (size_t i = 0; i < prefix_len; i++)
        if ((unsigned char)prefix[i] <= ' ' || prefix[i] == 0x7f) return false;
    if (prefix_len + word_len + id_len > PAWL__REDIS_INBOX_MAX) return false;

    memset(ret_space, 0, sizeof *ret_space);
    memcpy(ret_space->prefix, prefix, prefix_len);
    ret_space->prefix_len = prefix_len;
    char *p = ret_space->inbox;
    memcpy(p, prefix, prefix_len);
    memcpy(p + prefix_len, PAWL__REDIS_INBOX_WORD, word_len);
    memcpy(p + prefix_len + word_len, client_id, id_len);
    ret_space->inbox_len = prefix_len + word_len + id_len;
    ret_space->where = where;
    return true;
}

/* What Redis Cluster hashes instead of the whole key: the first {...} that is not empty. */
static bool has_hash_tag(const char *key, size_t len)
{
    const char *open = memchr(key, '{', len);
    if (!open) return false;
    size_t rest = len - (size_t)(open + 1 - key);
    const char *close = memchr(open + 1, '}', rest);
    return close && close != open + 1;
}

/* ---- Cluster slots ---------------------------------------------------------- */

#define SLOTS        16384
#define FILLER_CHARS 4 /* letters: 26^4 are some 28 for each slot */

/* CRC-16/XMODEM, which Redis Cluster hashes keys with, a byte at a time. */
static uint16_t crc16(uint16_t crc, const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint16_t)((unsigned char)data[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

/* The first letters of the alphabet that lead to the slot together with the suffix. */
static bool find_filler(uint16_t crc, char suffix, unsigned slot, char ret_filler[FILLER_CHARS])
{
    memset(ret_filler, 'a', FILLER_CHARS);
    for (;;) {
        uint16_t end = crc16(crc16(crc, ret_filler, FILLER_CHARS), &suffix, 1);
        if (end % SLOTS == slot) return true;
        int i = FILLER_CHARS - 1;
        while (i >= 0 && ret_filler[i] == 'z') ret_filler[i--] = 'a';
        if (i < 0) return false; /* does not happen: each step of the last three changes the slot */
        ret_filler[i]++;
    }
}

/* ---- Keys ------------------------------------------------------------------- */

/* How the other keys of a lock come into its cluster slot. */
typedef enum layout {
    BRACED, /* {lock}:f   the lock key, made a hash tag */
    TAGGED, /* lock\0f    it has a hash tag of its own */
    FILLED  /* lock\0abcdf no tag, and none can be made of it because of its '}' */
} layout;

static layout layout_of(pawl__redis_bytes lock)
{
    if (has_hash_tag(lock.data, lock.len)) return TAGGED;
    return memchr(lock.data, '}', lock.len) ? FILLED : BRACED;
}

/* No name contains a NUL, so such a key is never the lock key of another name. */
static pawl__redis_bytes companion(pawl__redis_bytes lock, layout how, char suffix, char *room)
{
    char *p = room;
    if (how == BRACED) *p++ = '{';
    memcpy(p, lock.data, lock.len);
    p += lock.len;
    if (how == BRACED) *p++ = '}';
    *p++ = how == BRACED ? ':' : '\0';
    if (how == FILLED) {
        unsigned slot = crc16(0, lock.data, lock.len) % SLOTS;
        (void)find_filler(crc16(0, room, (size_t)(p - room)), suffix, slot, p);
        p += FILLER_CHARS;
    }
    *p++ = suffix;
    *p = '\0';
    return bytes(room, (size_t)(p - room));
}

void pawl__redis_keys(const pawl__redis_space *space, const char *name, size_t name_len,
                      char key_room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1],
                      pawl__redis_bytes ret_keys[PAWL__REDIS_KEYS])
{
    static const char suffix[PAWL__REDIS_KEYS] = {
        [PAWL__REDIS_KEY_RECORD] = 'f',
        [PAWL__REDIS_KEY_QUEUE] = 'q',
        [PAWL__REDIS_KEY_WAITERS] = 'w',
    };
    if (name_len > PAWL_NAME_MAX) name_len = PAWL_NAME_MAX;
    char *lock = key_room[PAWL__REDIS_KEY_LOCK];
    size_t lock_len = space->prefix_len + name_len;
    memcpy(lock, space->prefix, space->prefix_len);
    memcpy(lock + space->prefix_len, name, name_len);
    lock[lock_len] = '\0';
    ret_keys[PAWL__REDIS_KEY_LOCK] = bytes(lock, lock_len);
    layout how = layout_of(ret_keys[PAWL__REDIS_KEY_LOCK]);
    for (int i = PAWL__REDIS_KEY_RECORD; i < PAWL__REDIS_KEYS; i++)
        ret_keys[i] = companion(ret_keys[PAWL__REDIS_KEY_LOCK], how, suffix[i], key_room[i]);
}

pawl__redis_bytes pawl__redis_extra_key(pawl__redis_bytes lock_key, char suffix,
                                        char room[PAWL__REDIS_KEY_MAX + 1])
{
    return companion(lock_key, layout_of(lock_key), suffix, room);
}

pawl__redis_bytes pawl__redis_guard_key(const pawl__redis_space *space,
                                        char room[PAWL__REDIS_GUARD_KEY_MAX + 1])
{
    memcpy(room, space->prefix, space->prefix_len);
    memcpy(room + space->prefix_len, "\0g", 3);
    return bytes(room, space->prefix_len + 2);
}

static char *escape_glob(char *p, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("*?[]^\\-", text[i]) && text[i]) *p++ = '\\';
        *p++ = text[i];
    }
    return p;
}

static char *put_glob(char *p, const pawl__redis_space *space, const char *name_prefix, size_t len)
{
    if (len > PAWL_NAME_MAX) len = PAWL_NAME_MAX;
    p = escape_glob(p, space->prefix, space->prefix_len);
    p = escape_glob(p, name_prefix, len);
    *p++ = '*';
    return p;
}

void pawl__redis_glob(const pawl__redis_space *space, const char *name_prefix, size_t len,
                      char ret_glob[PAWL__REDIS_GLOB_MAX + 1])
{
    *put_glob(ret_glob, space, name_prefix, len) = '\0';
}

bool pawl__redis_is_record_key(pawl__redis_bytes key)
{
    return key.len > 4 && key.data[0] == '{' && memcmp(key.data + key.len - 3, "}:f", 3) == 0;
}

/* Open at both ends, because a queue's key may have braces or not. Each key found is checked. */
void pawl__redis_queue_glob(const pawl__redis_space *space, const char *name_prefix, size_t len,
                            char ret_glob[PAWL__REDIS_GLOB_MAX + 1])
{
    char *p = ret_glob;
    *p++ = '*';
    p = put_glob(p, space, name_prefix, len);
    *p++ = 'q';
    *p = '\0';
}

pawl__redis_bytes pawl__redis_lock_of_queue(pawl__redis_bytes queue_key)
{
    static const char braced[] = "}:q", bare[] = "\0q";
    const char *key = queue_key.data;
    size_t len = queue_key.len;
    if (len > 4 && key[0] == '{' && memcmp(key + len - 3, braced, 3) == 0)
        return bytes(key + 1, len - 4);
    if (len > 2 && memcmp(key + len - 2, bare, 2) == 0) return bytes(key, len - 2);
    size_t filled = FILLER_CHARS + 2;
    if (len > filled && key[len - 1] == 'q' && key[len - filled] == '\0')
        return bytes(key, len - filled);
    return bytes(NULL, 0);
}
