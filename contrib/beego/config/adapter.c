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
 * Before the @ stands a password in Beego's conn, and user:password in a URL. The colon tells
 * which, because a user without a password would be of no use.
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

/* NULL if none is given: then conn's path counts, or Redis' 0. */
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

/* A setting that the adapter does not use is refused: its author believes that it has an effect. */
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

/* ---- memcache ------------------------------------------------------------------------ */

/* host:port, as Beego's memcache adapter dials it. Several, separated by ;, are refused: one name
 * would be a lock on each of the servers. */
static int memcache_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    const pawl__setting *conn = &settings->conn;
    if (!is_given(conn))
        return fail(message, conn->value ? conn : &settings->adapter,
                    "adapter memcache: expected conn, such as 127.0.0.1:11211; there is none");
    int err = check_unused(&settings->dbnum,
                           "dbnum: expected none: memcached has no numbered databases", message);
    if (!err)
        err = check_unused(&settings->password,
                           "password: expected none: adapter memcache has no login", message);
    if (err) return err;
    if (strpbrk(conn->value, ";,"))
        return fail(message, conn,
                    "conn: expected one server for adapter memcache: of several each would have "
                    "locks of its own");
    fputs("memcached://", out);
    if (!put_address(out, conn->value))
        return fail(message, conn, "conn: expected host:port for adapter memcache");
    put_tail(settings, out, '?');
    return PAWL_OK;
}

/* ---- mysql, postgres ----------------------------------------------------------------- */

/* Of the options behind a ?: those of Go's driver that say nothing about where the locks are. */
static const char *const idle_options[] = {"allowNativePasswords",
                                           "charset",
                                           "checkConnLiveness",
                                           "clientFoundRows",
                                           "collation",
                                           "columnsWithAlias",
                                           "loc",
                                           "interpolateParams",
                                           "maxAllowedPacket",
                                           "multiStatements",
                                           "parseTime",
                                           "readTimeout",
                                           "timeout",
                                           "writeTimeout"};

static bool is_idle_option(const char *option)
{
    size_t len = strcspn(option, "=");
    for (size_t i = 0; i < sizeof idle_options / sizeof *idle_options; i++)
        if (strlen(idle_options[i]) == len && strncmp(option, idle_options[i], len) == 0)
            return true;
    return false;
}

static int put_mysql_option(const pawl__setting *conn, FILE *out, const char *option,
                            char separator, char *message)
{
    if (is_idle_option(option)) return PAWL_OK;
    if (strcmp(option, "tls=false") == 0)
        fprintf(out, "%cssl=off", separator);
    else if (strcmp(option, "tls=true") == 0)
        fprintf(out, "%cssl=verify", separator);
    else if (strcmp(option, "tls=skip-verify") == 0)
        fprintf(out, "%cssl=on", separator);
    else
        return fail(message, conn,
                    "conn: option \"%.40s\" is not known here: give the store's URL instead "
                    "(pawlstore = mysql://...)",
                    option);
    return PAWL_OK;
}

static int put_mysql_options(const pawl__setting *conn, FILE *out, char *options, char separator,
                             char *message)
{
    for (char *option; (option = strsep(&options, "&")) != NULL;) {
        long before = ftell(out);
        int err = *option ? put_mysql_option(conn, out, option, separator, message) : PAWL_OK;
        if (err) return err;
        if (ftell(out) != before) separator = '&';
    }
    return PAWL_OK;
}

/* tcp(host:port), unix(/path), or nothing; a path goes behind the database. False: none of them. */
static bool put_mysql_place(FILE *out, char *place, const char **ret_socket)
{
    size_t len = strlen(place);
    *ret_socket = NULL;
    if (len == 0 || strcmp(place, "tcp") == 0) {
        fputs("127.0.0.1", out);
        return true;
    }
    if (len < 6 || place[len - 1] != ')') return false;
    place[len - 1] = '\0';
    if (strncmp(place, "tcp(", 4) == 0) return put_address(out, place + 4);
    if (strncmp(place, "unix(/", 6) != 0) return false;
    *ret_socket = place + 5;
    return true;
}

