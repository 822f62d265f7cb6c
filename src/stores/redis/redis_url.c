/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_url.h"
#include "redis_secret.h"

#include "../../base/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define CONNECT_TIMEOUT_MIN_MS 10
#define CONNECT_TIMEOUT_MAX_MS 600000

const char *const pawl__redis_schemes[] = {"redis", "rediss", "redis+unix", NULL};
const char *const pawl__redis_options[] = {
    "prefix",  "db",       "connect_timeout_ms", "password_file", "tls_ca",   "tls_cert",
    "tls_key", "tls_name", "tls_verify",         "guard",         "guard_ms", "watch",
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

static bool to_number(const char *string, int64_t min, int64_t max, int64_t *ret_number)
{
    int64_t number = 0;
    if (!*string || strlen(string) > 15) return false;
    for (; *string; string++) {
        if (*string < '0' || *string > '9') return false;
        number = number * 10 + (*string - '0');
    }
    if (number < min || number > max) return false;
    *ret_number = number;
    return true;
}

static int take_db(pawl__redis_config *config, const pawl_url *url, const char *string, bool *given,
                   char *reterr_message)
{
    int64_t db;
    if (*given)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: the database is given twice",
                      url->redacted);
    if (!to_number(string, 0, PAWL__REDIS_DB_MAX, &db))
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: \"%.40s\" is not a database's number",
                      url->redacted, string);
    config->db = (int)db;
    *given = true;
    return PAWL_OK;
}

/* Where the value of a TLS option goes; NULL: it is no TLS option, or it has no text. */
static char **tls_text(pawl__redis_config *config, const char *key)
{
    if (strcmp(key, "tls_ca") == 0) return &config->tls_ca;
    if (strcmp(key, "tls_cert") == 0) return &config->tls_cert;
    if (strcmp(key, "tls_key") == 0) return &config->tls_key;
    if (strcmp(key, "tls_name") == 0) return &config->tls_name;
    return NULL;
}

static int take_tls_option(pawl__redis_config *config, const pawl_url *url,
                           const pawl_url_option *option, char *reterr_message)
{
    char **text = tls_text(config, option->key);
    if (!config->tls)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: %s is for rediss:// alone",
                      url->redacted, option->key);
    if (text) {
        size_t most = text == &config->tls_name ? PAWL__REDIS_HOST_MAX : PAWL__REDIS_PATH_MAX;
        if (!option->value[0] || strlen(option->value) > most || *text)
            return refuse(reterr_message, PAWL_ERR_OPTION,
                          "%s: %s is given once, and has 1 to %zu bytes", url->redacted,
                          option->key, most);
        *text = strdup(option->value);
        return *text ? PAWL_OK : PAWL_ERR_NO_MEMORY;
    }
    config->tls_unverified = strcmp(option->value, "none") == 0;
    if (!config->tls_unverified && strcmp(option->value, "full") != 0)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: tls_verify is full or none",
                      url->redacted);
    return PAWL_OK;
}

static bool is_tls_option(const char *key)
{
    return strncmp(key, "tls_", 4) == 0 &&
           (strcmp(key, "tls_verify") == 0 || tls_text(&(pawl__redis_config){0}, key));
}

static int take_guard(pawl__redis_config *config, const pawl_url *url,
                      const pawl_url_option *option, char *reterr_message)
{
    static const char *const modes[] = {[PAWL__REDIS_GUARD_AUTO] = "auto",
                                        [PAWL__REDIS_GUARD_OFF] = "off",
                                        [PAWL__REDIS_GUARD_ON] = "on"};
    if (strcmp(option->key, "guard_ms") == 0) {
        if (to_number(option->value, PAWL__REDIS_GUARD_MS_MIN, PAWL__REDIS_GUARD_MS_MAX,
                      &config->guard_ms))
            return PAWL_OK;
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: guard_ms lies between %d and %d",
                      url->redacted, PAWL__REDIS_GUARD_MS_MIN, PAWL__REDIS_GUARD_MS_MAX);
    }
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(option->value, modes[i]) != 0) continue;
        config->guard = (pawl__redis_guard_mode)i;
        return PAWL_OK;
    }
    return refuse(reterr_message, PAWL_ERR_OPTION, "%s: guard is on, off or auto", url->redacted);
}

