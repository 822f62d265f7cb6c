/* SPDX-License-Identifier: MIT */
/*
 * What pawl sends to Redis and what the answers mean, without I/O: no socket, no clock, no
 * allocation. The store and the simulator use the same object file.
 *
 *   request --encode--> call (a script, its keys and arguments)   --> server
 *   value (the reply) --decode--> pawl_reply, pawl_info           <-- server
 *   message on the inbox --decode_push--> pawl_push               <-- server
 *
 * If you write a model of the server: the scripts in scripts/ are the specification. Each begins
 * with its arguments and replies, and runs at one instant of the server's clock. What the model has
 * to keep per name is
 *
 *   lock     token, expiry                        (KEYS[1], string)
 *   record   fence, token, inbox, owner, expiry   (KEYS[2], string)
 *   queue    tokens by order of arrival, expiry   (KEYS[3], sorted set)
 *   waiters  token -> place_until_ms, ttl_ms, since_ms, inbox, owner; expiry
 *                                                 (KEYS[4], hash)
 *   broken   who broke which lease; decides nothing
 *                                                 (KEYS[5], hash)
 *
 * and, while several hold it together or wait in other modes than exclusive, what
 * scripts/lib_many.lua says about the first four keys;
 *
 * per inbox who is subscribed. A grant's fence is max(fence of the record
 * + 1, the server's clock in us). PAWL__REDIS_... below name the constants
 * that occur in the scripts.
 */
#ifndef PAWL_REDIS_PROTO_H
#define PAWL_REDIS_PROTO_H

#include "pawl/store.h"

/* ---- Bytes and replies ------------------------------------------------------ */

typedef struct pawl__redis_bytes {
    const char *data;
    size_t len;
} pawl__redis_bytes;

typedef enum pawl__redis_type {
    PAWL__REDIS_NIL = 0,
    PAWL__REDIS_INTEGER,
    PAWL__REDIS_STATUS, /* +OK */
    PAWL__REDIS_ERROR,  /* -READONLY ... */
    PAWL__REDIS_STRING,
    PAWL__REDIS_ARRAY, /* also a map: keys and values in turn */
    PAWL__REDIS_PUSH   /* the same as an array, and no answer to anything */
} pawl__redis_type;

/* A reply as a tree. Texts are NUL-terminated behind their last byte. */
typedef struct pawl__redis_value pawl__redis_value;
struct pawl__redis_value {
    pawl__redis_type type;
    int64_t integer;                /* INTEGER */
    pawl__redis_bytes text;         /* STATUS, ERROR, STRING */
    const pawl__redis_value *items; /* ARRAY, PUSH */
    size_t count;
};

/* ---- Where a client's locks live --------------------------------------------- */

#define PAWL__REDIS_PREFIX_DEFAULT "pawl:"
#define PAWL__REDIS_PREFIX_MAX     128 /* bytes: keys stay short */
#define PAWL__REDIS_INBOX_WORD     "inbox:"
#define PAWL__REDIS_INBOX_MAX      (PAWL__REDIS_PREFIX_MAX + 6 + 64)

typedef struct pawl__redis_space {
    char prefix[PAWL__REDIS_PREFIX_MAX + 1]; /* lock key = prefix + name */
    size_t prefix_len;
    char inbox[PAWL__REDIS_INBOX_MAX + 1]; /* this client's channel: prefix + "inbox:" + id */
    size_t inbox_len;
    const char *where; /* the server as messages name it, no secrets; borrowed */
} pawl__redis_space;

/*
 * False if the prefix is too long or holds a blank or control character
 * (records are blank-separated), or the client_id is longer than 64 bytes.
 */
bool pawl__redis_space_init(pawl__redis_space *ret_space, const char *prefix, const char *client_id,
                            const char *where);

/* ---- Calls --------------------------------------------------------------------- */

