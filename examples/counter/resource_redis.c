/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "resource.h"

#include <errno.h>
#include <event2/http.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define ANSWER_WAIT_S 2
#define KEY           "pawl-example:counter"

struct resource {
    char *host, *socket, *user, *password;
    int port, db;
    redisContext *context; /* NULL: not connected */
};

/* A Lua number has 53 bits, and so has a fence until 2255. */
#define GUARD                                                                                      \
    "if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') then "           \
    "return false end "                                                                            \
    "redis.call('HSET', KEYS[1], 'fence', ARGV[1]) "
static const char read_script[] = GUARD "return redis.call('HGET', KEYS[1], 'value') or '0'";
static const char write_script[] =
    GUARD "redis.call('HSET', KEYS[1], 'value', ARGV[2]) return ARGV[2]";

static void redis_close(resource *r)
{
    if (!r) return;
    if (r->context) redisFree(r->context);
    free(r->host);
    free(r->socket);
    free(r->user);
    free(r->password);
    free(r);
}

/* ---- The URL; pawl has checked it, if it is the locks' own ------------------------------- */

static void take_login(resource *r, const char *userinfo)
{
    if (!userinfo) return;
    size_t user_len = strcspn(userinfo, ":");
    char *user = strndup(userinfo, user_len);
    r->user = user && *user ? evhttp_uridecode(user, 0, NULL) : NULL;
    free(user);
    if (userinfo[user_len] == ':') r->password = evhttp_uridecode(userinfo + user_len + 1, 0, NULL);
}

static void take_place(resource *r, const struct evhttp_uri *uri)
{
    const char *host = evhttp_uri_get_host(uri);
    const char *path = evhttp_uri_get_path(uri);
    const char *query = evhttp_uri_get_query(uri);
    const char *db = query ? strstr(query, "db=") : NULL;
    if (db) r->db = atoi(db + 3);
    if (strcmp(evhttp_uri_get_scheme(uri), "redis+unix") == 0) {
        r->socket = evhttp_uridecode(path, 0, NULL);
        return;
    }
    r->host = strdup(host && *host ? host : "127.0.0.1");
    r->port = evhttp_uri_get_port(uri) > 0 ? evhttp_uri_get_port(uri) : 6379;
    if (path && path[0] == '/' && path[1]) r->db = atoi(path + 1);
}

static resource *redis_open(const char *url, char *ret_message)
{
    resource *r = calloc(1, sizeof *r);
    struct evhttp_uri *uri = r ? evhttp_uri_parse(url) : NULL;
    if (!uri) {
        snprintf(ret_message, RESOURCE_MESSAGE_MAX,
                 "expected redis://[user:password@]host[:port][/db] or redis+unix:///path");
        free(r);
        return NULL;
    }
    take_login(r, evhttp_uri_get_userinfo(uri));
    take_place(r, uri);
    evhttp_uri_free(uri);
    return r;
}

/* ---- The connection ---------------------------------------------------------------------- */

static void hang_up(resource *r)
{
    redisFree(r->context);
    r->context = NULL;
}

/* Takes over the reply. */
static bool is_ok(redisReply *reply, char *ret_message, const char *what)
{
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    if (!ok)
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s: %s", what,
                 reply ? reply->str : "no answer");
    if (reply) freeReplyObject(reply);
    return ok;
}

static bool log_in(resource *r, char *ret_message)
{
    redisContext *c = r->context;
    if (r->password && r->user &&
        !is_ok(redisCommand(c, "AUTH %s %s", r->user, r->password), ret_message, "AUTH"))
        return false;
    if (r->password && !r->user &&
        !is_ok(redisCommand(c, "AUTH %s", r->password), ret_message, "AUTH"))
        return false;
    return r->db == 0 || is_ok(redisCommand(c, "SELECT %d", r->db), ret_message, "SELECT");
}