static int take_watch(pawl__redis_config *config, const pawl_url *url, const char *mode,
                      char *reterr_message)
{
    static const char *const modes[] = {[PAWL__REDIS_WATCH_OFF] = "off",
                                        [PAWL__REDIS_WATCH_AUTO] = "auto",
                                        [PAWL__REDIS_WATCH_ON] = "on"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        if (strcmp(mode, modes[i]) != 0) continue;
        config->watch = (pawl__redis_watch_mode)i;
        return PAWL_OK;
    }
    return refuse(reterr_message, PAWL_ERR_OPTION, "%s: watch is on, off or auto", url->redacted);
}

/* It is read at open as well, so that a wrong path is told at once. */
static int take_password_file(pawl__redis_config *config, const pawl_url *url, const char *file,
                              char *reterr_message)
{
    char why[PAWL_MESSAGE_MAX / 2];
    if (config->password || config->password_file)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: the password is given twice",
                      url->redacted);
    if (!*file || strlen(file) > PAWL__REDIS_PATH_MAX || (file[0] != '/' && strchr(file, '/')))
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%s: password_file is a path that begins with /, or the name of a credential",
                      url->redacted);
    config->password = pawl__secret_read(file, &config->password_exposed, why, sizeof why);
    if (!config->password)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%.250s: %s", url->redacted, why);
    config->password_file = strdup(file);
    return config->password_file ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

static int take_option(pawl__redis_config *config, const pawl_url *url,
                       const pawl_url_option *option, bool *db_given, char *reterr_message)
{
    pawl__redis_space scratch;
    if (strcmp(option->key, "db") == 0)
        return take_db(config, url, option->value, db_given, reterr_message);
    if (strcmp(option->key, "prefix") == 0) {
        if (!pawl__redis_space_init(&scratch, option->value, "", ""))
            return refuse(reterr_message, PAWL_ERR_OPTION,
                          "%s: prefix has at most %d bytes and no blanks", url->redacted,
                          PAWL__REDIS_PREFIX_MAX);
        memcpy(config->prefix, scratch.prefix, sizeof config->prefix);
        return PAWL_OK;
    }
    if (strcmp(option->key, "connect_timeout_ms") == 0) {
        if (!to_number(option->value, CONNECT_TIMEOUT_MIN_MS, CONNECT_TIMEOUT_MAX_MS,
                       &config->connect_timeout_ms))
            return refuse(reterr_message, PAWL_ERR_OPTION,
                          "%s: connect_timeout_ms lies between %d and %d", url->redacted,
                          CONNECT_TIMEOUT_MIN_MS, CONNECT_TIMEOUT_MAX_MS);
        return PAWL_OK;
    }
    if (strcmp(option->key, "password_file") == 0)
        return take_password_file(config, url, option->value, reterr_message);
    if (strcmp(option->key, "guard") == 0 || strcmp(option->key, "guard_ms") == 0)
        return take_guard(config, url, option, reterr_message);
    if (strcmp(option->key, "watch") == 0)
        return take_watch(config, url, option->value, reterr_message);
    if (is_tls_option(option->key)) return take_tls_option(config, url, option, reterr_message);
    return refuse(
        reterr_message, PAWL_ERR_OPTION,
        "%s: unknown option \"%.40s\"; there are prefix, db, connect_timeout_ms, password_file, "
        "guard, guard_ms, watch, and for rediss:// tls_ca, tls_cert, tls_key, tls_name, tls_verify",
        url->redacted, option->key);
}

static int take_unix_path(pawl__redis_config *config, const pawl_url *url, char *reterr_message)
{
    size_t room = sizeof((struct sockaddr_un *)NULL)->sun_path;
    if (url->host && *url->host)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%s: a socket's path has three slashes: redis+unix:///run/redis.sock",
                      url->redacted);
    if (!url->path || url->path[0] != '/')
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%s: the socket's path is missing: redis+unix:///run/redis.sock",
                      url->redacted);
    if (strlen(url->path) >= room)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%s: the socket's path is longer than the %zu bytes that the system allows",
                      url->redacted, room - 1);
    config->unix_path = strdup(url->path);
    return config->unix_path ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

