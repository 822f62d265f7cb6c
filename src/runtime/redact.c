/* SPDX-License-Identifier: MIT */
/*
 * These parts could be a password:
 *
 *   - everything between the scheme and the last @, except a user's name: the text before the
 *     first colon; or all of it if the password is in a file, or for PostgreSQL, where users may
 *     have no password. If a ? comes before that @, everything to the end, because then it is not
 *     clear what is what
 *   - what follows a colon where a port should be, if it is no port: the @host was forgotten. Where
 *     a store takes several hosts, each of them has a port of its own
 *   - the value of an option whose name sounds like a password, except the path of a password's
 *     file; and an option without a name or a value
 */
#define _GNU_SOURCE /* strcasestr */
#include "redact.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STARS "***"

/* The part of the copy that is made. It has at most three bytes for each byte of the URL. */
typedef struct copy {
    char *text;
    size_t len;
} copy;

static void put(copy *out, const char *from, const char *to)
{
    memcpy(out->text + out->len, from, (size_t)(to - from));
    out->len += (size_t)(to - from);
}

static void put_stars(copy *out)
{
    put(out, STARS, STARS + strlen(STARS));
}

/* ---- Schemes ------------------------------------------------------------------------- */

/* Length of "scheme:"; 0 if there is none. */
static size_t scheme_len(const char *url)
{
    size_t len = 0;
    if (!isalpha((unsigned char)url[0])) return 0;
    while (isalnum((unsigned char)url[len]) || (url[len] && strchr("+-.", url[len]))) len++;
    return url[len] == ':' ? len + 1 : 0;
}

static bool is_one_of(const char *url, const char *const *schemes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0) return true;
    return false;
}

static bool has_authority(const char *rest)
{
    return strncmp(rest, "//", 2) == 0 && rest[2] != '/';
}

bool pawl__redact_is_path(const char *url)
{
    size_t len = scheme_len(url);
    if (has_authority(url + len)) return false;
    return (len == 7 && strncasecmp(url, "sqlite:", 7) == 0) ||
           (len == 7 && strncasecmp(url, "memory:", 7) == 0) ||
           (len > 6 && strncasecmp(url + len - 6, "+unix:", 6) == 0);
}

/* ---- The address ------------------------------------------------------------------------ */

/* digits; or an IPv6 address that lacks its brackets */
static bool could_be_port(const char *text, size_t len)
{
    bool several = memchr(text, ':', len) != NULL;
    return strspn(text, several ? "0123456789abcdefABCDEF:" : "0123456789") >= len;
}

/* Elsewhere a comma belongs to what may be a password. */
static bool takes_several_hosts(const char *url)
{
    static const char *const schemes[] = {
        "postgres:", "postgresql:", "mysql:", "mariadb:", "etcd:", "etcds:", "zookeeper:", "zk:"};
    return is_one_of(url, schemes, sizeof schemes / sizeof *schemes);
}

/* host:port. Returns where the copy goes on. */
static const char *put_host(copy *out, const char *at, const char *ends)
{
    const char *end = at + strcspn(at, ends);
    const char *bracket = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
    const char *start = bracket ? bracket : at;
    const char *colon = memchr(start, ':', (size_t)(end - start));
    if (!colon || could_be_port(colon + 1, (size_t)(end - colon - 1))) {
        put(out, at, end);
        return end;
    }
    put(out, at, colon + 1);
    put_stars(out);
    return colon + strlen(colon);
}

static const char *put_hosts(copy *out, const char *url, const char *at)
{
    const char *ends = takes_several_hosts(url) ? ",/?#" : "/?#";
    const char *rest = put_host(out, at, ends);
    while (*rest == ',') {
        put(out, rest, rest + 1);
        rest = put_host(out, rest + 1, ends);
    }
    return rest;
}

/* ---- Options ---------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (isdigit((unsigned char)c)) return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* The key as the store will read it, %XX decoded; cut if it is longer than any known word. */
static void decode_key(const char *from, const char *to, char *ret_key, size_t room)
{
    size_t used = 0;
    for (; from < to && used + 1 < room; from++) {
        bool coded =
            *from == '%' && to - from > 2 && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0;
        ret_key[used++] = (char)(coded ? hex_digit(from[1]) * 16 + hex_digit(from[2]) : *from);
        if (coded) from += 2;
    }
    ret_key[used] = '\0';
}

