/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "postgres_url.h"

#include "../../base/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MIN_MS 10
#define CONNECT_TIMEOUT_MAX_MS 600000
#define VALUE_MAX              4096

const char *const pawl__postgres_schemes[] = {"postgres", "postgresql", NULL};

/* Ours first; the others are libpq's own, by its names and with its meaning. */
static const char *const ours[] = {"schema", "connect_timeout_ms", "host", "port", NULL};
const char *const pawl__postgres_options[] = {"schema",
                                              "connect_timeout_ms",
                                              "host",
                                              "port",
                                              "service",
                                              "passfile",
                                              "target_session_attrs",
                                              "sslmode",
                                              "sslrootcert",
                                              "sslcert",
                                              "sslkey",
                                              "sslcrl",
                                              "sslcrldir",
                                              "sslsni",
                                              "ssl_min_protocol_version",
                                              "ssl_max_protocol_version",
                                              "channel_binding",
                                              "gssencmode",
                                              "krbsrvname",
                                              "gsslib",
                                              "requirepeer",
                                              "keepalives",
                                              "keepalives_idle",
                                              "keepalives_interval",
                                              "keepalives_count",
                                              "tcp_user_timeout",
                                              "application_name",
                                              NULL};

__attribute__((format(printf, 3, 4))) static int refuse(char *reterr_message, int err,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(reterr_message, PAWL_MESSAGE_MAX, format, args);
    va_end(args);
    pawl__line_mend(reterr_message);
    return err;
}

static bool is_in(const char *const *list, const char *key)
{
    for (; *list; list++)
        if (strcmp(*list, key) == 0) return true;
    return false;
}

static const char *option_of(const pawl_url *url, const char *key)
{
    for (size_t i = 0; i < url->option_count; i++)
        if (strcmp(url->options[i].key, key) == 0) return url->options[i].value;
    return NULL;
}

/* ---- Words for libpq ----------------------------------------------------------------------- */

/* False when out of memory. There is room: the URL's options are bounded. */
static bool add_word(pawl__postgres_config *config, const char *keyword, const char *value)
{
    char *k = strdup(keyword), *v = strdup(value);
    if (!k || !v) {
        free(k);
        free(v);
        return false;
    }
    config->keywords[config->word_count] = k;
    config->values[config->word_count++] = v;
    return true;
}

static bool add_if_given(pawl__postgres_config *config, const char *keyword, const char *value)
{
    return !value || !*value || add_word(config, keyword, value);
}

/* "pawl:" and the label, in characters that every server shows. */
static bool add_application(pawl__postgres_config *config, const pawl_url *url, const char *owner)
{
    char name[PAWL__POSTGRES_NAME_MAX + 1];
    if (option_of(url, "application_name")) return true;
    snprintf(name, sizeof name, "pawl:%s", owner);
    for (char *c = name; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    return add_word(config, "application_name", name);
}

static int take_words(pawl__postgres_config *config, const pawl_url *url, const char *owner,
                      char *reterr_message)
{
    const char *database = url->path && url->path[0] == '/' ? url->path + 1 : "";
    if (url->path && url->path[0] && url->path[0] != '/')
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: expected postgres://host/database, or postgres:///database",
                      url->redacted);
    if (strlen(database) > PAWL__POSTGRES_NAME_MAX)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: a database's name has at most %d bytes", url->redacted,
                      PAWL__POSTGRES_NAME_MAX);
    if (!add_if_given(config, "user", url->user) ||
        !add_if_given(config, "password", url->password) ||
        !add_if_given(config, "dbname", database) || !add_application(config, url, owner))
        return PAWL_ERR_NO_MEMORY;
    /* Locks need a server that takes writes: of several hosts, the one that is the primary now. */
    if (!option_of(url, "target_session_attrs") &&
        !add_word(config, "target_session_attrs", "read-write"))
        return PAWL_ERR_NO_MEMORY;
    for (size_t i = 0; i < url->option_count; i++) {
        const pawl_url_option *option = &url->options[i];
        if (is_in(ours, option->key)) continue;
        if (!is_in(pawl__postgres_options, option->key))
            return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: unknown option \"%.40s\"",
                          url->redacted, option->key);
        if (strlen(option->value) > VALUE_MAX)
            return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: %.40s has at most %d bytes",
                          url->redacted, option->key, VALUE_MAX);
        if (!add_word(config, option->key, option->value)) return PAWL_ERR_NO_MEMORY;
    }
    return PAWL_OK;
}

