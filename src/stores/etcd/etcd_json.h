/* SPDX-License-Identifier: MIT */
/*
 * What is said to etcd's JSON gateway and what it says: bodies of requests, keys and values of
 * locks, and the parts of answers. Pure functions; nothing here knows a connection.
 */
#ifndef PAWL_ETCD_JSON_H
#define PAWL_ETCD_JSON_H

#include "pawl/store.h"

#include <jansson.h>

#define PAWL__ETCD_KEY_MAX   (128 + 2 + PAWL_NAME_MAX + 1 + 1 + PAWL_TOKEN_LEN + 1)
#define PAWL__ETCD_SLOT_ROOM (PAWL_CAPACITY_MAX / 8)
#define PAWL__ETCD_VALUE_MAX (128 + 2 * PAWL__ETCD_SLOT_ROOM + PAWL_OWNER_MAX + 1)

/* The byte before the token: what it holds or waits for. Between them lie the ranges of a name: no
 * other key of pawl's begins with one of these, so what is behind the last one is exclusive. */
#define PAWL__ETCD_PERMIT    '\x01'
#define PAWL__ETCD_SHARED    '\x02'
#define PAWL__ETCD_EXCLUSIVE '\x03'

/* ---- Bytes --------------------------------------------------------------------------------- */

typedef struct pawl__etcd_bytes {
    size_t len;
    char at[PAWL__ETCD_KEY_MAX];
} pawl__etcd_bytes;

/* What all keys of the name begin with. */
void pawl__etcd_key_of_name(pawl__etcd_bytes *ret_key, const char *prefix, const char *name,
                            size_t name_len);
/* The key of a token in that mode, of a name whose keys begin with `start`; token "": what the
 * keys of all tokens begin with. */
void pawl__etcd_key_make(pawl__etcd_bytes *ret_key, const pawl__etcd_bytes *start, pawl_mode mode,
                         const char *token);
/* The mode of a key; of one that is not pawl's: exclusive. */
pawl_mode pawl__etcd_key_mode(const pawl__etcd_bytes *key);
/* Where the value beside the name lies. */
void pawl__etcd_key_of_value(pawl__etcd_bytes *ret_key, const char *prefix, const char *name,
                             size_t name_len);
/* What the keys of all names begin with that begin with `start`. */
void pawl__etcd_key_of_names(pawl__etcd_bytes *ret_key, const char *prefix, const char *start,
                             size_t start_len);
/* The first key behind all that begin with this one. */
void pawl__etcd_key_behind(pawl__etcd_bytes *ret_end, const pawl__etcd_bytes *start);
bool pawl__etcd_same_bytes(const pawl__etcd_bytes *a, const pawl__etcd_bytes *b);

/* ---- Bodies -------------------------------------------------------------------------------- */

/* A text that grows. When memory runs out it stays `failed`, and nothing more is added. */
typedef struct pawl__etcd_text {
    char *at; /* NUL-terminated, or NULL */
    size_t used, room;
    bool failed;
} pawl__etcd_text;

void pawl__etcd_text_done(pawl__etcd_text *text);
__attribute__((format(printf, 2, 3))) void pawl__etcd_add(pawl__etcd_text *text, const char *format,
                                                          ...);
void pawl__etcd_add_base64(pawl__etcd_text *text, const char *bytes, size_t len);
/* Parts of a transaction. `comma`: another one stands before it in the same list. */
typedef struct pawl__etcd_range {
    const pawl__etcd_bytes *key, *end; /* end NULL: one key */
    int64_t limit;                     /* 0: all */
    int64_t before;    /* only keys that were created before this revision; 0: all */
    int64_t at;        /* only the key that was created at this revision; 0: all */
    bool newest_first; /* in the order of their creation */
    bool keys_only;
} pawl__etcd_range;
void pawl__etcd_add_range(pawl__etcd_text *text, const pawl__etcd_range *range, bool comma);
void pawl__etcd_add_put(pawl__etcd_text *text, const pawl__etcd_bytes *key, const char *value,
                        size_t value_len, int64_t lease, bool comma);
void pawl__etcd_add_delete(pawl__etcd_text *text, const pawl__etcd_bytes *key, bool comma);
/* The key, or every key of the range, was created at (EQUAL), or after (GREATER), that revision. */
void pawl__etcd_add_compare(pawl__etcd_text *text, const pawl__etcd_bytes *key,
                            const pawl__etcd_bytes *end, const char *how, int64_t revision);

/* Puts the key again as it is, with that lease. And: it has that lease. */
void pawl__etcd_add_put_again(pawl__etcd_text *text, const pawl__etcd_bytes *key, int64_t lease);
void pawl__etcd_add_leased(pawl__etcd_text *text, const pawl__etcd_bytes *key, int64_t lease);
/* The key was changed last at that revision. */
void pawl__etcd_add_unchanged(pawl__etcd_text *text, const pawl__etcd_bytes *key, int64_t revision);
/* No key of the range was put after that revision. Some may have gone. */
void pawl__etcd_add_no_news(pawl__etcd_text *text, const pawl__etcd_bytes *start,
                            const pawl__etcd_bytes *end, int64_t revision);

