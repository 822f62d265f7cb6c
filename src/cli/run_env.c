/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* asprintf */
#include "run_env.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "holder.h"

static const char *const own_names[] = {
    "PAWL_KEY",   "PAWL_FENCE", "PAWL_TOKEN", "PAWL_MODE", "PAWL_TTL_MS", "PAWL_STORE",
    "PAWL_OWNER", "PAWL_FD",    "PAWL_HELD",  "PAWL_SLOT", "PAWL_SLOTS",
};
#define OWN_COUNT (sizeof own_names / sizeof own_names[0])

/* With a number at the end, for each of several keys. */
static const char *const numbered_names[] = {"PAWL_KEY_", "PAWL_FENCE_", "PAWL_TOKEN_"};
#define NUMBERED_COUNT (sizeof numbered_names / sizeof numbered_names[0])

/* ---- PAWL_HELD ------------------------------------------------------------------ */

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '%' && c != '@';
}

/* `kept` stays as it is: in a store's URL the @ that the key's end is told by can do no harm. */
static char *encode(char *out, const char *text, char kept)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (is_plain(c) || *text == kept) {
            *out++ = (char)c;
            continue;
        }
        out += snprintf(out, 4, "%%%02x", c);
    }
    *out = '\0';
    return out;
}

/* "KEY@STORE"; NULL when out of memory. */
static char *held_entry(const char *key, const char *store_url)
{
    char *entry = malloc(3 * (strlen(key) + strlen(store_url)) + 2);
    if (!entry) return NULL;
    char *out = encode(entry, key, '\0');
    *out++ = '@';
    encode(out, store_url, '@');
    return entry;
}

static bool list_has(const char *list, const char *entry)
{
    size_t len = strlen(entry);
    while (*list) {
        size_t word = strcspn(list, " ");
        if (word == len && memcmp(list, entry, len) == 0) return true;
        list += word;
        list += strspn(list, " ");
    }
    return false;
}

bool run_env_is_held_by_ancestor(const char *key, const char *store_url)
{
    const char *held = getenv("PAWL_HELD");
    if (!held) return false;
    char *entry = held_entry(key, store_url);
    bool found = entry && list_has(held, entry);
    free(entry);
    return found;
}

/* ---- The environment --------------------------------------------------------------- */

/* It is the library's, and the command's only if it asks for it by a way of its own. */
#define PASSWORD_NAME "PAWL_REDIS_PASSWORD"
#define CONFIG_NAME   "PAWL_CONFIG"

static bool is_named(const char *assignment, const char *name)
{
    size_t len = strcspn(assignment, "=");
    return strlen(name) == len && memcmp(name, assignment, len) == 0;
}

/* PAWL_KEY_7=... */
static bool is_numbered(const char *assignment, const char *name)
{
    size_t len = strlen(name);
    if (strncmp(assignment, name, len) != 0) return false;
    size_t digits = strspn(assignment + len, "0123456789");
    return digits > 0 && assignment[len + digits] == '=';
}

static bool is_own(const char *assignment)
{
    for (size_t i = 0; i < OWN_COUNT; i++)
        if (is_named(assignment, own_names[i])) return true;
    for (size_t i = 0; i < NUMBERED_COUNT; i++)
        if (is_numbered(assignment, numbered_names[i])) return true;
    return is_named(assignment, PASSWORD_NAME);
}

static bool put(char **env, size_t *count, const char *name, const char *value)
{
    if (asprintf(&env[*count], "%s=%s", name, value) < 0) {
        env[*count] = NULL;
        return false;
    }
    (*count)++;
    return true;
}

static bool put_number(char **env, size_t *count, const char *name, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    return put(env, count, name, text);
}

static bool append(char **list, const char *key, const char *store_url)
{
    char *entry = held_entry(key, store_url), *longer = NULL;
    bool fine = entry && asprintf(&longer, "%s%s%s", *list, **list ? " " : "", entry) >= 0;
    free(entry);
    if (!fine) return false;
    free(*list);
    *list = longer;
    return true;
}

