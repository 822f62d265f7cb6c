/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zookeeper_url.h"

#include "../../base/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MIN_MS 10
#define CONNECT_TIMEOUT_MAX_MS 600000

/* The last one is known so that it can be refused with a reason. */
const char *const pawl__zk_schemes[] = {"zookeeper", "zk", "zookeepers", NULL};
const char *const pawl__zk_options[] = {"session_timeout_ms", "connect_timeout_ms", "curator",
                                        NULL};

__attribute__((format(printf, 3, 4))) static int refuse(char *reterr_message, int err,
                                                        const char *format, ...)
{
    va_list words;
    va_start(words, format);
    vsnprintf(reterr_message, PAWL_MESSAGE_MAX, format, words);
    va_end(words);
    pawl__line_mend(reterr_message);
    return err;
}

/* ---- Servers ------------------------------------------------------------------------------- */

static int refuse_server(const pawl_url *url, char *reterr_message)
{
    return refuse(reterr_message, PAWL_ERR_URL,
                  "%.200s: 1 to %d servers, each host or host:port, with commas between them: "
                  "zookeeper://a:2181,b:2181,c:2181/prefix",
                  url->redacted, PAWL__ZK_SERVERS_MAX);
}

/* One server; its host has no brackets here. False: it is not written so. */
static bool take_server(pawl__zk_config *config, const char *host, size_t len, int port)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ-._:%";
    if (len == 0 || len > PAWL__ZK_HOST_MAX || port < 1 || port > 65535) return false;
    if (config->server_count == PAWL__ZK_SERVERS_MAX || strspn(host, allowed) < len) return false;
    pawl__zk_server *to = &config->servers[config->server_count++];
    memcpy(to->host, host, len);
    to->host[len] = '\0';
    to->port = port;
    return true;
}

/* One of a list: "host", "host:port", "[address]" or "[address]:port". */
static bool take_of_list(pawl__zk_config *config, const char *text, size_t len)
{
    const char *end = text + len, *host = text, *behind;
    if (*text == '[') {
        host = text + 1;
        behind = memchr(host, ']', len - 1);
        if (!behind) return false;
        len = (size_t)(behind++ - host);
    } else {
        behind = memchr(text, ':', len);
        if (!behind) behind = end;
        len = (size_t)(behind - text);
    }
    int port = PAWL__ZK_PORT;
    if (behind < end) {
        size_t digits = (size_t)(end - behind - 1);
        if (*behind != ':' || digits < 1 || digits > 5 || strspn(behind + 1, "0123456789") < digits)
            return false;
        port = (int)strtol(behind + 1, NULL, 10);
    }
    return take_server(config, host, len, port);
}

static int take_servers(pawl__zk_config *config, const pawl_url *url, char *reterr_message)
{
    const char *hosts = url->host && *url->host ? url->host : "127.0.0.1";
    bool good = true;
    if (!strchr(hosts, ',')) { /* the port stands apart, and an IPv6 address has no brackets */
        good = take_server(config, hosts, strlen(hosts), url->port < 0 ? PAWL__ZK_PORT : url->port);
        return good ? PAWL_OK : refuse_server(url, reterr_message);
    }
    for (const char *at = hosts; good; at++) {
        size_t len = strcspn(at, ",");
        good = len > 0 && take_of_list(config, at, len);
        at += len;
        if (!*at) break;
    }
    return good ? PAWL_OK : refuse_server(url, reterr_message);
}

/* Debian builds the library with neither: it has no function that would begin such a session. */
static int refuse_tls(const pawl_url *url, char *reterr_message)
{
    return refuse(reterr_message, PAWL_ERR_UNSUPPORTED,
                  "%.200s: ZooKeeper's C client has no TLS in Debian: write zookeeper:// to a TLS "
                  "proxy beside this program, such as stunnel",
                  url->redacted);
}

static int refuse_sasl(const pawl_url *url, char *reterr_message)
{
    return refuse(reterr_message, PAWL_ERR_UNSUPPORTED,
                  "%.200s: ZooKeeper's C client has no SASL in Debian: a login is user:password@, "
                  "of the scheme digest, which a server can demand as well",
                  url->redacted);
}

/* ---- The rest ------------------------------------------------------------------------------ */

static bool is_path(const char *path)
{
    for (const char *c = path; *c; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f) return false;
        bool dots = c[0] == '/' && (strcmp(c, "/.") == 0 || strcmp(c, "/..") == 0 ||
                                    strncmp(c, "/./", 3) == 0 || strncmp(c, "/../", 4) == 0);
        if (dots || (c[0] == '/' && c[1] == '/')) return false;
    }
    return true;
}

