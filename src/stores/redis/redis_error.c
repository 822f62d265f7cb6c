/* SPDX-License-Identifier: MIT */
/*
 * What the server's refusals mean. An error inside a script ends with
 * "@user_script:LINE"; the scripts name the command and the key of each call on
 * its line, so the line tells which key has the wrong type or which permission
 * is missing. Redis 6 wraps the error ("ERR Error running script (call to
 * f_...): @user_script:3: -OOM command ..."), Redis 7 appends the place.
 */
#include "redis_proto.h"

#include "../../base/capacity.h"
#include "../../base/line.h"
#include "../../base/mutant.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_MAX   90 /* bytes of the server's own words in a message */
#define COMMAND_MAX 31

typedef struct meaning {
    const char *code; /* the first word, or with ERR some words inside */
    pawl_err err;
    const char *what;
    const char *advice;
} meaning;

/* The server answers all of these before it does anything. */
static const meaning codes[] = {
    {"NOAUTH", PAWL_ERR_AUTH, "the server wants a password",
     "write user:password@ or password_file= into the URL"},
    {"WRONGPASS", PAWL_ERR_AUTH, "the server refused the user or password",
     "check the URL, or the file that it names"},
    {"READONLY", PAWL_ERR_READONLY, "the server is a read-only replica", "connect to the primary"},
    {"LOADING", PAWL_ERR_LOADING, "the server is loading its data", "wait until it has started"},
    {"BUSY", PAWL_ERR_STORE_BUSY, "the server is busy with somebody's script",
     "end it with SCRIPT KILL if it does not end by itself"},
    {"UNKILLABLE", PAWL_ERR_STORE_BUSY, "the server is busy with somebody's script",
     "wait for its end"},
    {"OOM", PAWL_ERR_STORE_FULL, "the server's memory is full", "raise maxmemory or remove data"},
    {"MISCONF", PAWL_ERR_STORE_FULL, "the server refuses writes because it cannot save to its disk",
     "see its log, make room on the disk"},
    {"NOREPLICAS", PAWL_ERR_UNAVAILABLE, "the server has too few replicas to accept writes",
     "start them, or lower min-replicas-to-write"},
    {"TRYAGAIN", PAWL_ERR_UNAVAILABLE, "the cluster is moving this key", "try again"},
    {"CLUSTERDOWN", PAWL_ERR_UNAVAILABLE, "the cluster is down", "see CLUSTER INFO"},
    {"MASTERDOWN", PAWL_ERR_UNAVAILABLE, "the server is a replica that has lost its primary",
     "connect to the primary"},
    {"MOVED", PAWL_ERR_UNSUPPORTED, "the server is a node of a cluster",
     "pawl needs a single Redis that has all names: write the address of one"},
    {"ASK", PAWL_ERR_UNSUPPORTED, "the server is a node of a cluster",
     "pawl needs a single Redis that has all names: write the address of one"},
    {"CROSSSLOT", PAWL_ERR_UNSUPPORTED, "the server is a node of a cluster",
     "pawl needs a single Redis that has all names: write the address of one"},
    {"DENIED", PAWL_ERR_PERMISSION, "the server is in protected mode",
     "give it a password, or bind it to the right address"},
};

static const meaning words[] = {
    {"without any password configured", PAWL_ERR_AUTH, "the server has no password set",
     "leave it out of the URL, or set it at the server"},
    {"no password is set", PAWL_ERR_AUTH, "the server has no password set",
     "leave it out of the URL, or set it at the server"},
    {"max number of clients", PAWL_ERR_UNAVAILABLE, "the server has as many clients as it allows",
     "raise maxclients"},
    {"DB index is out of range", PAWL_ERR_OPTION, "the server has no database of this number",
     "check the number in the URL"},
    {"invalid DB index", PAWL_ERR_OPTION, "the server has no database of this number",
     "check the number in the URL"},
    {"SELECT is not allowed in cluster mode", PAWL_ERR_OPTION, "a cluster has no database but 0",
     "leave the number out of the URL"},
    {"Script killed by user", PAWL_ERR_STORE_BUSY, "somebody ended the script with SCRIPT KILL",
     "try again"},
};

/* The same connection would give the same error: it must log in, or it leads to a server that is
 * not the primary. A new connection to the same address may lead to the new primary. */
static bool needs_another_connection(const char *code)
{
    if (PAWL_MUTANT(replica_is_kept)) return false;
    static const char *const such[] = {"NOAUTH", "WRONGPASS", "READONLY", "LOADING", "MASTERDOWN"};
    for (size_t i = 0; i < sizeof such / sizeof such[0]; i++)
        if (strcmp(code, such[i]) == 0) return true;
    return false;
}

/* Where in a script an error came up, as its line says. */
typedef struct place {
    char command[COMMAND_MAX + 1]; /* lowercase; "" if not known */
    int key;                       /* index of KEYS; -1 if not known */
} place;

