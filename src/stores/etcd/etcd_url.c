/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "etcd_url.h"

#include "../../base/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MIN_MS 10
#define CONNECT_TIMEOUT_MAX_MS 600000

const char *const pawl__etcd_schemes[] = {"etcd", "etcds", NULL};
const char *const pawl__etcd_options[] = {"token", "cacert", "cert", "key", "connect_timeout_ms",
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

/* ---- Endpoints ----------------------------------------------------------------------------- */

/* Whether it is a host as a URL has it; what is between brackets is an IPv6 address. */
static bool is_host(const char *host, size_t len)
{
    bool bracketed = len > 2 && host[0] == '[' && host[len - 1] == ']';
    const char *allowed = bracketed ? "0123456789abcdefABCDEF:.%"
                                    : "0123456789abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._";
    if (bracketed) host++, len -= 2;
    return len > 0 && strspn(host, allowed) >= len;
}

static bool is_port(const char *text, size_t len)
{
    if (len == 0 || len > 5 || strspn(text, "0123456789") < len) return false;
    long port = strtol(text, NULL, 10);
    return port > 0 && port <= 65535;
}

/* One of the list; `host` may have a port, and brackets. */
static int add_endpoint(pawl__etcd_config *config, const pawl_url *url, bool tls, const char *host,
                        size_t len, char *reterr_message)
{
    const char *colon = memrchr(host, ':', len), *bracket = memrchr(host, ']', len);
    size_t name_len = len;
    if (colon && (!bracket || colon > bracket)) name_len = (size_t)(colon - host);
    size_t port_len = len - name_len;
    bool has_port = port_len > 0;
    if (!is_host(host, name_len) || (has_port && !is_port(host + name_len + 1, port_len - 1)))
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: a server is written host or host:port, several with commas: "
                      "etcd://a:2379,b:2379,c:2379/prefix",
                      url->redacted);
    if (config->endpoint_count == PAWL__ETCD_ENDPOINTS_MAX || len > 270)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: at most %d servers, each of at most 270 bytes", url->redacted,
                      PAWL__ETCD_ENDPOINTS_MAX);
    char *to = config->endpoints[config->endpoint_count++];
    int n =
        snprintf(to, PAWL__ETCD_ENDPOINT_MAX, "%s://%.*s", tls ? "https" : "http", (int)len, host);
    if (!has_port) snprintf(to + n, PAWL__ETCD_ENDPOINT_MAX - (size_t)n, ":%d", PAWL__ETCD_PORT);
    return PAWL_OK;
}

static int take_hosts(pawl__etcd_config *config, const pawl_url *url, char *reterr_message)
{
    bool tls = strcmp(url->scheme, "etcds") == 0;
    const char *hosts = url->host && *url->host ? url->host : "127.0.0.1";
    char one[PAWL__ETCD_ENDPOINT_MAX];
    if (!strchr(hosts, ',')) { /* the port stands apart, and an IPv6 address has no brackets */
        int n = snprintf(one, sizeof one, strchr(hosts, ':') ? "[%s]:%d" : "%s:%d", hosts,
                         url->port < 0 ? PAWL__ETCD_PORT : url->port);
        bool fits = n > 0 && (size_t)n < sizeof one;
        return add_endpoint(config, url, tls, fits ? one : "", fits ? (size_t)n : 0,
                            reterr_message);
    }
    int err = PAWL_OK;
    for (const char *at = hosts; !err; at++) {
        size_t len = strcspn(at, ",");
        err = add_endpoint(config, url, tls, at, len, reterr_message);
        at += len;
        if (!*at) break;
    }
    return err;
}

/* ---- The rest ------------------------------------------------------------------------------ */

/* False: it does not fit. An absent part is "". */
static bool copy(char *to, size_t room, const char *from)
{
    int n = snprintf(to, room, "%s", from ? from : "");
    return n >= 0 && (size_t)n < room;
}

/* The path without its slashes before and behind; the prefix ends in one. */
static int take_prefix(pawl__etcd_config *config, const pawl_url *url, char *reterr_message)
{
    const char *path = url->path + strspn(url->path, "/");
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/') len--;
    if (len == 0) {
        (void)copy(config->prefix, sizeof config->prefix, PAWL__ETCD_PREFIX_DEFAULT);
        return PAWL_OK;
    }
    if (len >= PAWL__ETCD_PREFIX_MAX)
        return refuse(reterr_message, PAWL_ERR_URL, "%.200s: the prefix has at most %d bytes",
                      url->redacted, PAWL__ETCD_PREFIX_MAX - 1);
    snprintf(config->prefix, sizeof config->prefix, "%.*s/", (int)len, path);
    return PAWL_OK;
}