static int take_prefix(pawl__zk_config *config, const pawl_url *url, char *reterr_message)
{
    size_t len = strlen(url->path);
    while (len > 0 && url->path[len - 1] == '/') len--;
    snprintf(config->prefix, sizeof config->prefix, "%.*s",
             (int)(len < sizeof config->prefix ? len : 0), url->path);
    if (len > PAWL__ZK_PREFIX_MAX || !is_path(config->prefix) ||
        strncmp(config->prefix, "/zookeeper", 10) == 0)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: the path is that of a node, of at most %d bytes, without spaces and "
                      "not below /zookeeper",
                      url->redacted, PAWL__ZK_PREFIX_MAX);
    if (len == 0) snprintf(config->prefix, sizeof config->prefix, "%s", PAWL__ZK_PREFIX_DEFAULT);
    return PAWL_OK;
}

static int take_login(pawl__zk_config *config, const pawl_url *url, char *reterr_message)
{
    const char *user = url->user ? url->user : "", *password = url->password ? url->password : "";
    if (!*user && !*password) return PAWL_OK;
    if (!*user || strchr(user, ':') || strlen(user) > PAWL__ZK_LOGIN_MAX ||
        strlen(password) > PAWL__ZK_LOGIN_MAX)
        return refuse(reterr_message, PAWL_ERR_URL,
                      "%.200s: a login is user:password@, each of at most %d bytes", url->redacted,
                      PAWL__ZK_LOGIN_MAX);
    snprintf(config->login, sizeof config->login, "%s:%s", user, password);
    return PAWL_OK;
}

static int take_number(const pawl_url *url, const pawl_url_option *option, int64_t min, int64_t max,
                       int64_t *ret_number, char *reterr_message)
{
    size_t len = strlen(option->value);
    bool digits = len > 0 && len < 10 && strspn(option->value, "0123456789") == len;
    *ret_number = digits ? atoll(option->value) : -1;
    if (*ret_number >= min && *ret_number <= max) return PAWL_OK;
    return refuse(reterr_message, PAWL_ERR_OPTION, "%.200s: %s lies between %lld and %lld",
                  url->redacted, option->key, (long long)min, (long long)max);
}

static int take_option(pawl__zk_config *config, const pawl_url *url, const pawl_url_option *option,
                       char *reterr_message)
{
    int64_t number = 0;
    int err = PAWL_OK;
    if (strcmp(option->key, "session_timeout_ms") == 0) {
        err = take_number(url, option, PAWL__ZK_SESSION_MIN_MS, PAWL__ZK_SESSION_MAX_MS, &number,
                          reterr_message);
        if (!err) config->session_ms = (int)number;
    } else if (strcmp(option->key, "connect_timeout_ms") == 0) {
        err = take_number(url, option, CONNECT_TIMEOUT_MIN_MS, CONNECT_TIMEOUT_MAX_MS, &number,
                          reterr_message);
        if (!err) config->connect_timeout_ms = number;
    } else if (strcmp(option->key, "curator") == 0) {
        config->read_write = strcmp(option->value, "readwrite") == 0;
        if (!config->read_write && strcmp(option->value, "mutex") != 0)
            err = refuse(reterr_message, PAWL_ERR_OPTION,
                         "%.200s: curator is \"mutex\" or \"readwrite\": the class whose locks "
                         "exclusive ones exclude",
                         url->redacted);
    } else if (strcmp(option->key, "sasl") == 0) {
        err = refuse_sasl(url, reterr_message);
    } else {
        err = refuse(reterr_message, PAWL_ERR_OPTION,
                     "%.200s: unknown option \"%.40s\"; there are session_timeout_ms, "
                     "connect_timeout_ms and curator",
                     url->redacted, option->key);
    }
    return err;
}

int pawl__zk_config_init(pawl__zk_config *ret_config, const pawl_url *url,
                         int64_t connect_timeout_ms, char *reterr_message)
{
    *ret_config = (pawl__zk_config){.connect_timeout_ms = connect_timeout_ms,
                                    .session_ms = PAWL__ZK_SESSION_MS};
    bool tls = url->scheme && strcmp(url->scheme, "zookeepers") == 0;
    int err = tls ? refuse_tls(url, reterr_message) : take_servers(ret_config, url, reterr_message);
    if (!err) err = take_prefix(ret_config, url, reterr_message);
    if (!err) err = take_login(ret_config, url, reterr_message);
    for (size_t i = 0; !err && i < url->option_count; i++)
        err = take_option(ret_config, url, &url->options[i], reterr_message);
    if (err) pawl__zk_config_done(ret_config);
    return err;
}

void pawl__zk_config_done(pawl__zk_config *config)
{
    explicit_bzero(config->login, sizeof config->login);
}