static bool contains(const char *haystack, const char *needle)
{
    return strstr(haystack, needle) != NULL;
}

static bool has_code(const char *error, const char *code)
{
    size_t len = strlen(code);
    return strncmp(error, code, len) == 0 && (error[len] == ' ' || error[len] == '\0');
}

/* Redis 6: the real error stands behind the last "user_script: N: " and perhaps a '-'. */
static const char *unwrap(const char *error)
{
    if (!has_code(error, "ERR") || !contains(error, "Error running script")) return error;
    const char *inner = error, *next = error;
    while ((next = strstr(next, "user_script")) != NULL) inner = next += strlen("user_script");
    inner += strspn(inner, ": 0123456789");
    return *inner == '-' ? inner + 1 : inner;
}

static place place_in(const char *script, const char *error)
{
    place found = {.command = "", .key = -1};
    const char *mark = strstr(error, "user_script:");
    if (!script || !mark) return found;
    mark += strlen("user_script:");
    mark += strspn(mark, " ");
    int number = 0;
    while (isdigit((unsigned char)*mark) && number < 100000) number = number * 10 + (*mark++ - '0');

    const char *line = script;
    for (int i = 1; i < number && line; i++) {
        line = strchr(line, '\n');
        if (line) line++;
    }
    if (number < 1 || !line) return found;
    const char *end = line + strcspn(line, "\n");
    const char *call = strstr(line, "call('");
    if (!call || call > end) return found;
    call += strlen("call('");
    for (size_t i = 0; i < COMMAND_MAX && isalpha((unsigned char)call[i]); i++)
        found.command[i] = (char)tolower((unsigned char)call[i]);
    const char *key = strstr(call, "KEYS[");
    if (key && key < end && key[5] >= '1' && key[5] < '1' + PAWL__REDIS_KEYS)
        found.key = key[5] - '1';
    return found;
}

/* The server's words, between our quotes. */
static void quote(const char *error, char ret_quote[QUOTE_MAX + 1])
{
    size_t n = 0;
    for (; n < QUOTE_MAX && error[n]; n++) ret_quote[n] = error[n] == '"' ? '\'' : error[n];
    ret_quote[n] = '\0';
}

/* Keys may hold any byte, also a NUL. */
static void show_key(pawl__redis_bytes key, char *ret_text, size_t room)
{
    size_t n = 0;
    for (; n < key.len && n + 1 < room && n < 100; n++)
        ret_text[n] = key.data[n] ? key.data[n] : '?';
    ret_text[n] = '\0';
}

static void compose(const pawl__redis_space *space, const char *what, const char *advice,
                    const char *error, char *ret_message)
{
    char said[QUOTE_MAX + 1];
    quote(error, said);
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%.120s: %.130s; %.140s (it says \"%s\")", space->where,
             what, advice, said);
    pawl__line_mend(ret_message);
}

static bool is_permission(const char *error)
{
    return has_code(error, "NOPERM") || contains(error, "can't run this command") ||
           contains(error, "can't access at least one of the keys") ||
           contains(error, "ACL failure");
}

/* The ACL rule that is missing. */
static void missing_rule(const pawl__redis_space *space, const char *doing, const char *error,
                         const place *where, char *ret_rule, size_t room)
{
    const char *command = strstr(error, "run the '");
    if (contains(error, "channel")) {
        snprintf(ret_rule, room, "&%s%s*", space->prefix, PAWL__REDIS_INBOX_WORD);
        return;
    }
    if (contains(error, "keys") || contains(error, "a key")) { /* 7.2 and newer */
        snprintf(ret_rule, room, "~%s* ~{%s*", space->prefix, space->prefix);
        return;
    }
    if (command) {
        command += strlen("run the '");
        snprintf(ret_rule, room, "+%.*s", (int)strcspn(command, "'"), command);
        return;
    }
    size_t n = (size_t)snprintf(ret_rule, room, "+%s", where->command[0] ? where->command : doing);
    for (size_t i = 0; i < n && i < room; i++)
        ret_rule[i] = (char)tolower((unsigned char)ret_rule[i]);
}

static void explain_permission(const pawl__redis_space *space, const char *doing, const char *error,
                               const place *where, char *ret_message)
{
    char rule[2 * PAWL__REDIS_PREFIX_MAX + 16], advice[2 * PAWL__REDIS_PREFIX_MAX + 64];
    missing_rule(space, doing, error, where, rule, sizeof rule);
    snprintf(advice, sizeof advice, "add the ACL rule %s", rule);
    compose(space, "the user lacks a permission", advice, error, ret_message);
}

static void explain_wrong_type(const pawl__redis_space *space, const pawl__redis_bytes *keys,
                               const char *error, const place *where, char *ret_message)
{
    char key[128] = "", what[200];
    if (keys) show_key(keys[where->key < 0 ? 0 : where->key], key, sizeof key);
    snprintf(what, sizeof what, "%s%s holds something that is not pawl's",
             keys && where->key < 0 ? "a key of " : "the key ", keys ? key : "");
    compose(space, what, "choose another name or prefix; it may be a lock of another library",
            error, ret_message);
}

