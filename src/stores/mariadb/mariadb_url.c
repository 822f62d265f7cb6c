/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mariadb_url.h"

#include "../../base/line.h"
#include "../common/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MIN_MS 10
#define CONNECT_TIMEOUT_MAX_MS 600000
#define VALUE_MAX              4096

const char *const pawl__mariadb_schemes[] = {"mariadb", "mysql", NULL};

/* First those of libmariadb, in the order of pawl__mariadb_word. */
const char *const pawl__mariadb_options[] = {
    "ssl_ca",  "ssl_capath",    "ssl_cert",           "ssl_key",
    "ssl_crl", "ssl_cipher",    "tls_version",        "ssl",
    "socket",  "password_file", "connect_timeout_ms", NULL};

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

static const char *option_of(const pawl_url *url, const char *key)
{
    for (size_t i = 0; i < url->option_count; i++)
        if (strcmp(url->options[i].key, key) == 0) return url->options[i].value;
    return NULL;
}

/* True if there is nothing to copy. */
static bool copy(char **ret_copy, const char *text)
{
    if (!text || !*text) return true;
    *ret_copy = strdup(text);
    return *ret_copy;
}

/* ---- Options ------------------------------------------------------------------------------- */

static int check_options(const pawl_url *url, char *reterr_message)
{
    for (size_t i = 0; i < url->option_count; i++) {
        const pawl_url_option *option = &url->options[i];
        const char *const *known = pawl__mariadb_options;
        while (*known && strcmp(*known, option->key) != 0) known++;
        if (!*known)
            return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: unknown option \"%.40s\"",
                          url->redacted, option->key);
        if (strlen(option->value) > VALUE_MAX)
            return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: %.40s has at most %d bytes",
                          url->redacted, option->key, VALUE_MAX);
    }
    return PAWL_OK;
}

static int take_words(pawl__mariadb_config *config, const pawl_url *url, char *reterr_message)
{
    const char *ssl = option_of(url, "ssl");
    bool named = false;
    for (int i = 0; i < PAWL__MARIADB_WORD_COUNT; i++) {
        if (!copy(&config->words[i], option_of(url, pawl__mariadb_options[i])))
            return PAWL_ERR_NO_MEMORY;
        named = named || config->words[i];
    }
    if (!ssl) /* who names certificates wants them to be looked at */
        config->tls = named ? PAWL__MARIADB_TLS_VERIFY : PAWL__MARIADB_TLS_OFF;
    else if (strcmp(ssl, "verify") == 0)
        config->tls = PAWL__MARIADB_TLS_VERIFY;
    else if (strcmp(ssl, "on") == 0)
        config->tls = PAWL__MARIADB_TLS_ON;
    else if (strcmp(ssl, "off") != 0)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: ssl is off, on or verify",
                      url->redacted);
    else if (named)
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: ssl=off, and options of TLS beside it", url->redacted);
    return PAWL_OK;
}

static int take_timeout(pawl__mariadb_config *config, const pawl_url *url, char *reterr_message)
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

static int take_login(pawl__mariadb_config *config, const pawl_url *url, char *reterr_message)
{
    const char *file = option_of(url, "password_file");
    if (file && url->password)
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: the password is given twice: in the address and by password_file",
                      url->redacted);
    if (!copy(&config->user, url->user) || !copy(&config->password, url->password) ||
        !copy(&config->password_file, file))
        return PAWL_ERR_NO_MEMORY;
    if (!file) return PAWL_OK;
    bool exposed;
    char why[PAWL_MESSAGE_MAX - 220] = "";
    char *password = pawl__secret_read(file, &exposed, why, sizeof why);
    if (!password) return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: %s", url->redacted, why);
    pawl__secret_free(password); /* it is read again for each connection */
    return PAWL_OK;
}

/* It becomes part of statements, between backticks. */
static int take_database(pawl__mariadb_config *config, const pawl_url *url, char *reterr_message)
{
    const char *path = url->path ? url->path : "";
    const char *name = path[0] == '/' ? path + 1 : path;
    if (!*name) name = PAWL__MARIADB_DATABASE_DEFAULT;
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_$-");
    if ((path[0] && path[0] != '/') || name[len] || len > PAWL__MARIADB_NAME_MAX)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: expected mysql://host/database, whose name has at most %d letters, "
                      "digits, _, $ and -",
                      url->redacted, PAWL__MARIADB_NAME_MAX);
    snprintf(config->database, sizeof config->database, "%s", name);
    return PAWL_OK;
}

/* ---- Places -------------------------------------------------------------------------------- */