typedef enum pawl__redis_script {
    PAWL__REDIS_ACQUIRE = 0,
    PAWL__REDIS_RENEW,
    PAWL__REDIS_RELEASE,
    PAWL__REDIS_INSPECT,
    PAWL__REDIS_BREAK,
    PAWL__REDIS_ACQUIRE_MANY, /* in other modes than exclusive */
    PAWL__REDIS_CHANGE,
    PAWL__REDIS_PROBE,   /* at connect: is every command permitted? see redis_link.c */
    PAWL__REDIS_GUARD,   /* at connect: may the server have forgotten locks? see redis_guard.h */
    PAWL__REDIS_PUBLISH, /* rule 12 */
    PAWL__REDIS_READ,
    PAWL__REDIS_ACQUIRE_TOGETHER, /* what the ordinary ones do, for several names: redis_together.c
                                   */
    PAWL__REDIS_RELEASE_TOGETHER,
    /* The same as above, but nothing new is granted. */
    PAWL__REDIS_ACQUIRE_GUARDED,
    PAWL__REDIS_RENEW_GUARDED,
    PAWL__REDIS_RELEASE_GUARDED,
    PAWL__REDIS_BREAK_GUARDED,
    PAWL__REDIS_ACQUIRE_MANY_GUARDED,
    PAWL__REDIS_CHANGE_GUARDED,
    PAWL__REDIS_ACQUIRE_TOGETHER_GUARDED,
    PAWL__REDIS_RELEASE_TOGETHER_GUARDED,
    PAWL__REDIS_SCRIPTS
} pawl__redis_script;

/* KEYS of a call, in this order. */
enum {
    PAWL__REDIS_KEY_LOCK = 0, /* prefix + name, so that plain SET NX PX clients see it */
    PAWL__REDIS_KEY_RECORD,   /* {lock}:f, or what protocol.md says for names with braces */
    PAWL__REDIS_KEY_QUEUE,    /* the same with q */
    PAWL__REDIS_KEY_WAITERS,  /* and w */
    PAWL__REDIS_KEYS,
    PAWL__REDIS_KEY_EXTRA = PAWL__REDIS_KEYS, /* of some calls, behind the others: see below */
    PAWL__REDIS_KEYS_MAX
};
/* The last character of the extra key. */
#define PAWL__REDIS_SUFFIX_VALUE  'v' /* PUBLISH, READ: the value and its watchers */
#define PAWL__REDIS_SUFFIX_BROKEN 'b' /* RENEW, CHANGE, BREAK, INSPECT, probe: who broke it */
#define PAWL__REDIS_ARGS_MAX      7
#define PAWL__REDIS_WHO_MAX       (PAWL__REDIS_INBOX_MAX + 1 + PAWL_OWNER_MAX) /* "INBOX OWNER" */
#define PAWL__REDIS_KEY_MAX       (PAWL__REDIS_PREFIX_MAX + PAWL_NAME_MAX + 6) /* "\0abcdf" */

/* Constants of the scripts; tests compare them with the sources. */
#define PAWL__REDIS_FENCE_KEEP_MS 600000 /* a record outlives its lease by this */
#define PAWL__REDIS_SKIP_MAX      256    /* dead waiters skipped in one hand-off */
#define PAWL__REDIS_QUEUE_MAX     100000 /* waiters on one name */
#define PAWL__REDIS_HOLDERS_MAX   10000  /* at a time, of one name */
#define PAWL__REDIS_GRANTS_MAX    1000   /* waiters to whom one script grants */
#define PAWL__REDIS_TOLD_MAX      100    /* holders that one script asks to yield */
/* The start of the lock key's value while several hold the name: longer than a token. */
#define PAWL__REDIS_MANY          "several clients of pawl hold this; pawl show tells: "

/* One script call. Points into itself and into the request, so both must live until it is sent. */
typedef struct pawl__redis_call {
    pawl__redis_script script;
    size_t key_count;
    pawl__redis_bytes keys[PAWL__REDIS_KEYS_MAX];
    size_t arg_count;
    pawl__redis_bytes args[PAWL__REDIS_ARGS_MAX];
    char key_room[PAWL__REDIS_KEYS_MAX][PAWL__REDIS_KEY_MAX + 1];
    char number_room[3][24]; /* ttl or fence or most rows; units or change; capacity */
    size_t number_count;
    char who_room[PAWL__REDIS_WHO_MAX + 1];
} pawl__redis_call;

/*
 * ACQUIRE, RENEW, RELEASE, INSPECT, BREAK, CHANGE, PUBLISH and READ are one call each. LIST is SCAN
 * and an INSPECT per key found, DOCTOR uses other commands: the result is false for both.
 */
bool pawl__redis_encode(const pawl__redis_space *space, const pawl_request *request,
                        pawl__redis_call *ret_call);

/* A call as a command: EVALSHA by hash, or EVAL with the body. */
#define PAWL__REDIS_ARGV_MAX (3 + PAWL__REDIS_KEYS_MAX + PAWL__REDIS_ARGS_MAX)
size_t pawl__redis_call_argv(const pawl__redis_call *call, pawl__redis_bytes script, bool by_hash,
                             pawl__redis_bytes *ret_argv);