static bool connected(resource *r, char *ret_message)
{
    struct timeval wait = {ANSWER_WAIT_S, 0};
    if (r->context) return true;
    r->context = r->socket ? redisConnectUnixWithTimeout(r->socket, wait)
                           : redisConnectWithTimeout(r->host, r->port, wait);
    if (!r->context || r->context->err) {
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s",
                 r->context ? r->context->errstr : "out of memory");
        if (r->context) hang_up(r);
        return false;
    }
    redisSetTimeout(r->context, wait);
    if (log_in(r, ret_message)) return true;
    hang_up(r);
    return false;
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* A server closes what has been idle for its timeout, and everything when it restarts. */
static bool was_closed(const redisContext *context)
{
    return context->err == REDIS_ERR_EOF ||
           (context->err == REDIS_ERR_IO && (errno == EPIPE || errno == ECONNRESET));
}

/* A question: asked again, once, if the server had closed the connection. NULL and a message. */
static redisReply *ask(resource *r, char *ret_message, const char *format, ...)
{
    bool again = true;
    for (int round = 0; round < 2 && again; round++) {
        if (!connected(r, ret_message)) return NULL;
        va_list args;
        va_start(args, format);
        redisReply *reply = redisvCommand(r->context, format, args);
        va_end(args);
        if (reply) return reply;
        again = was_closed(r->context); /* after a time-out we would wait as long again */
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s", r->context->errstr);
        hang_up(r);
    }
    return NULL;
}

/* Takes over the reply, which may be NULL: a bulk string is the value, nil means stale. */
static resource_result value_of(resource *r, redisReply *reply, int64_t *ret_value,
                                char *ret_message)
{
    resource_result result = RESOURCE_FAILED;
    if (!reply) { /* sent, perhaps done; its late reply must not be read as another's */
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s", r->context->errstr);
        hang_up(r);
        return RESOURCE_UNKNOWN;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        *ret_value = strtoll(reply->str, NULL, 10);
        result = RESOURCE_OK;
    } else if (reply->type == REDIS_REPLY_NIL) {
        result = RESOURCE_STALE;
    } else {
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s",
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer of a wrong type");
    }
    freeReplyObject(reply);
    return result;
}

static resource_result redis_read(resource *r, uint64_t fence, int64_t *ret_value,
                                  char *ret_message)
{
    redisReply *reply = ask(r, ret_message, "EVAL %s 1 %s %" PRIu64, read_script, KEY, fence);
    return reply ? value_of(r, reply, ret_value, ret_message) : RESOURCE_FAILED;
}

static resource_result redis_write(resource *r, uint64_t fence, int64_t value, char *ret_message)
{
    int64_t written;
    if (!connected(r, ret_message)) return RESOURCE_FAILED;
    redisReply *reply = redisCommand(r->context, "EVAL %s 1 %s %" PRIu64 " %" PRId64, write_script,
                                     KEY, fence, value);
    return value_of(r, reply, &written, ret_message);
}

static resource_result redis_look(resource *r, counter_view *ret_view, char *ret_message)
{
    redisReply *reply = ask(r, ret_message, "HMGET %s value fence", KEY);
    if (!reply) return RESOURCE_FAILED;
    resource_result result = RESOURCE_FAILED;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        const redisReply *value = reply->element[0], *fence = reply->element[1];
        ret_view->value = value->str ? strtoll(value->str, NULL, 10) : 0;
        ret_view->fence = fence->str ? strtoull(fence->str, NULL, 10) : 0;
        result = RESOURCE_OK;
    } else {
        snprintf(ret_message, RESOURCE_MESSAGE_MAX, "counter: %s",
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "an answer of a wrong type");
    }
    freeReplyObject(reply);
    return result;
}

const resource_ops resource_redis = {redis_open, redis_look, redis_read, redis_write, redis_close};

const resource_ops *resource_for(const char *url)
{
    if (strncmp(url, "sqlite:", 7) == 0) return &resource_sqlite;
    if (strncmp(url, "redis://", 8) == 0 || strncmp(url, "redis+unix://", 13) == 0)
        return &resource_redis;
    return NULL;
}
