/* SPDX-License-Identifier: MIT */
/* Commands to the redis-servers of a setup, each on a connection of its own. */
#include "rig.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_S 5 /* of a server that is awake, on a machine that stands still for a moment */

const char *torture_redis_version(void)
{
    static char version[32];
    char line[256] = "";
    if (version[0]) return version;
    FILE *pipe = popen("redis-server --version 2>/dev/null", "re");
    if (!pipe) return version;
    if (fgets(line, sizeof line, pipe)) {
        const char *at = strstr(line, "v=");
        if (at) snprintf(version, sizeof version, "%.*s", (int)strcspn(at + 2, " \n"), at + 2);
    }
    pclose(pipe);
    return version;
}

/* ---- Commands -------------------------------------------------------------------------- */

static redisContext *connect_to(torture_rig *rig, torture_server *server)
{
    struct timeval patience = {.tv_sec = ANSWER_S};
    redisContext *c = redisConnectUnixWithTimeout(server->socket, patience);
    if (!c || c->err || redisSetTimeout(c, patience) != REDIS_OK) {
        if (c) redisFree(c);
        return NULL;
    }
    redisReply *reply = redisCommand(c, "AUTH %s", rig->password);
    bool fine = reply && (reply->type != REDIS_REPLY_ERROR);
    if (reply) freeReplyObject(reply);
    if (fine) return c;
    redisFree(c);
    return NULL;
}

/* False: it was cut. */
static bool append_text(const redisReply *reply, char *text)
{
    size_t len = strlen(text), room = TORTURE_ANSWER_MAX - len;
    bool whole = true;
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++) whole &= append_text(reply->element[i], text);
    } else if (reply->type == REDIS_REPLY_INTEGER) {
        whole = (size_t)snprintf(text + len, room, "%lld ", reply->integer) < room;
    } else if (reply->str) {
        whole = (size_t)snprintf(text + len, room, "%s ", reply->str) < room;
    }
    return whole;
}

bool torture_redis(torture_rig *rig, torture_server *server, char *ret_text, const char *format,
                   ...)
{
    va_list args;
    redisContext *c = connect_to(rig, server);
    if (!c) return false;
    va_start(args, format);
    redisReply *reply = redisvCommand(c, format, args);
    va_end(args);
    bool fine = reply && reply->type != REDIS_REPLY_ERROR;
    if (fine && ret_text) {
        ret_text[0] = '\0';
        if (!append_text(reply, ret_text)) torture_say("an answer of Redis was cut: %s", format);
    }
    if (reply) freeReplyObject(reply);
    redisFree(c);
    return fine;
}

bool torture_redis_send(torture_rig *rig, torture_server *server, const char *command)
{
    redisContext *c = connect_to(rig, server);
    int done = 0;
    if (!c) return false;
    bool fine = redisAppendCommand(c, command) == REDIS_OK;
    while (fine && !done) fine = redisBufferWrite(c, &done) == REDIS_OK;
    redisFree(c);
    return fine;
}