/*
 * One call for several requests of one verb, ACQUIRE in mode exclusive without a queue, or RELEASE:
 * of different names, with one ttl and one label. The keys of all names, all lock keys first, then
 * all queues, all records, all waiters; then what all have in common; then each one's token.
 * redis_together.c
 */
#define PAWL__REDIS_TOGETHER_MAX      8
#define PAWL__REDIS_TOGETHER_ARGV_MAX (3 + PAWL__REDIS_TOGETHER_MAX * (PAWL__REDIS_KEYS + 1) + 2)
typedef struct pawl__redis_together_call {
    pawl__redis_script script;
    size_t argc; /* without the first two: EVAL or EVALSHA, and the script */
    pawl__redis_bytes argv[PAWL__REDIS_TOGETHER_ARGV_MAX];
    char key_room[PAWL__REDIS_TOGETHER_MAX][PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1];
    pawl__redis_call first; /* what they have in common is written here */
    char count_room[4];
} pawl__redis_together_call;

/* Points into itself and into the requests. Leaves argv[0] and argv[1] to be filled in. */
void pawl__redis_encode_together(const pawl__redis_space *space,
                                 const pawl_request *const *requests, size_t count,
                                 pawl__redis_together_call *ret_call);
/* The answers in the text that such a call is answered with; `-` where one has to be asked for
 * alone. False: it is no such text. */
bool pawl__redis_split_together(pawl__redis_bytes text, size_t count,
                                pawl__redis_bytes ret_answers[PAWL__REDIS_TOGETHER_MAX]);

/* The keys of a name; key_room as in pawl__redis_call. */
void pawl__redis_keys(const pawl__redis_space *space, const char *name, size_t name_len,
                      char key_room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1],
                      pawl__redis_bytes ret_keys[PAWL__REDIS_KEYS]);
/* One more beside them. */
pawl__redis_bytes pawl__redis_extra_key(pawl__redis_bytes lock_key, char suffix,
                                        char room[PAWL__REDIS_KEY_MAX + 1]);

/* The key of the guard's record: it lies beside the locks, and is no lock's key, because no name
 * contains a NUL. */
#define PAWL__REDIS_GUARD_KEY_MAX (PAWL__REDIS_PREFIX_MAX + 2)
pawl__redis_bytes pawl__redis_guard_key(const pawl__redis_space *space,
                                        char room[PAWL__REDIS_GUARD_KEY_MAX + 1]);

/* The globs for SCAN that match the lock keys of names with this prefix, and their queues. */
#define PAWL__REDIS_GLOB_MAX (2 * (PAWL__REDIS_PREFIX_MAX + PAWL_NAME_MAX) + 3)
void pawl__redis_glob(const pawl__redis_space *space, const char *name_prefix, size_t len,
                      char ret_glob[PAWL__REDIS_GLOB_MAX + 1]);
void pawl__redis_queue_glob(const pawl__redis_space *space, const char *name_prefix, size_t len,
                            char ret_glob[PAWL__REDIS_GLOB_MAX + 1]);
/* The lock key to which a queue's key belongs; without data if it is no queue's. */
pawl__redis_bytes pawl__redis_lock_of_queue(pawl__redis_bytes queue_key);

/*
 * Whether a key looks like a fence record. With an empty prefix, records lie among the lock keys;
 * then a LIST lets inspect.lua look at the value.
 */
bool pawl__redis_is_record_key(pawl__redis_bytes key);

/*
 * The command that calls probe.lua: EVALSHA or EVAL. Its five keys are those of a lock that nobody
 * uses, so a missing permission for any of them shows here. word is sent to the inbox.
 */
typedef struct pawl__redis_probe {
    pawl__redis_bytes argv[3 + PAWL__REDIS_KEYS_MAX + 2];
    size_t argc;
    char key_room[PAWL__REDIS_KEYS_MAX][PAWL__REDIS_KEY_MAX + 1];
} pawl__redis_probe;
void pawl__redis_probe_encode(const pawl__redis_space *space, const char *script, bool by_hash,
                              const char *word, pawl__redis_probe *ret_probe);

/* ---- Replies ---------------------------------------------------------------------- */

/*
 * A script's reply is a text that begins with one of these, blanks between the
 * words; or the bare number. Only a REPORT is an array, with the number first.
 * (Converting a Lua table takes the server longer than taking the lock.)
 */