/* ---- What lies there ----------------------------------------------------------------------- */

/* Slots of permits, a bit for each. */
typedef struct pawl__etcd_slots {
    unsigned char bits[PAWL__ETCD_SLOT_ROOM];
} pawl__etcd_slots;

static inline bool pawl__etcd_slot(const pawl__etcd_slots *slots, uint32_t slot)
{
    return slots->bits[slot / 8] >> slot % 8 & 1;
}

static inline void pawl__etcd_slot_set(pawl__etcd_slots *slots, uint32_t slot)
{
    slots->bits[slot / 8] |= (unsigned char)(1u << slot % 8);
}

/* One key: who holds the lock or waits for it. */
typedef struct pawl__etcd_entry {
    pawl__etcd_bytes key;
    int64_t created, changed; /* revisions; `changed` > `created`: it was refreshed */
    int64_t lease, lease_s;
    int64_t since_us; /* when it came, by its client's wall clock: for people */
    pawl_mode mode;
    uint32_t units, capacity; /* of permits; else 0 */
    uint64_t published;       /* the largest number of what was published with it */
    bool has_slots;           /* it has said which slots it holds */
    pawl__etcd_slots slots;
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
    char token[PAWL_TOKEN_LEN + 1]; /* "": the key is not pawl's */
    char owner[PAWL_OWNER_MAX + 1];
} pawl__etcd_entry;

/* Writes the value of a key that has these: lease_s, since_us, owner, and of permits the rest.
 * Returns its length. */
size_t pawl__etcd_value_write(char ret_value[PAWL__ETCD_VALUE_MAX], const pawl__etcd_entry *entry);
/* Reads a kv of an answer; false: it is malformed. A key that is not pawl's has no token. */
PAWL_MUST_USE bool pawl__etcd_entry_read(json_t *kv, const char *prefix,
                                         pawl__etcd_entry *ret_entry);

/* ---- Answers ------------------------------------------------------------------------------- */

/* A number, written as such or as a string; absent: 0. False: it is neither. */
PAWL_MUST_USE bool pawl__etcd_number(json_t *object, const char *name, int64_t *ret_number);
/* The revision of an answer's header; 0: none. */
int64_t pawl__etcd_revision(json_t *answer);
bool pawl__etcd_succeeded(json_t *answer);
/* The answer of the transaction within one, which is its first response; it gets its header.
 * Borrowed; NULL: there is none. */
json_t *pawl__etcd_inner(json_t *answer);
/* The kvs of the n-th response of a transaction, an array, or NULL if it has none or is no range;
 * ret_count: how many keys there are, also those that are not shown. */
json_t *pawl__etcd_kvs(json_t *answer, size_t n, int64_t *ret_count);
/* Decodes; false: it is no base64, or longer than room. */
PAWL_MUST_USE bool pawl__etcd_from_base64(const char *text, char *ret_bytes, size_t room,
                                          size_t *ret_len);

/* What became of a request (law 4). */
typedef enum pawl__etcd_fate {
    PAWL__ETCD_DONE = 0,
    PAWL__ETCD_REFUSED, /* not done, for certain */
    PAWL__ETCD_UNKNOWN  /* perhaps */
} pawl__etcd_fate;

typedef struct pawl__etcd_answer {
    pawl__etcd_fate fate;
    json_t *root;       /* DONE; borrowed for the call */
    pawl_err err;       /* else, as the others */
    bool no_lease;      /* the lease that was named does not exist */
    bool login_is_over; /* the server does not know the token of our login any more */
    bool leaderless;    /* this server cannot answer now; perhaps another one can */
    bool is_odd;        /* what came is not etcd's JSON */
    char message[PAWL_MESSAGE_MAX / 2];
} pawl__etcd_answer;

/*
 * What an answer means, from its status and text. On DONE the caller owns ret_answer->root. Law 4:
 * what is not known to be an error before the change is UNKNOWN.
 */
void pawl__etcd_answer_read(long status, const char *text, size_t len,
                            pawl__etcd_answer *ret_answer);

/* ---- Versions ------------------------------------------------------------------------------ */

/* "3.4.23": false: it is no version. */
PAWL_MUST_USE bool pawl__etcd_version_read(const char *version, int ret_numbers[3]);
/*
 * A keep-alive may be answered well for a lease that is being revoked, and a former leader may
 * revoke leases that live: mended in 3.4.38, 3.5.23 and 3.6.5.
 */
bool pawl__etcd_has_lease_bugs(const char *version);

/* ---- News of a watch ----------------------------------------------------------------------- */

typedef struct pawl__etcd_event {
    bool gone;  /* the key was deleted */
    bool fresh; /* it was created */
    pawl__etcd_bytes key;
} pawl__etcd_event;

/* Reads an event of a watch's `result`; false: it is malformed. */
PAWL_MUST_USE bool pawl__etcd_event_read(json_t *event, pawl__etcd_event *ret_event);

#endif