static int add_place(pawl__mariadb_config *config, const pawl_url *url, const char *host,
                     size_t len, long port, char *reterr_message)
{
    if (config->place_count == PAWL__MARIADB_HOSTS_MAX)
        return refuse(reterr_message, PAWL_ERR_URL, "%.200s: more than %d hosts", url->redacted,
                      PAWL__MARIADB_HOSTS_MAX);
    if (port < 0 || port > 65535 || (len == 0 && config->place_count > 0))
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: expected host:port, and a port lies between 1 and 65535",
                      url->redacted);
    pawl__mariadb_place *place = &config->places[config->place_count++];
    place->port = (unsigned)port;
    if (len > 0) place->host = strndup(host, len);
    return len == 0 || place->host ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

/* "a:1,[::1]:2" */
static int take_several(pawl__mariadb_config *config, const pawl_url *url, char *reterr_message)
{
    for (const char *at = url->host;; at++) {
        const char *end = at + strcspn(at, ","), *host = at;
        const char *bracket = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
        if (bracket) host++;
        const char *after = bracket ? bracket : at;
        const char *colon = memchr(after, ':', (size_t)(end - after));
        const char *host_end = bracket ? bracket : colon ? colon : end;
        char *number_end = NULL;
        long port = colon ? strtol(colon + 1, &number_end, 10) : 0;
        if (colon && (number_end != end || port == 0)) port = -1;
        int err = add_place(config, url, host, (size_t)(host_end - host), port, reterr_message);
        if (err) return err;
        at = end;
        if (!*at) return PAWL_OK;
    }
}

static int take_places(pawl__mariadb_config *config, const pawl_url *url, char *reterr_message)
{
    const char *socket = option_of(url, "socket");
    bool has_host = url->host && *url->host;
    if (socket && has_host)
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: a host and a socket; write one of them, as in "
                      "mysql:///database?socket=/run/mysqld/mysqld.sock",
                      url->redacted);
    if (socket && *socket != '/')
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: socket is a path that begins with /", url->redacted);
    if (!copy(&config->socket, socket)) return PAWL_ERR_NO_MEMORY;
    if (has_host && strchr(url->host, ',')) return take_several(config, url, reterr_message);
    const char *host = has_host ? url->host : "";
    return add_place(config, url, host, strlen(host), url->port > 0 ? url->port : 0,
                     reterr_message);
}

/* Short, without login and options: every message begins with it. */
static void name_it(pawl__mariadb_config *config, const pawl_url *url)
{
    char port[16] = "";
    if (url->port > 0) snprintf(port, sizeof port, ":%d", url->port);
    snprintf(config->where, sizeof config->where, "mysql://%.100s%s/%.64s",
             url->host ? url->host : "", port, config->database);
    pawl__line_mend(config->where);
}

/* ---- Life ---------------------------------------------------------------------------------- */

int pawl__mariadb_config_new(pawl__mariadb_config **ret_config, const pawl_url *url,
                             int64_t connect_timeout_ms, char *reterr_message)
{
    pawl__mariadb_config *config = calloc(1, sizeof *config);
    reterr_message[0] = '\0';
    int err = config ? PAWL_OK : PAWL_ERR_NO_MEMORY;
    if (config) {
        atomic_init(&config->users, 1);
        config->connect_timeout_ms = connect_timeout_ms;
        err = check_options(url, reterr_message);
        if (!err) err = take_database(config, url, reterr_message);
        if (!err) err = take_timeout(config, url, reterr_message);
        if (!err) err = take_words(config, url, reterr_message);
        if (!err) err = take_login(config, url, reterr_message);
        if (!err) err = take_places(config, url, reterr_message);
        if (!err) name_it(config, url);
    }
    if (err) {
        pawl__mariadb_config_unref(config);
        if (!reterr_message[0]) refuse(reterr_message, err, "%s", pawl_err_text(err));
        return err;
    }
    *ret_config = config;
    return PAWL_OK;
}

pawl__mariadb_config *pawl__mariadb_config_ref(pawl__mariadb_config *config)
{
    atomic_fetch_add_explicit(&config->users, 1, memory_order_relaxed);
    return config;
}

void pawl__mariadb_config_unref(pawl__mariadb_config *config)
{
    if (!config || atomic_fetch_sub_explicit(&config->users, 1, memory_order_acq_rel) != 1) return;
    pawl__secret_free(config->password);
    free(config->user);
    free(config->password_file);
    free(config->socket);
    for (size_t i = 0; i < PAWL__MARIADB_WORD_COUNT; i++) free(config->words[i]);
    for (size_t i = 0; i < config->place_count; i++) free(config->places[i].host);
    free(config);
}