/* ---- Places -------------------------------------------------------------------------------- */

static int add_place(pawl__postgres_config *config, const pawl_url *url, const char *host,
                     size_t host_len, const char *port, size_t port_len, char *reterr_message)
{
    if (config->place_count == PAWL__POSTGRES_HOSTS_MAX)
        return refuse(reterr_message, PAWL_ERR_URL, "%.200s: more than %d hosts", url->redacted,
                      PAWL__POSTGRES_HOSTS_MAX);
    pawl__postgres_place *place = &config->places[config->place_count++];
    if (host_len > 0 && !(place->host = strndup(host, host_len))) return PAWL_ERR_NO_MEMORY;
    if (port_len > 0 && !(place->port = strndup(port, port_len))) return PAWL_ERR_NO_MEMORY;
    return PAWL_OK;
}

/* The options: "a,b" and "1,2", or one port for all. */
static int take_lists(pawl__postgres_config *config, const pawl_url *url, const char *hosts,
                      const char *ports, char *reterr_message)
{
    bool one_port = !strchr(ports, ',');
    for (;;) {
        size_t host_len = strcspn(hosts, ","), port_len = strcspn(ports, ",");
        int err = add_place(config, url, hosts, host_len, ports, port_len, reterr_message);
        if (err) return err;
        hosts += host_len;
        if (!*hosts) break;
        hosts++;
        if (one_port) continue;
        ports += port_len;
        if (*ports) ports++;
    }
    if (!one_port && strchr(ports, ','))
        return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: there are more ports than hosts",
                      url->redacted);
    return PAWL_OK;
}

/* The address: "a:1,[::1]:2". A host without a port gets libpq's default port. */
static int take_authority(pawl__postgres_config *config, const pawl_url *url, char *reterr_message)
{
    for (const char *at = url->host;; at++) {
        const char *end = at + strcspn(at, ","), *host = at;
        /* A bracket written as %5B may have no other one: then it is part of the name. */
        const char *bracket = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
        if (bracket) host++;
        const char *after = bracket ? bracket : at;
        const char *colon = memchr(after, ':', (size_t)(end - after));
        const char *host_end = bracket ? bracket : colon ? colon : end;
        const char *port = colon ? colon + 1 : end;
        int err = add_place(config, url, host, (size_t)(host_end - host), port,
                            (size_t)(end - port), reterr_message);
        if (err) return err;
        at = end;
        if (!*at) return PAWL_OK;
    }
}

static int take_places(pawl__postgres_config *config, const pawl_url *url, char *reterr_message)
{
    char number[16] = "";
    bool has_host = url->host && *url->host, several = has_host && strchr(url->host, ',');
    const char *hosts = has_host ? url->host : option_of(url, "host");
    const char *ports = option_of(url, "port");
    if (url->port > 0) snprintf(number, sizeof number, "%d", url->port);
    if (number[0]) ports = number;
    if (!hosts) hosts = "";
    if (has_host && option_of(url, "host"))
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: the host is given twice, in the address and as an option",
                      url->redacted);
    if (option_of(url, "port") && (number[0] || (several && strchr(hosts, ':'))))
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: write ports behind the hosts of the address, and not as an option",
                      url->redacted);
    if (strlen(hosts) > VALUE_MAX || (ports && strlen(ports) > VALUE_MAX))
        return refuse(reterr_message, PAWL_ERR_URL, "%.200s: the hosts are too long",
                      url->redacted);
    if (several && !ports) return take_authority(config, url, reterr_message);
    return take_lists(config, url, hosts, ports ? ports : "", reterr_message);
}

/* ---- Our own options ----------------------------------------------------------------------- */

