/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* open_memstream, memrchr */
#include "adapter.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pawl/types.h"
#include "text.h"

#define DBNUM_DIGITS_MAX 6 /* Redis refuses far smaller numbers itself */

typedef int (*url_fn)(const pawl__adapter_settings *settings, FILE *out, char *message);

/* ---- Errors ---------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static int fail(char *message, const pawl__setting *setting,
                                                      const char *format, ...)
{
    int used = 0;
    if (setting->where && setting->where[0])
        used = snprintf(message, PAWL_MESSAGE_MAX, "%.300s: ", setting->where);
    va_list args;
    va_start(args, format);
    vsnprintf(message + used, PAWL_MESSAGE_MAX - (size_t)used, format, args);
    va_end(args);
    pawl__text_mend(message);
    return PAWL_ERR_OPTION;
}

static bool is_given(const pawl__setting *setting)
{
    return setting->value && setting->value[0];
}

/* ---- Parts of a URL ---------------------------------------------------------------------- */

static void put_encoded(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (isalnum(c) || strchr("-._~", c)) {
            fputc(c, out);
        } else {
            fprintf(out, "%%%02X", c);
        }
    }
}

/* A path keeps its slashes. */
static void put_path(FILE *out, const char *path)
{
    while (*path) {
        size_t len = strcspn(path, "/");
        put_encoded(out, path, len);
        path += len;
        if (*path == '/') fputc(*path++, out);
    }
}

static bool is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 5 || text[len]) return false;
    long port = strtol(text, NULL, 10);
    return port >= 1 && port <= 65535;
}

/* ---- redis --------------------------------------------------------------------------------- */

static bool is_host_name(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._") >= len;
}

/* [IPv6] */
static bool is_bracketed_ip(const char *text, size_t len)
{
    char inner[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (len < 2 || len - 2 >= sizeof inner || text[0] != '[' || text[len - 1] != ']') return false;
    memcpy(inner, text + 1, len - 2);
    inner[len - 2] = '\0';
    return inet_pton(AF_INET6, inner, &address) == 1;
}

/* host, host:port, :port, [IPv6]:port, as Beego's redis adapter dials it. */
static bool put_address(FILE *out, const char *address)
{
    const char *bracket = strchr(address, ']');
    const char *port = strchr(bracket ? bracket : address, ':');
    size_t host_len = port ? (size_t)(port - address) : strlen(address);
    if (!is_host_name(address, host_len) && !is_bracketed_ip(address, host_len)) return false;
    if (port && !is_port(port + 1)) return false;
    if (host_len == 0 && !port) return false;
    if (host_len == 0) fputs("127.0.0.1", out);
    fwrite(address, 1, strlen(address), out);
    return true;
}

/*
 * What stands before the @ is a password in Beego's conn and user:password in a
 * URL; a user without a password would be of no use, so both can be told apart.
 */
static int put_login(const pawl__adapter_settings *settings, FILE *out, const char *login,
                     size_t len, char *message)
{
    if (login && is_given(&settings->password))
        return fail(message, &settings->password, "the password is given twice: here and in conn");
    if (is_given(&settings->password)) {
        fputc(':', out);
        put_encoded(out, settings->password.value, strlen(settings->password.value));
        fputc('@', out);
    }
    if (!login || len == 0) return PAWL_OK;
    const char *colon = memchr(login, ':', len);
    size_t user_len = colon ? (size_t)(colon - login) : 0;
    size_t skip = colon ? user_len + 1 : 0;
    put_encoded(out, login, user_len);
    fputc(':', out);
    put_encoded(out, login + skip, len - skip);
    fputc('@', out);
    return PAWL_OK;
}

static bool is_db_number(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= DBNUM_DIGITS_MAX && !text[len];
}

/* NULL if none is given: then conn's path or Redis' 0 holds. */
static int check_dbnum(const pawl__setting *dbnum, char *message)
{
    if (!is_given(dbnum) || is_db_number(dbnum->value)) return PAWL_OK;
    return fail(message, dbnum, "dbnum: expected the number of a database such as 0, is \"%.40s\"",
                dbnum->value);
}

static const char *prefix_option(const pawl__adapter_settings *settings, const char **ret_end)
{
    const char *key = settings->key.value;
    *ret_end = "";
    if (!key || (!*key && !settings->skip_empty_prefix)) return NULL;
    if (*key) *ret_end = ":";
    return key;
}

static void put_tail(const pawl__adapter_settings *settings, FILE *out, char separator)
{
    const char *end;
    const char *prefix = prefix_option(settings, &end);
    if (!prefix) return;
    fprintf(out, "%cprefix=", separator);
    put_encoded(out, prefix, strlen(prefix));
    put_encoded(out, end, strlen(end));
}

static int redis_socket_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    fputs("redis+unix://", out);
    int err = put_login(settings, out, NULL, 0, message);
    if (err) return err;
    put_path(out, settings->conn.value);
    bool db = is_given(&settings->dbnum);
    if (db) fprintf(out, "?db=%s", settings->dbnum.value);
    put_tail(settings, out, db ? '&' : '?');
    return PAWL_OK;
}

static int fail_conn(const pawl__setting *conn, char *message)
{
    return fail(message, conn,
                "conn: expected host:port, redis://password@host:port, or the path of a socket");
}