/* A word without a path does not count: somebody may have written the password itself. */
static bool is_path_of_secret(const char *key, const char *value)
{
    /* The second one is libpq's word for it. */
    return (strcmp(key, "password_file") == 0 || strcmp(key, "passfile") == 0) &&
           (*value == '/' || strncasecmp(value, "%2F", 3) == 0);
}

/* `to` is the option's equals sign. */
static bool is_secret(const char *from, const char *to)
{
    static const char *const words[] = {"pass", "pwd", "secret", "token", "auth", "cred"};
    char key[100];
    decode_key(from, to, key, sizeof key);
    if (is_path_of_secret(key, to + 1)) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(key, words[i])) return true;
    return false;
}

static void put_option(copy *out, const char *option, const char *end)
{
    const char *equals = memchr(option, '=', (size_t)(end - option));
    bool hidden = !equals || equals == option || is_secret(option, equals);
    if (!hidden || option == end) {
        put(out, option, end);
        return;
    }
    if (equals) put(out, option, equals + 1);
    put_stars(out);
}

static void put_options(copy *out, const char *query)
{
    for (; *query; query += *query ? 1 : 0) {
        const char *end = query + strcspn(query, "&#");
        put_option(out, query, end);
        query = end;
        if (*query) put(out, query, query + 1);
    }
}

/* ---- The login -------------------------------------------------------------------------- */

/* If the password is in a file, only a user's name can stand before the @. */
static bool has_password_file(const char *at)
{
    for (const char *c = strchr(at, '?'); c; c = strchr(c + 1, '&')) {
        const char *equals = strchr(c, '=');
        char key[100];
        if (!equals) return false;
        decode_key(c + 1, equals, key, sizeof key);
        if (is_path_of_secret(key, equals + 1)) return true;
    }
    return false;
}

/* For Redis it might be a password whose colon was forgotten. */
static bool names_users(const char *url)
{
    static const char *const schemes[] = {"postgres:", "postgresql:", "mysql:", "mariadb:"};
    return is_one_of(url, schemes, sizeof schemes / sizeof *schemes);
}

/* Everything up to the last @. `bare`: hide nothing if there is no colon. */
static const char *put_login(copy *out, const char *url, const char *start, bool bare)
{
    const char *at = strrchr(start, '@');
    const char *colon = at ? memchr(start, ':', (size_t)(at - start)) : NULL;
    if (!at || (bare && !colon)) return start;
    bool doubtful = memchr(start, '?', (size_t)(at - start)) != NULL;
    bool is_user = names_users(url) || has_password_file(at);
    if (!doubtful && (colon ? colon + 1 == at : is_user)) {
        put(out, start, at); /* there is no password to hide */
        return at;
    }
    if (colon) put(out, start, colon + 1);
    put_stars(out);
    return doubtful ? at + strlen(at) : at;
}

/* ---- The whole ---------------------------------------------------------------------------- */

char *pawl__redact(const char *url)
{
    copy out = {.text = malloc(3 * strlen(url) + 2 * strlen(STARS) + 1)};
    if (!out.text) return NULL;
    bool is_path = pawl__redact_is_path(url);
    bool is_file = is_path && strncasecmp(url, "sqlite:", 7) == 0;
    const char *start = url + scheme_len(url);
    bool authority = has_authority(start);
    start += strspn(start, "/");
    put(&out, url, start);

    const char *rest = is_file ? start : put_login(&out, url, start, is_path);
    if (*rest == '@') put(&out, rest, rest + 1);
    if (*rest == '@') rest++;
    if (authority) rest = put_hosts(&out, url, rest);
    const char *query = rest + strcspn(rest, "?");
    if (*query) query++;
    put(&out, rest, query);
    put_options(&out, query);
    out.text[out.len] = '\0';
    return out.text;
}
