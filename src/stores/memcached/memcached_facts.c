/* SPDX-License-Identifier: MIT */
/* What all parts above the wire use: whether the link is up, and what the server says. */
#include "memcached_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pawl__memcached_is_up(const pawl_store *store)
{
    return store->link.phase == PAWL__MEMCACHED_UP && !store->link.broken;
}

bool pawl__memcached_wants_login(const pawl__memcached_answer *answer)
{
    return strstr(answer->text, "unauthenticated");
}

void pawl__memcached_not_understood(pawl_store *store, const pawl__memcached_answer *answer)
{
    char what[PAWL_MESSAGE_MAX];
    bool is_login = pawl__memcached_wants_login(answer);
    if (is_login)
        snprintf(what, sizeof what,
                 "the server wants a login: memcached://user:password@host:port");
    else if (answer->code == PAWL__MEMCACHED_ERROR)
        snprintf(what, sizeof what,
                 "the server knows no meta commands: pawl needs memcached "
                 "1.6.10 or newer");
    else
        snprintf(what, sizeof what, "the server refused a command: %.200s", answer->text);
    pawl__memcached_break(store, is_login ? PAWL_ERR_AUTH : PAWL_ERR_PROTOCOL, what);
}

static bool is_fact(const char *text, const char *name, const char **ret_value)
{
    size_t len = strlen(name);
    if (strncmp(text, name, len) != 0 || text[len] != ' ') return false;
    *ret_value = text + len + 1;
    return true;
}

void pawl__memcached_note_fact(pawl__memcached_facts *facts, const char *text)
{
    const char *value;
    if (is_fact(text, "version", &value)) {
        snprintf(facts->version, sizeof facts->version, "%s", value);
        facts->is_memcached = true;
    } else if (is_fact(text, "time", &value)) {
        facts->time_s = strtoll(value, NULL, 10);
    } else if (is_fact(text, "uptime", &value)) {
        facts->uptime_s = strtoll(value, NULL, 10);
    } else if (is_fact(text, "evictions", &value)) { /* a number in stats, on or off in settings */
        if (*value >= '0' && *value <= '9')
            facts->evictions = strtoull(value, NULL, 10);
        else
            facts->evicts = strcmp(value, "off") != 0;
    } else if (is_fact(text, "cmd_flush", &value)) {
        facts->flushes = strtoull(value, NULL, 10);
    } else if (is_fact(text, "bytes", &value)) {
        facts->bytes = strtoull(value, NULL, 10);
    } else if (is_fact(text, "limit_maxbytes", &value)) {
        facts->limit_bytes = strtoull(value, NULL, 10);
    }
}
