/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memcached_url.h"

#include "../../base/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_MIN_MS 10
#define CONNECT_TIMEOUT_MAX_MS 600000

const char *const pawl__memcached_schemes[] = {"memcached", "memcached+unix", "memcache", NULL};
const char *const pawl__memcached_options[] = {"prefix", "guard", "guard_ms", "connect_timeout_ms",
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

static bool to_number(const char *text, int64_t min, int64_t max, int64_t *ret_number)
{
    int64_t number = 0;
    if (!*text || strlen(text) > 15) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        number = number * 10 + (*text - '0');
    }
    if (number < min || number > max) return false;
    *ret_number = number;
    return true;
}

/* False: it does not fit. An absent part is "". */
static bool copy(char *to, size_t room, const char *from)
{
    int n = snprintf(to, room, "%s", from ? from : "");
    return n >= 0 && (size_t)n < room;
}

/* ---- Options ------------------------------------------------------------------------------- */

static int take_span(const pawl_url *url, const pawl_url_option *option, int64_t min, int64_t max,
                     int64_t *ret_ms, char *reterr_message)
{
    if (to_number(option->value, min, max, ret_ms)) return PAWL_OK;
    return refuse(reterr_message, PAWL_ERR_OPTION, "%s: %s lies between %lld and %lld",
                  url->redacted, option->key, (long long)min, (long long)max);
}

static int take_prefix(pawl__memcached_config *config, const pawl_url *url, const char *value,
                       char *reterr_message)
{
    bool good = copy(config->prefix, sizeof config->prefix, value);
    for (const char *c = config->prefix; *c; c++) good = good && *c > ' ' && *c < 0x7f && *c != '%';
    if (good) return PAWL_OK;
    return refuse(reterr_message, PAWL_ERR_OPTION,
                  "%s: prefix has at most %d bytes of ASCII, no blanks and no %%", url->redacted,
                  PAWL__MEMCACHED_PREFIX_MAX);
}

static int take_guard(pawl__memcached_config *config, const pawl_url *url, const char *value,
                      char *reterr_message)
{
    config->guard = strcmp(value, "on") == 0;
    if (config->guard || strcmp(value, "off") == 0) return PAWL_OK;
    return refuse(reterr_message, PAWL_ERR_OPTION, "%s: guard is on or off", url->redacted);
}

static int take_option(pawl__memcached_config *config, const pawl_url *url,
                       const pawl_url_option *option, char *reterr_message)
{
    if (strcmp(option->key, "prefix") == 0)
        return take_prefix(config, url, option->value, reterr_message);
    if (strcmp(option->key, "guard") == 0)
        return take_guard(config, url, option->value, reterr_message);
    if (strcmp(option->key, "guard_ms") == 0)
        return take_span(url, option, PAWL__MEMCACHED_GUARD_MS_MIN, PAWL_TTL_MAX_MS,
                         &config->guard_ms, reterr_message);
    if (strcmp(option->key, "connect_timeout_ms") == 0)
        return take_span(url, option, CONNECT_TIMEOUT_MIN_MS, CONNECT_TIMEOUT_MAX_MS,
                         &config->connect_timeout_ms, reterr_message);
    return refuse(reterr_message, PAWL_ERR_OPTION,
                  "%s: unknown option \"%.40s\"; there are prefix, guard, guard_ms and "
                  "connect_timeout_ms",
                  url->redacted, option->key);
}

/* ---- The place ----------------------------------------------------------------------------- */

static int take_unix_path(pawl__memcached_config *config, const pawl_url *url, char *reterr_message)
{
    if ((url->host && *url->host) || url->path[0] != '/')
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%s: a socket is written memcached+unix:///run/memcached.sock",
                      url->redacted);
    if (!copy(config->unix_path, sizeof config->unix_path, url->path))
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%s: the socket's path is longer than the %zu bytes that the system allows",
                      url->redacted, sizeof config->unix_path - 1);
    snprintf(config->where, sizeof config->where, "memcached+unix://%s", config->unix_path);
    return PAWL_OK;
}

static int take_host(pawl__memcached_config *config, const pawl_url *url, char *reterr_message)
{
    const char *host = url->host && *url->host ? url->host : "127.0.0.1";
    if (!copy(config->host, sizeof config->host, host))
        return refuse(reterr_message, PAWL_ERR_URL, "%.200s: the host is too long", url->redacted);
    if (strchr(host, ','))
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: several hosts are given, and locks live on one server: write one "
                      "of them, as in memcached://host:11211",
                      url->redacted);
    if (url->port == 0 || url->port > 65535)
        return refuse(reterr_message, PAWL_ERR_URL, "%s: a port lies between 1 and 65535",
                      url->redacted);
    if (url->path[0] && strcmp(url->path, "/") != 0)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.300s: memcached has no databases: nothing stands behind the port",
                      url->redacted);
    config->port = url->port < 0 ? PAWL__MEMCACHED_PORT : url->port;
    snprintf(config->where, sizeof config->where,
             strchr(host, ':') ? "memcached://[%s]:%d" : "memcached://%s:%d", host, config->port);
    return PAWL_OK;
}

/* With a blank or a line's end in it the server would read another login. */
static bool is_of_one_word(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f) return false;
    return true;
}

static int take_login(pawl__memcached_config *config, const pawl_url *url, char *reterr_message)
{
    bool fits = copy(config->user, sizeof config->user, url->user) &&
                copy(config->password, sizeof config->password, url->password) &&
                is_of_one_word(config->user) && is_of_one_word(config->password);
    if (!fits)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.300s: a user and a password have at most %d bytes, and no blanks",
                      url->redacted, PAWL__MEMCACHED_LOGIN_MAX);
    if (!config->user[0] != !config->password[0])
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.300s: a login has a user and a password: user:password@", url->redacted);
    return PAWL_OK;
}

int pawl__memcached_config_init(pawl__memcached_config *ret_config, const pawl_url *url,
                                int64_t connect_timeout_ms, char *reterr_message)
{
    pawl__memcached_config config = {.prefix = PAWL__MEMCACHED_PREFIX_DEFAULT,
                                     .guard = true,
                                     .guard_ms = PAWL__MEMCACHED_GUARD_MS,
                                     .connect_timeout_ms = connect_timeout_ms};
    int err = strcmp(url->scheme, "memcached+unix") == 0
                  ? take_unix_path(&config, url, reterr_message)
                  : take_host(&config, url, reterr_message);
    if (!err) err = take_login(&config, url, reterr_message);
    for (size_t i = 0; !err && i < url->option_count; i++)
        err = take_option(&config, url, &url->options[i], reterr_message);
    if (!err) *ret_config = config;
    pawl__memcached_config_done(&config);
    return err;
}

void pawl__memcached_config_done(pawl__memcached_config *config)
{
    explicit_bzero(config->password, sizeof config->password);
}
