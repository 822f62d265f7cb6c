/* SPDX-License-Identifier: MIT */
#include "redis_login.h"
#include "redis_link.h"

#include "../../base/instant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

/* ---- The password ----------------------------------------------------------------------- */

/* Somebody may be replacing the file: for that moment the old password is used. */
static void warn_of_a_stale_password(pawl_store *store, const char *why)
{
    char message[PAWL_MESSAGE_MAX];
    if (store->link.login.warned_stale) return;
    store->link.login.warned_stale = true;
    snprintf(message, sizeof message, "%.150s: %.250s; the password read before is used",
             store->space.where, why);
    store->host->warn(store->host, message);
}

void pawl__redis_login_begin(pawl_store *store)
{
    pawl__redis_logging_in *login = &store->link.login;
    char why[PAWL_MESSAGE_MAX];
    if (!store->wire->renew_password) return;
    login->stale = !store->wire->renew_password(store, why);
    if (login->stale) warn_of_a_stale_password(store, why);
}

static void warn_of_an_open_file(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    if (!store->config.password_exposed || store->link.login.warned_open) return;
    store->link.login.warned_open = true;
    snprintf(message, sizeof message,
             "%.150s: everybody on this machine may read the password: chmod o-r %.200s",
             store->space.where, store->config.password_file);
    store->host->warn(store->host, message);
}

void pawl__redis_login_up(pawl_store *store)
{
    store->link.login.was_in = true;
    store->link.login.refused_since = 0;
    warn_of_an_open_file(store);
}

/* ---- HELLO ------------------------------------------------------------------------------ */

/* "pawl:" and the owner's label, in the characters that a client's name may have. */
static void client_name(const pawl_store *store, char ret_name[PAWL__REDIS_CLIENT_MAX + 1])
{
    snprintf(ret_name, PAWL__REDIS_CLIENT_MAX + 1, "pawl:%s", store->host->owner);
    for (char *c = ret_name; *c; c++)
        if (*c <= ' ' || *c > '~') *c = '-';
}

void pawl__redis_login_encode(const pawl_store *store, pawl__redis_hello *ret_words)
{
    const pawl__redis_config *config = &store->config;
    size_t n = 0;
    client_name(store, ret_words->name);
    ret_words->argv[n++] = text("HELLO");
    ret_words->argv[n++] = text("3");
    if (config->password) {
        ret_words->argv[n++] = text("AUTH");
        ret_words->argv[n++] = text(config->user ? config->user : "default");
        ret_words->argv[n++] = text(config->password);
    }
    ret_words->argv[n++] = text("SETNAME");
    ret_words->argv[n++] = text(ret_words->name);
    ret_words->argc = n;
}

/* HELLO contains the password, and a server quotes the arguments of an unknown command. */
pawl__redis_bytes pawl__redis_login_censor(const pawl_store *store, pawl__redis_bytes said,
                                           char room[PAWL_MESSAGE_MAX])
{
    const char *password = store->config.password;
    const char *arguments = strstr(said.data, ", with args");
    const char *secret = password && *password ? strstr(said.data, password) : NULL;
    size_t len = strlen(said.data);
    if (arguments) len = (size_t)(arguments - said.data);
    if (secret && (size_t)(secret - said.data) < len) len = (size_t)(secret - said.data);
    if (len > PAWL_MESSAGE_MAX - 1) len = PAWL_MESSAGE_MAX - 1;
    memcpy(room, said.data, len);
    room[len] = '\0';
    return (pawl__redis_bytes){room, len};
}

/* Whether the refusal passes by itself. If so, waiters go on waiting. */
static bool may_be_changing(pawl_store *store)
{
    pawl__redis_logging_in *login = &store->link.login;
    int64_t now = store->host->now();
    if (!store->config.password_file || !login->was_in) return false;
    if (!login->refused_since) login->refused_since = now;
    return now - login->refused_since < pawl__ms_to_ns(PAWL__REDIS_ROTATION_MS);
}

bool pawl__redis_login_refused(pawl_store *store, pawl_err err, const char *message)
{
    pawl__redis_logging_in *login = &store->link.login;
    login->refused = err == PAWL_ERR_AUTH && may_be_changing(store) ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(login->message, sizeof login->message, "%s", message);
    return store->config.password != NULL;
}

/* ---- What the server says of itself ------------------------------------------------------- */

const char *pawl__redis_login_told(const pawl__redis_value *answer, const char *key)
{
    if (answer->type != PAWL__REDIS_ARRAY) return "";
    for (size_t i = 0; i + 1 < answer->count; i += 2) {
        const pawl__redis_value *name = &answer->items[i], *value = &answer->items[i + 1];
        if (name->type != PAWL__REDIS_STRING || value->type != PAWL__REDIS_STRING) continue;
        if (strcmp(name->text.data, key) == 0) return value->text.data;
    }
    return "";
}

/*
 * What is written to a replica is gone when it next hears from its primary, even if the replica
 * accepts writes. After a failover behind one address the old primary answers as a replica. A
 * Sentinel keeps no locks.
 */
pawl_err pawl__redis_login_look(pawl_store *store, const pawl__redis_value *hello,
                                char ret_message[PAWL_MESSAGE_MAX])
{
    const char *role = pawl__redis_login_told(hello, "role"), *where = store->space.where;
    if (strcmp(pawl__redis_login_told(hello, "mode"), "sentinel") == 0) {
        snprintf(ret_message, PAWL_MESSAGE_MAX,
                 "%.200s: this is a Sentinel, which keeps no locks; ask it for the primary with "
                 "SENTINEL get-master-addr-by-name NAME, and write that address: redis://HOST:PORT",
                 where);
        return PAWL_ERR_UNSUPPORTED;
    }
    bool is_node = strcmp(pawl__redis_login_told(hello, "mode"), "cluster") == 0;
    store->link.login.cluster = is_node ? PAWL__REDIS_CLUSTER_ASKED : PAWL__REDIS_CLUSTER_NONE;
    if (strcmp(role, "replica") != 0 && strcmp(role, "slave") != 0) return PAWL_OK;
    snprintf(ret_message, PAWL_MESSAGE_MAX,
             "%.300s: the server is a replica; connect to the primary", where);
    return PAWL_ERR_READONLY;
}

/*
 * A node that shares the names with others would take some and refuse the rest, and the probe's key
 * is one of either kind by chance. So it is of no use, whatever the name. One that has all names is
 * as good as a single server. A user who may not ask learns it from the first name that is refused.
 */
pawl_err pawl__redis_login_look_at_cluster(pawl_store *store, const pawl__redis_value *info,
                                           char ret_message[PAWL_MESSAGE_MAX])
{
    static const char key[] = "cluster_size:"; /* nodes that have slots */
    const char *at = info->type == PAWL__REDIS_STRING ? strstr(info->text.data, key) : NULL;
    long nodes = at ? strtol(at + sizeof key - 1, NULL, 10) : 0;
    store->link.login.cluster = at ? PAWL__REDIS_CLUSTER_ALONE : PAWL__REDIS_CLUSTER_UNKNOWN;
    if (nodes <= 1) return PAWL_OK;
    snprintf(ret_message, PAWL_MESSAGE_MAX,
             "%.200s: the server is a node of a cluster, one of %ld that share the names; pawl "
             "needs a single Redis that has them all: write the address of one",
             store->space.where, nodes);
    return PAWL_ERR_UNSUPPORTED;
}