static int take_host(pawl__redis_config *config, const pawl_url *url, bool *db_given,
                     char *reterr_message)
{
    const char *host = url->host && *url->host ? url->host : "127.0.0.1";
    if (strlen(host) > PAWL__REDIS_HOST_MAX)
        return refuse(reterr_message, PAWL_ERR_URL, "%s: the host is too long", url->redacted);
    if (strchr(host, ','))
        return refuse(
            reterr_message, PAWL_ERR_URL,
            "%s: several hosts are given, and locks live on one server: write one of them, "
            "as in redis://host:6379",
            url->redacted);
    if (url->port == 0 || url->port > 65535)
        return refuse(reterr_message, PAWL_ERR_URL, "%s: a port lies between 1 and 65535",
                      url->redacted);
    config->port = url->port < 0 ? PAWL__REDIS_PORT : url->port;
    if (url->path && url->path[0] == '/' && url->path[1]) {
        int err = take_db(config, url, url->path + 1, db_given, reterr_message);
        if (err) return err == PAWL_ERR_OPTION ? PAWL_ERR_URL : err;
    }
    config->host = strdup(host);
    return config->host ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

static int take_login(pawl__redis_config *config, const pawl_url *url)
{
    bool user = url->user && *url->user, password = url->password && *url->password;
    if (user && !(config->user = strdup(url->user))) return PAWL_ERR_NO_MEMORY;
    if (password && !(config->password = strdup(url->password))) return PAWL_ERR_NO_MEMORY;
    return PAWL_OK;
}

/* Takes from the environment what the URL does not say. */
static int complete_login(pawl__redis_config *config, const pawl_url *url, char *reterr_message)
{
    if (!config->password && !pawl__redis_secret_of_environment(&config->password))
        return PAWL_ERR_NO_MEMORY;
    if (config->user && !config->password)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%s: a user needs a password: user:password@, password_file=, "
                      "or $PAWL_REDIS_PASSWORD",
                      url->redacted);
    return PAWL_OK;
}

static int take_url(pawl__redis_config *config, const pawl_url *url, char *reterr_message)
{
    bool db_given = false;
    config->tls = strcmp(url->scheme, "rediss") == 0;
    int err = take_login(config, url);
    if (err) return err;
    if (strcmp(url->scheme, "redis+unix") == 0)
        err = take_unix_path(config, url, reterr_message);
    else
        err = take_host(config, url, &db_given, reterr_message);
    if (err) return err;
    for (size_t i = 0; i < url->option_count; i++) {
        err = take_option(config, url, &url->options[i], &db_given, reterr_message);
        if (err) return err;
    }
    err = complete_login(config, url, reterr_message);
    if (err) return err;
    if (config->tls_key && !config->tls_cert)
        return refuse(reterr_message, PAWL_ERR_OPTION, "%s: tls_key needs tls_cert", url->redacted);
    /* Short, without login and options: every message begins with it. */
    int n = config->host ? asprintf(&config->where,
                                    strchr(config->host, ':') ? "%s://[%s]:%d" : "%s://%s:%d",
                                    url->scheme, config->host, config->port)
                         : asprintf(&config->where, "redis+unix://%s", config->unix_path);
    if (n < 0) {
        config->where = NULL;
        return PAWL_ERR_NO_MEMORY;
    }
    return PAWL_OK;
}

int pawl__redis_config_init(pawl__redis_config *ret_config, const pawl_url *url,
                            int64_t connect_timeout_ms, char *reterr_message)
{
    pawl__redis_config config = {.prefix = PAWL__REDIS_PREFIX_DEFAULT,
                                 .connect_timeout_ms = connect_timeout_ms,
                                 .guard_ms = PAWL__REDIS_GUARD_MS_DEFAULT,
                                 .watch = PAWL__REDIS_WATCH_AUTO};
    reterr_message[0] = '\0';
    int err = take_url(&config, url, reterr_message);
    if (err) {
        pawl__redis_config_done(&config);
        if (!reterr_message[0]) refuse(reterr_message, err, "%s", "out of memory");
        return err;
    }
    *ret_config = config;
    return PAWL_OK;
}

void pawl__redis_config_done(pawl__redis_config *config)
{
    free(config->user);
    pawl__secret_free(config->password);
    free(config->password_file);
    free(config->host);
    free(config->unix_path);
    free(config->where);
    free(config->tls_ca);
    free(config->tls_cert);
    free(config->tls_key);
    free(config->tls_name);
    memset(config, 0, sizeof *config);
}