/* "PAWLCAPACITY HAS ASKED" */
static bool explain_capacity(const pawl__redis_space *space, const char *error,
                             pawl__redis_trouble *trouble, char *ret_message)
{
    uint32_t has, asked;
    char what[PAWL__CAPACITY_MESSAGE_MAX];
    if (sscanf(error, "PAWLCAPACITY %" SCNu32 " %" SCNu32, &has, &asked) != 2) return false;
    trouble->err = PAWL_ERR_CAPACITY;
    compose(space, pawl__capacity_message(has, asked, what),
            "give the capacity that the others give, or choose another name", error, ret_message);
    return true;
}

/* What lib_enter.lua and change.lua refuse. */
static bool explain_kind(const pawl__redis_space *space, const char *error,
                         pawl__redis_trouble *trouble, char *ret_message)
{
    static const meaning refusals[] = {
        {"PAWLKIND 0", PAWL_ERR_KIND, "the name is in use as a lock, not as a semaphore",
         "wait until nobody holds it or waits for it, or choose another name"},
        {"PAWLKIND", PAWL_ERR_KIND, "the name is in use as a semaphore, not as a lock",
         "wait until nobody holds it or waits for it, or choose another name"},
        {"PAWLMODE ux", PAWL_ERR_MODE, "its token holds it in mode update already",
         "change that lease instead of acquiring it again"},
        {"PAWLMODE s", PAWL_ERR_MODE, "a lock held in mode shared cannot change to another mode",
         "acquire it in mode update if it may have to become exclusive"},
        {"PAWLMODE p", PAWL_ERR_MODE, "permits have no other mode to change to",
         "release them and acquire what is needed"},
        {"PAWLMODE", PAWL_ERR_MODE, "a lock cannot change to permits",
         "release it and acquire the semaphore under another name"},
    };
    if (explain_capacity(space, error, trouble, ret_message)) return true;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        if (strncmp(error, refusals[i].code, strlen(refusals[i].code)) != 0) continue;
        trouble->err = refusals[i].err;
        compose(space, refusals[i].what, refusals[i].advice, error, ret_message);
        return true;
    }
    return false;
}

pawl__redis_trouble pawl__redis_explain(const pawl__redis_space *space, const char *doing,
                                        const pawl__redis_bytes *keys, const char *script,
                                        pawl__redis_bytes raw, char *ret_message)
{
    const char *error = unwrap(raw.data);
    place where = place_in(script, raw.data);
    pawl__redis_trouble trouble = {.not_done = true};

    if (has_code(error, "NOSCRIPT")) {
        trouble.err = PAWL_ERR_STORE_BUSY;
        trouble.no_script = true;
        compose(space, "the server forgot a script", "try again", error, ret_message);
        return trouble;
    }
    if (has_code(error, "WRONGTYPE")) {
        trouble.err = PAWL_ERR_WRONG_TYPE;
        explain_wrong_type(space, keys, error, &where, ret_message);
        return trouble;
    }
    if (has_code(error, "PAWLRECORD")) {
        trouble.err = PAWL_ERR_CORRUPT;
        where.key = PAWL__REDIS_KEY_RECORD;
        explain_wrong_type(space, keys, error, &where, ret_message);
        return trouble;
    }
    if (has_code(error, "PAWLFULL")) {
        trouble.err = PAWL_ERR_STORE_FULL;
        compose(space, "too many clients wait for this lock", "try again later", error,
                ret_message);
        return trouble;
    }
    if (explain_kind(space, error, &trouble, ret_message)) return trouble;
    if (is_permission(error)) {
        trouble.err = PAWL_ERR_PERMISSION;
        explain_permission(space, doing, error, &where, ret_message);
        return trouble;
    }
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (!has_code(error, codes[i].code)) continue;
        trouble.err = codes[i].err;
        trouble.reconnect = needs_another_connection(codes[i].code);
        compose(space, codes[i].what, codes[i].advice, error, ret_message);
        return trouble;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!contains(error, words[i].code)) continue;
        trouble.err = words[i].err;
        compose(space, words[i].what, words[i].advice, error, ret_message);
        return trouble;
    }
    trouble.err = PAWL_ERR_UNSUPPORTED;
    if (contains(error, "unknown command") || contains(error, "Unknown Redis command") ||
        contains(error, "unknown subcommand")) {
        char advice[COMMAND_MAX + 64];
        snprintf(advice, sizeof advice, "pawl needs %.31s",
                 where.command[0] ? where.command : doing);
        compose(space, "the server lacks a command, or it was renamed", advice, error, ret_message);
        return trouble;
    }
    /* An error that we do not know may come from the middle of a script. */
    trouble.not_done = false;
    compose(space, "the server refused", "see its documentation", error, ret_message);
    return trouble;
}
