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

    /*
     * One hash tag, so that a cluster keeps the four together. A key with a tag of
     * its own needs no braces; but then "pawl:{t}:f" would be the lock of the
     * name "{t}:f" too. No name contains a NUL.
     */
    bool own_tag = has_hash_tag(lock, lock_len);
    for (int i = PAWL__REDIS_KEY_RECORD; i < PAWL__REDIS_KEYS; i++) {
        char *p = key_room[i];
        if (!own_tag) *p++ = '{';
        memcpy(p, lock, lock_len);
        p += lock_len;
        if (!own_tag) *p++ = '}';
        *p++ = own_tag ? '\0' : ':';
        *p++ = suffix[i];
        *p = '\0';
        ret_keys[i] = bytes(key_room[i], (size_t)(p - key_room[i]));
    }
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

/* Loose at both ends: a queue's key may have braces or not. What it finds is taken apart. */
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
    return bytes(NULL, 0);
}