typedef enum pawl__redis_says {
    PAWL__REDIS_SAYS_GRANTED = 0, /* fence, somebody waits; slots of permits */
    PAWL__REDIS_SAYS_QUEUED,      /* position, holder's ms, the latest fence or 0 */
    PAWL__REDIS_SAYS_BUSY,        /* holder's ms, holder's owner */
    PAWL__REDIS_SAYS_CONFIRMED,   /* fence, somebody waits */
    PAWL__REDIS_SAYS_RELEASED,
    PAWL__REDIS_SAYS_LEFT,
    PAWL__REDIS_SAYS_NOT_OWNER, /* of RENEW and CHANGE: who broke the lease, if somebody did */
    PAWL__REDIS_SAYS_REPORT,    /* the rows of inspect.lua */
    PAWL__REDIS_SAYS_NO_LOCK,   /* INSPECT: the key holds one of pawl's own records */
    PAWL__REDIS_SAYS_VALUE      /* READ: clock, fence, when, owner, value */
} pawl__redis_says;

typedef enum pawl__redis_verdict {
    PAWL__REDIS_DECODED = 0,    /* *ret_reply is the answer */
    PAWL__REDIS_UNKNOWN_SCRIPT, /* NOSCRIPT: *ret_reply is FAILED; send it again with the body */
    PAWL__REDIS_DOUBT,    /* *ret_reply is UNKNOWN; the connection cannot be trusted: close it */
    PAWL__REDIS_RECONNECT /* *ret_reply is FAILED; this server is of no use: connect again */
} pawl__redis_verdict;

/*
 * What `value` answers to `request`. ret_reply->message points to ret_message
 * (PAWL_MESSAGE_MAX bytes), ret_reply->slots to ret_slots (PAWL_CAPACITY_MAX). `script` is the body
 * that was called: an error's line number names the key or the command in it; NULL: not known. An
 * INSPECT's rows are decoded by pawl__redis_decode_info.
 */
pawl__redis_verdict pawl__redis_decode(const pawl__redis_space *space, const pawl_request *request,
                                       const char *script, const pawl__redis_value *value,
                                       pawl_reply *ret_reply, char *ret_message,
                                       uint16_t *ret_slots);

/*
 * The row of an INSPECT. *ret_info points into value and ret_rows. False: no lock, or no such
 * reply.
 */
typedef struct pawl__redis_rows {
    pawl_holder_info holders[PAWL_HOLDERS_SHOWN_MAX];
    pawl_waiter_info waiters[PAWL_WAITERS_SHOWN_MAX];
} pawl__redis_rows;
bool pawl__redis_decode_info(const pawl_request *request, const pawl__redis_value *value,
                             pawl__redis_rows *ret_rows, pawl_info *ret_info);

/* The answer to a READ. *ret_value points into value. False: no such reply. */
bool pawl__redis_decode_value(const pawl__redis_value *value, pawl_value *ret_value);

/* ---- Pushes ------------------------------------------------------------------------- */

/*
 * A message on the inbox, lock key last because it may hold any byte:
 *
 *   g FENCE WAITING TOKEN LOCKKEY   the lock was handed to TOKEN
 *   p FENCE WAITING SLOT,... TOKEN LOCKKEY   permits were
 *   y TOKEN LOCKKEY                 TOKEN holds and somebody waits
 *   r LOCKKEY                       ask again
 *   n LOCKKEY                       something was published
 *
 * False: not a message of ours, to be ignored. The push points into ret_room, ret_slots
 * (PAWL_CAPACITY_MAX) and payload.
 */
bool pawl__redis_decode_push(const pawl__redis_space *space, pawl__redis_bytes payload,
                             pawl_token *ret_room, uint16_t *ret_slots, pawl_push *ret_push);

/* ---- Errors --------------------------------------------------------------------------- */

typedef struct pawl__redis_trouble {
    pawl_err err;
    bool not_done;  /* the server refused before it did anything */
    bool no_script; /* NOSCRIPT */
    bool reconnect; /* not on this connection, but perhaps on a new one: logged out, a replica */
} pawl__redis_trouble;

/*
 * What an error reply means, with one line that says what happened, where, and what to do. `doing`
 * names what was asked ("EVALSHA", "SUBSCRIBE"). keys and script, if known, show which key or
 * command an error inside a script is about.
 */
pawl__redis_trouble pawl__redis_explain(const pawl__redis_space *space, const char *doing,
                                        const pawl__redis_bytes *keys, const char *script,
                                        pawl__redis_bytes error, char *ret_message);

#endif