static int redis_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    const pawl__setting *conn = &settings->conn;
    if (!is_given(conn))
        return fail(message, conn->value ? conn : &settings->adapter,
                    "adapter redis: expected conn, such as 127.0.0.1:6379; there is none");
    int err = check_dbnum(&settings->dbnum, message);
    if (err) return err;
    if (conn->value[0] == '/') return redis_socket_url(settings, out, message);

    const char *address = conn->value;
    if (strncmp(address, "redis://", 8) == 0) address += 8;
    const char *at = strrchr(address, '@');
    char *host = strdup(at ? at + 1 : address);
    if (!host) return PAWL_ERR_NO_MEMORY;
    char *slash = strchr(host, '/');
    const char *path_db = slash && slash[1] ? slash + 1 : NULL;
    if (slash) *slash = '\0';

    fputs("redis://", out);
    err = put_login(settings, out, at ? address : NULL, at ? (size_t)(at - address) : 0, message);
    if (!err && !put_address(out, host)) err = fail_conn(conn, message);
    if (!err && path_db && is_given(&settings->dbnum))
        err = fail(message, &settings->dbnum, "the database is given twice: here and in conn");
    if (!err && path_db && !is_db_number(path_db))
        err =
            fail(message, conn, "conn: expected the number of a database behind the /, such as 0");
    if (!err) {
        const char *db = path_db ? path_db : settings->dbnum.value;
        if (db && *db) fprintf(out, "/%s", db);
        put_tail(settings, out, '?');
    }
    free(host);
    return err;
}

/* ---- file, memory ---------------------------------------------------------------------------- */

/* What an adapter has no use for is refused: whoever wrote it believes that it does something. */
static int check_unused(const pawl__setting *setting, const char *text, char *message)
{
    return is_given(setting) ? fail(message, setting, "%s", text) : PAWL_OK;
}

static int file_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    const pawl__setting *conn = &settings->conn;
    int err = check_unused(&settings->dbnum,
                           "dbnum: expected none: adapter file has no numbered databases", message);
    if (!err)
        err = check_unused(&settings->password,
                           "password: expected none: the file's permissions guard it", message);
    if (!err)
        err = check_unused(&settings->key,
                           "key: expected none: adapter file has no prefixes, give each "
                           "application a file of its own by conn",
                           message);
    if (err) return err;
    fputs("sqlite:", out);
    if (settings->dir && *settings->dir) {
        put_path(out, settings->dir);
        fputs("/pawl.db", out);
        return PAWL_OK;
    }
    if (!is_given(conn)) return PAWL_OK; /* pawl's default file */
    if (!strchr(conn->value, '/'))
        return fail(message, conn, "conn: expected the path of a file, with a /, for adapter file");
    put_path(out, conn->value);
    return PAWL_OK;
}

static int memory_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    static const char text[] = "expected no conn, dbnum, password or key: adapter memory is this "
                               "process alone (pawlstore = memory: overrules them)";
    const pawl__setting *unused[] = {&settings->conn, &settings->dbnum, &settings->password,
                                     &settings->key};
    for (size_t i = 0; i < sizeof unused / sizeof unused[0]; i++) {
        int err = check_unused(unused[i], text, message);
        if (err) return err;
    }
    fputs("memory:", out);
    return PAWL_OK;
}

/* ---- The table -------------------------------------------------------------------- */

static const struct adapter {
    const char *name;
    url_fn url; /* NULL: pawl has no such store */
    const char *why_not;
} adapters[] = {
    {"memory", memory_url, NULL},
    {"file", file_url, NULL},
    {"redis", redis_url, NULL},
    {"memcache", NULL, "this version of pawl has no store for memcached"},
    {"ssdb", NULL, "this version of pawl has no store for SSDB"},
    {"leveldb", NULL, "LevelDB serves one process only, so it cannot lock between processes"},
};

/* A URL of pawl's own in conn is passed on as it is: rediss://, redis+sentinel:// ... */
static bool is_own_url(const pawl__setting *conn)
{
    return is_given(conn) && strstr(conn->value, "://") && strncmp(conn->value, "redis://", 8) != 0;
}

static int own_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    const pawl__setting *twice[] = {&settings->dbnum, &settings->password, &settings->key};
    for (size_t i = 0; i < sizeof twice / sizeof twice[0]; i++)
        if (is_given(twice[i]))
            return fail(message, twice[i], "expected nothing beside a conn that is a whole URL");
    fputs(settings->conn.value, out);
    return PAWL_OK;
}

static int put_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    const char *name = settings->adapter.value;
    for (size_t i = 0; i < sizeof adapters / sizeof *adapters; i++) {
        const struct adapter *adapter = &adapters[i];
        if (strcmp(name, adapter->name) != 0) continue;
        if (!adapter->url) {
            fail(message, &settings->adapter, "adapter %s: %s; use redis, file or memory", name,
                 adapter->why_not);
            return PAWL_ERR_UNSUPPORTED;
        }
        if (adapter->url == redis_url && is_own_url(&settings->conn))
            return own_url(settings, out, message);
        return adapter->url(settings, out, message);
    }
    if (strpbrk(name, ":@")) /* an address, with a password perhaps: it is not quoted */
        fail(message, &settings->adapter,
             "adapter: expected redis, file or memory; an address stands in conn, a URL in "
             "pawlstore");
    else
        fail(message, &settings->adapter, "adapter: expected redis, file or memory, is \"%.60s\"",
             name);
    return PAWL_ERR_SCHEME;
}

int pawl__adapter_url(const pawl__adapter_settings *settings, char **ret_url, char *reterr_message)
{
    char *url = NULL;
    size_t len;
    FILE *out = open_memstream(&url, &len);
    int err = out ? put_url(settings, out, reterr_message) : PAWL_ERR_NO_MEMORY;
    if (out && fclose(out) != 0) err = PAWL_ERR_NO_MEMORY;
    if (err == PAWL_ERR_NO_MEMORY)
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(err));
    if (err) {
        free(url);
        return err;
    }
    *ret_url = url;
    return PAWL_OK;
}
