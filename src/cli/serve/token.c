/* SPDX-License-Identifier: MIT */
/*
 * Who may see the page: a visitor who sends a token, in a header (a script) or in a form (a person,
 * who then has a session: a random number in a cookie that no script can read). The token itself
 * is never sent, printed or stored elsewhere; its name is.
 */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "../exit_codes.h"
#include "../message.h"

#define BEARER "Bearer "

/* ---- The tokens -------------------------------------------------------------------------- */

static bool is_word(const char *text, size_t len, size_t min, size_t size)
{
    if (len < min || len >= size) return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~') return false;
    return true;
}

/* "TOKEN" or "NAME TOKEN". */
static bool take_line(const char *line, int number, serve_token *ret_token)
{
    size_t len = strcspn(line, "\r\n"), first = strcspn(line, " \r\n");
    const char *token = first < len ? line + first + 1 : line;
    size_t token_len = len - (size_t)(token - line);
    *ret_token = (serve_token){.name = ""};
    if (token == line)
        snprintf(ret_token->name, sizeof ret_token->name, "line %d", number);
    else if (is_word(line, first, 1, sizeof ret_token->name))
        memcpy(ret_token->name, line, first);
    else
        return false;
    if (!is_word(token, token_len, SERVE_TOKEN_MIN, sizeof ret_token->text)) return false;
    memcpy(ret_token->text, token, token_len);
    return true;
}

static bool take_lines(serve *s, FILE *file)
{
    char line[SERVE_NAME_MAX + SERVE_TOKEN_MAX + 2];
    bool fits = true;
    for (int number = 1; fits && fgets(line, sizeof line, file); number++) {
        if (line[strspn(line, "\r\n")] == '\0') continue;
        fits = s->token_count < SERVE_TOKENS_MAX &&
               take_line(line, number, &s->tokens[s->token_count]);
        s->token_count += fits;
    }
    explicit_bzero(line, sizeof line);
    return fits && s->token_count;
}

static void warn_of_readers(const char *path, FILE *file)
{
    struct stat status;
    if (fstat(fileno(file), &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)))
        cli_warn("serve: others may read %s: chmod 600 keeps the token yours", path);
}

int serve_token_read(serve *s)
{
    const char *path = s->opts.token_file;
    if (!path) return CLI_EXIT_OK;
    FILE *file = fopen(path, "re");
    if (!file) {
        cli_error("serve: --token-file %s: %s", path, strerror(errno));
        return CLI_EXIT_NO_INPUT;
    }
    warn_of_readers(path, file);
    bool fits = take_lines(s, file);
    fclose(file);
    if (fits) return CLI_EXIT_OK;
    cli_error("serve: --token-file %s: each of its 1 to %d lines has to be a token of %d to %d "
              "printable characters, behind a name and a space if you like; openssl rand -hex 32 "
              "makes one",
              path, SERVE_TOKENS_MAX, SERVE_TOKEN_MIN, SERVE_TOKEN_MAX - 1);
    return CLI_EXIT_CONFIG;
}

/* Takes as long for a wrong guess as for one that is right up to its last letter. */
static bool is_same(const char *a, const char *b, size_t size)
{
    volatile unsigned char differs = 0;
    for (size_t i = 0; i < size; i++) differs |= (unsigned char)(a[i] ^ b[i]);
    return differs == 0;
}

const serve_token *serve_token_of(const serve *s, const char *given)
{
    char padded[SERVE_TOKEN_MAX] = "";
    const serve_token *found = NULL;
    size_t len = strlen(given);
    if (len >= sizeof padded) return NULL;
    memcpy(padded, given, len);
    for (size_t i = 0; i < s->token_count; i++)
        if (is_same(s->tokens[i].text, padded, sizeof padded)) found = &s->tokens[i];
    return found;
}

/* ---- Sessions ---------------------------------------------------------------------------- */

/* Cookies of one host go to all its ports: each of our ports has a name of its own. */
static void cookie_name(const serve *s, char ret_name[32])
{
    snprintf(ret_name, 32, "pawl_%d=", s->port);
}

static serve_session *session_of_id(serve *s, const char *id)
{
    serve_session *found = NULL;
    for (size_t i = 0; i < SERVE_SESSIONS_MAX; i++) {
        serve_session *session = &s->sessions[i];
        if (session->id[0] && is_same(session->id, id, SERVE_ID_TEXT)) found = session;
    }
    return found;
}

static serve_session *session_of(serve *s, struct evhttp_request *request)
{
    char name[32], id[SERVE_ID_TEXT] = "";
    cookie_name(s, name);
    const char *cookie = evhttp_find_header(evhttp_request_get_input_headers(request), "Cookie");
    for (const char *at = cookie; at; at = strchr(at, ';') ? strchr(at, ';') + 1 : NULL) {
        at += strspn(at, " ");
        if (strncmp(at, name, strlen(name)) != 0) continue;
        snprintf(id, sizeof id, "%.*s", (int)strcspn(at + strlen(name), ";"), at + strlen(name));
        if (strlen(id) == SERVE_ID_TEXT - 1) return session_of_id(s, id);
    }
    return NULL;
}

const char *serve_visitor(serve *s, struct evhttp_request *request)
{
    if (!s->token_count) return "";
    const char *header =
        evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");
    if (header && strncmp(header, BEARER, strlen(BEARER)) == 0) {
        const serve_token *token = serve_token_of(s, header + strlen(BEARER));
        return token ? token->name : NULL;
    }
    serve_session *session = session_of(s, request);
    if (!session) return NULL;
    session->used = ++s->sessions_used;
    return session->token->name;
}

static void set_cookie(serve *s, struct evhttp_request *request, const char *id, const char *more)
{
    char name[32], cookie[SERVE_ID_TEXT + SERVE_TYPED_MAX + 128];
    cookie_name(s, name);
    snprintf(cookie, sizeof cookie, "%s%s; Path=%s/; HttpOnly; SameSite=Strict%s", name, id,
             s->base_path, more);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Set-Cookie", cookie);
}

bool serve_session_begin(serve *s, struct evhttp_request *request, const serve_token *token)
{
    unsigned char random[SERVE_ID_TEXT / 2];
    serve_session *session = &s->sessions[0];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
    for (size_t i = 1; i < SERVE_SESSIONS_MAX; i++)
        if (s->sessions[i].used < session->used) session = &s->sessions[i];
    for (size_t i = 0; i < sizeof random; i++) snprintf(session->id + 2 * i, 3, "%02x", random[i]);
    session->used = ++s->sessions_used;
    session->token = token;
    set_cookie(s, request, session->id, "");
    return true;
}

void serve_session_end(serve *s, struct evhttp_request *request)
{
    serve_session *session = session_of(s, request);
    if (session) *session = (serve_session){.used = 0};
    set_cookie(s, request, "", "; Max-Age=0");
}