static bool put_held(char **env, size_t *count, const cli_session *session)
{
    const char *before = getenv("PAWL_HELD");
    char *list = strdup(before ? before : "");
    bool fine = list;
    for (size_t i = 0; fine && i < session->key_count; i++)
        fine = append(&list, session->keys[i], pawl_client_url(session->client));
    fine = fine && put(env, count, "PAWL_HELD", list);
    free(list);
    return fine;
}

/* PAWL_KEY_1, PAWL_FENCE_1, PAWL_TOKEN_1, PAWL_KEY_2 ... of several keys. */
static bool put_each(char **env, size_t *count, const cli_session *session, bool no_token)
{
    for (size_t i = 0; session->key_count > 1 && i < session->key_count; i++) {
        char name[32];
        pawl_token token;
        const pawl_lock *part = pawl_lock_part(session->lock, i);
        pawl_lock_token(part, &token);
        snprintf(name, sizeof name, "PAWL_KEY_%zu", i + 1);
        if (!put(env, count, name, session->keys[i])) return false;
        snprintf(name, sizeof name, "PAWL_FENCE_%zu", i + 1);
        if (!put_number(env, count, name, pawl_lock_fence(part))) return false;
        snprintf(name, sizeof name, "PAWL_TOKEN_%zu", i + 1);
        if (!no_token && !put(env, count, name, token.text)) return false;
    }
    return true;
}

/* PAWL_SLOT is the lowest, PAWL_SLOTS are all, with spaces between. */
static bool put_slots(char **env, size_t *count, const pawl_lock *lock)
{
    uint16_t slots[PAWL_CAPACITY_MAX];
    size_t n = pawl_lock_slots(lock, slots, PAWL_CAPACITY_MAX), len = 0;
    if (n == 0) return true;
    char list[PAWL_CAPACITY_MAX * sizeof "1024"];
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, i ? " %u" : "%u", slots[i]);
    return put_number(env, count, "PAWL_SLOT", slots[0]) && put(env, count, "PAWL_SLOTS", list);
}

/* If the configuration has a password, the command reads the same configuration. */
static bool put_store(char **env, size_t *count, const cli_session *session)
{
    const char *url = cli_store_for_children(&session->store, session->client);
    const char *config = cli_store_config_for_children(&session->store, session->client);
    return (!url || put(env, count, "PAWL_STORE", url)) &&
           (!config || put(env, count, CONFIG_NAME, config));
}

static bool put_all(char **env, size_t *count, const cli_session *session, const run_env_opts *opts)
{
    pawl_token token;
    pawl_lock_token(session->lock, &token);
    return put(env, count, "PAWL_KEY", session->key) &&
           put_number(env, count, "PAWL_FENCE", pawl_lock_fence(session->lock)) &&
           (opts->no_token || put(env, count, "PAWL_TOKEN", token.text)) &&
           put(env, count, "PAWL_MODE", cli_mode_word(pawl_lock_mode(session->lock))) &&
           put_slots(env, count, session->lock) && put_each(env, count, session, opts->no_token) &&
           put_number(env, count, "PAWL_TTL_MS", (uint64_t)opts->ttl_ms) &&
           put_store(env, count, session) &&
           put(env, count, "PAWL_OWNER", pawl_client_owner(session->client)) &&
           (opts->events_fd < 0 || put_number(env, count, "PAWL_FD", (uint64_t)opts->events_fd)) &&
           put_held(env, count, session);
}

char **run_env_make(const cli_session *session, const run_env_opts *opts)
{
    size_t inherited = 0, count = 0;
    while (environ[inherited]) inherited++;
    char **env =
        calloc(inherited + OWN_COUNT + 2 + NUMBERED_COUNT * session->key_count, sizeof *env);
    if (!env) return NULL;
    bool own_config = cli_store_config_for_children(&session->store, session->client);

    for (size_t i = 0; i < inherited; i++) {
        if (is_own(environ[i]) || (own_config && is_named(environ[i], CONFIG_NAME))) continue;
        if (!(env[count] = strdup(environ[i]))) goto failed;
        count++;
    }
    if (put_all(env, &count, session, opts)) return env;
failed:
    run_env_free(env);
    return NULL;
}

void run_env_free(char **env)
{
    if (!env) return;
    for (char **item = env; *item; item++) free(*item);
    free(env);
}