static int take_login(pawl__etcd_config *config, const pawl_url *url, char *reterr_message)
{
    if (!copy(config->user, sizeof config->user, url->user) ||
        !copy(config->password, sizeof config->password, url->password))
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: a user and a password have at most %d bytes", url->redacted,
                      PAWL__ETCD_LOGIN_MAX);
    if (config->password[0] && !config->user[0])
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: a password belongs to a user: user:password@", url->redacted);
    return PAWL_OK;
}

static int take_text(const pawl_url *url, const pawl_url_option *option, char *to, size_t room,
                     char *reterr_message)
{
    bool is_token = strcmp(option->key, "token") == 0;
    bool good = option->value[0] && copy(to, room, option->value);
    for (const char *c = to; good && *c; c++)
        good = (unsigned char)*c >= (is_token ? '!' : ' ') && *c != 0x7f;
    if (good) return PAWL_OK;
    return refuse(reterr_message, PAWL_ERR_OPTION,
                  "%.200s: %s is %s of 1 to %zu bytes without control characters", url->redacted,
                  option->key, is_token ? "a token" : "a file", room - 1);
}

static int take_timeout(pawl__etcd_config *config, const pawl_url *url, const char *value,
                        char *reterr_message)
{
    size_t len = strlen(value);
    int64_t ms = len > 0 && len < 10 && strspn(value, "0123456789") == len ? atoll(value) : -1;
    if (ms < CONNECT_TIMEOUT_MIN_MS || ms > CONNECT_TIMEOUT_MAX_MS)
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: connect_timeout_ms lies between %d and %d", url->redacted,
                      CONNECT_TIMEOUT_MIN_MS, CONNECT_TIMEOUT_MAX_MS);
    config->connect_timeout_ms = ms;
    return PAWL_OK;
}

static int take_option(pawl__etcd_config *config, const pawl_url *url,
                       const pawl_url_option *option, char *reterr_message)
{
    if (strcmp(option->key, "token") == 0)
        return take_text(url, option, config->token, sizeof config->token, reterr_message);
    if (strcmp(option->key, "cacert") == 0)
        return take_text(url, option, config->cacert, sizeof config->cacert, reterr_message);
    if (strcmp(option->key, "cert") == 0)
        return take_text(url, option, config->cert, sizeof config->cert, reterr_message);
    if (strcmp(option->key, "key") == 0)
        return take_text(url, option, config->key, sizeof config->key, reterr_message);
    if (strcmp(option->key, "connect_timeout_ms") == 0)
        return take_timeout(config, url, option->value, reterr_message);
    return refuse(reterr_message, PAWL_ERR_OPTION,
                  "%.200s: unknown option \"%.40s\"; there are token, cacert, cert, key and "
                  "connect_timeout_ms",
                  url->redacted, option->key);
}

static int check_together(const pawl__etcd_config *config, const pawl_url *url,
                          char *reterr_message)
{
    bool tls = strcmp(url->scheme, "etcds") == 0;
    if (!tls && (config->cacert[0] || config->cert[0] || config->key[0]))
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: cacert, cert and key are for TLS: write etcds://", url->redacted);
    if (!config->cert[0] != !config->key[0])
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: cert and key belong together: the client's certificate and its key",
                      url->redacted);
    if (config->token[0] && config->user[0])
        return refuse(reterr_message, PAWL_ERR_OPTION,
                      "%.200s: give a user and password, or a token, not both", url->redacted);
    return PAWL_OK;
}

int pawl__etcd_config_init(pawl__etcd_config *ret_config, const pawl_url *url,
                           int64_t connect_timeout_ms, char *reterr_message)
{
    *ret_config = (pawl__etcd_config){.connect_timeout_ms = connect_timeout_ms};
    int err = take_hosts(ret_config, url, reterr_message);
    if (!err) err = take_prefix(ret_config, url, reterr_message);
    if (!err) err = take_login(ret_config, url, reterr_message);
    for (size_t i = 0; !err && i < url->option_count; i++)
        err = take_option(ret_config, url, &url->options[i], reterr_message);
    if (!err) err = check_together(ret_config, url, reterr_message);
    if (err) pawl__etcd_config_done(ret_config);
    return err;
}

void pawl__etcd_config_done(pawl__etcd_config *config)
{
    explicit_bzero(config->password, sizeof config->password);
    explicit_bzero(config->token, sizeof config->token);
}