static int put_mysql(const pawl__setting *conn, FILE *out, char *text, char *message)
{
    const char *socket;
    char *slash = strrchr(text, '/');
    if (!slash)
        return fail(message, conn, "%s", "conn: expected user:password@tcp(host:port)/database");
    *slash = '\0';
    char *at = strrchr(text, '@'), *place = at ? at + 1 : text;
    char *database = slash + 1, *options = strchr(database, '?');
    if (options) *options++ = '\0';
    fputs("mysql://", out);
    if (at) {
        size_t user_len = strcspn(text, ":@");
        *at = '\0';
        put_encoded(out, text, user_len);
        if (text[user_len] == ':') {
            fputc(':', out);
            put_encoded(out, text + user_len + 1, strlen(text + user_len + 1));
        }
        fputc('@', out);
    }
    if (!put_mysql_place(out, place, &socket) || !*database)
        return fail(message, conn, "%s", "conn: expected user:password@tcp(host:port)/database");
    fputc('/', out);
    put_encoded(out, database, strlen(database));
    if (socket) {
        fputs("?socket=", out);
        put_path(out, socket);
    }
    return options ? put_mysql_options(conn, out, options, socket ? '&' : '?', message) : PAWL_OK;
}

/* What stands in conn, and nowhere else. */
static int check_database(const pawl__adapter_settings *settings, const char *example,
                          char *message)
{
    const pawl__setting *conn = &settings->conn;
    if (!is_given(conn))
        return fail(message, conn->value ? conn : &settings->adapter,
                    "adapter %s: expected conn, such as %s; there is none", settings->adapter.value,
                    example);
    int err =
        check_unused(&settings->dbnum, "dbnum: expected none: conn names the database", message);
    if (!err)
        err = check_unused(&settings->password, "password: expected none: it stands in conn",
                           message);
    if (!err)
        err = check_unused(&settings->key,
                           "key: expected none: give each application a database of its own",
                           message);
    return err;
}

/* user:password@tcp(host:port)/database, as Beego's session provider and ORM take it for Go's
 * driver. */
static int mysql_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    int err = check_database(settings, "user:password@tcp(127.0.0.1:3306)/database", message);
    if (err) return err;
    char *text = strdup(settings->conn.value);
    if (!text) return PAWL_ERR_NO_MEMORY;
    err = put_mysql(&settings->conn, out, text, message);
    free(text);
    return err;
}

/* Only a URL: it is passed on before this is called. */
static int postgres_url(const pawl__adapter_settings *settings, FILE *out, char *message)
{
    (void)out;
    int err = check_database(settings, "postgres://user:password@host/database", message);
    if (err) return err;
    return fail(message, &settings->conn,
                "conn: expected postgres://user:password@host/database for adapter %s",
                settings->adapter.value);
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
    {"memcache", memcache_url, NULL},
    {"mysql", mysql_url, NULL},
    {"postgres", postgres_url, NULL},
    {"postgresql", postgres_url, NULL},
    {"ssdb", NULL,
     "SSDB cannot compare and delete in one step, so who comes late could free the "
     "lock of another"},
    {"leveldb", NULL, "LevelDB serves one process only, so it cannot lock between processes"},
};

/* A URL of pawl's own in conn is passed on as it is: rediss://, redis+sentinel://, mysql:// ... */
static bool takes_own_url(const struct adapter *adapter, const pawl__setting *conn)
{
    bool is_url = is_given(conn) && strstr(conn->value, "://");
    if (adapter->url == redis_url) return is_url && strncmp(conn->value, "redis://", 8) != 0;
    if (adapter->url == mysql_url)
        return is_url && (strncmp(conn->value, "mysql://", 8) == 0 ||
                          strncmp(conn->value, "mariadb://", 10) == 0);
    return is_url && adapter->url == postgres_url &&
           (strncmp(conn->value, "postgres://", 11) == 0 ||
            strncmp(conn->value, "postgresql://", 13) == 0);
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
            fail(message, &settings->adapter,
                 "adapter %s: %s; use file on one machine, else redis, mysql or postgres", name,
                 adapter->why_not);
            return PAWL_ERR_UNSUPPORTED;
        }
        if (takes_own_url(adapter, &settings->conn)) return own_url(settings, out, message);
        return adapter->url(settings, out, message);
    }
    if (strpbrk(name, ":@")) /* an address, perhaps with a password: it is not quoted */
        fail(message, &settings->adapter,
             "adapter: expected redis, memcache, mysql, postgres, file or memory; an address "
             "stands in conn, a URL in "
             "pawlstore");
    else
        fail(message, &settings->adapter,
             "adapter: expected redis, memcache, mysql, postgres, file or memory, is \"%.60s\"",
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