/* It becomes part of statements: small letters, digits and _ need no quotes. */
static int take_schema(pawl__postgres_config *config, const pawl_url *url, char *reterr_message)
{
    const char *schema = option_of(url, "schema");
    if (!schema) schema = PAWL__POSTGRES_SCHEMA_DEFAULT;
    size_t len = strspn(schema, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (!*schema || schema[len] || len > PAWL__POSTGRES_NAME_MAX ||
        (*schema >= '0' && *schema <= '9') || strncmp(schema, "pg_", 3) == 0)
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: schema has 1 to %d small letters, digits and _, and does not begin "
                      "with a digit or pg_",
                      url->redacted, PAWL__POSTGRES_NAME_MAX);
    snprintf(config->schema, sizeof config->schema, "%s", schema);
    return PAWL_OK;
}

static int take_timeout(pawl__postgres_config *config, const pawl_url *url, char *reterr_message)
{
    const char *text = option_of(url, "connect_timeout_ms");
    if (!text) return PAWL_OK;
    size_t digits = strspn(text, "0123456789");
    long long ms = digits && digits < 10 && !text[digits] ? strtoll(text, NULL, 10) : 0;
    if (ms < CONNECT_TIMEOUT_MIN_MS || ms > CONNECT_TIMEOUT_MAX_MS)
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: connect_timeout_ms lies between %d and %d", url->redacted,
                      CONNECT_TIMEOUT_MIN_MS, CONNECT_TIMEOUT_MAX_MS);
    config->connect_timeout_ms = ms;
    return PAWL_OK;
}

/* Short, without login and options: every message begins with it. */
static void name_it(pawl__postgres_config *config, const pawl_url *url)
{
    const char *service = option_of(url, "service");
    const char *host = url->host && *url->host ? url->host : option_of(url, "host");
    char port[16] = "";
    if (url->port > 0) snprintf(port, sizeof port, ":%d", url->port);
    if (service && !host)
        snprintf(config->where, sizeof config->where, "postgres service %.100s", service);
    else if (host && *host == '/')
        snprintf(config->where, sizeof config->where, "postgres in %.100s%.60s", host, url->path);
    else
        snprintf(config->where, sizeof config->where, "postgres://%.100s%s%.64s", host ? host : "",
                 port, url->path ? url->path : "");
    pawl__line_mend(config->where);
}

int pawl__postgres_config_init(pawl__postgres_config *ret_config, const pawl_url *url,
                               const char *owner, int64_t connect_timeout_ms, char *reterr_message)
{
    pawl__postgres_config config = {.connect_timeout_ms = connect_timeout_ms};
    reterr_message[0] = '\0';
    name_it(&config, url);
    int err = take_schema(&config, url, reterr_message);
    if (!err) err = take_timeout(&config, url, reterr_message);
    if (!err) err = take_words(&config, url, owner, reterr_message);
    if (!err) err = take_places(&config, url, reterr_message);
    if (err) {
        pawl__postgres_config_done(&config);
        if (!reterr_message[0]) refuse(reterr_message, err, "%s", "out of memory");
        return err;
    }
    *ret_config = config;
    return PAWL_OK;
}

bool pawl__postgres_config_copy(pawl__postgres_config *ret_copy,
                                const pawl__postgres_config *config)
{
    pawl__postgres_config copy = *config;
    bool good = true;
    copy.word_count = 0;
    memset(copy.keywords, 0, sizeof copy.keywords);
    memset(copy.values, 0, sizeof copy.values);
    memset(copy.places, 0, sizeof copy.places);
    for (size_t i = 0; good && i < config->word_count; i++)
        good = add_word(&copy, config->keywords[i], config->values[i]);
    for (size_t i = 0; good && i < config->place_count; i++) {
        const pawl__postgres_place *from = &config->places[i];
        if (from->host) good = (copy.places[i].host = strdup(from->host)) != NULL;
        if (good && from->port) good = (copy.places[i].port = strdup(from->port)) != NULL;
    }
    if (good)
        *ret_copy = copy;
    else
        pawl__postgres_config_done(&copy);
    return good;
}

void pawl__postgres_config_done(pawl__postgres_config *config)
{
    for (size_t i = 0; i < config->word_count; i++) {
        if (strcmp(config->keywords[i], "password") == 0)
            explicit_bzero(config->values[i], strlen(config->values[i]));
        free(config->keywords[i]);
        free(config->values[i]);
    }
    for (size_t i = 0; i < config->place_count; i++) {
        free(config->places[i].host);
        free(config->places[i].port);
    }
    memset(config, 0, sizeof *config);
}
