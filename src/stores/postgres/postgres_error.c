/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "postgres_error.h"

#include "../../base/line.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_LEN 5 /* of an SQLSTATE */

/*
 * By the code, or by the two letters of its class; the first row that fits counts. A request
 * commits before it answers. So an error that may come after the commit (somebody cancels, the
 * server goes down, an internal error) does not mean that nothing was done.
 */
static const struct {
    const char *code;
    pawl_err err;
    bool maybe_done, reconnect;
} meanings[] = {
    {"40", PAWL_ERR_STORE_BUSY, false, false},    /* a deadlock, a serialization failure */
    {"55P03", PAWL_ERR_STORE_BUSY, false, false}, /* lock_timeout */
    {"57014", PAWL_ERR_STORE_BUSY, true, false},  /* statement_timeout, pg_cancel_backend */
    {"26000", PAWL_ERR_STORE_BUSY, false, false}, /* no such prepared statement, or it exists: */
    {"42P05", PAWL_ERR_STORE_BUSY, false, false}, /* the next try does not prepare it */
    {"25006", PAWL_ERR_READONLY, false, true},    /* a standby, or made read-only */
    {"25", PAWL_ERR_STORE_BUSY, true, true},      /* timeouts of transactions and sessions */
    {"42501", PAWL_ERR_PERMISSION, false, false}, {"28", PAWL_ERR_AUTH, false, false},
    {"3D000", PAWL_ERR_URL, false, false},        /* no such database */
    {"3F000", PAWL_ERR_UNAVAILABLE, false, true}, /* the schema is gone: look again */
    {"42P01", PAWL_ERR_UNAVAILABLE, false, true}, {"42883", PAWL_ERR_UNAVAILABLE, false, true},
    {"42", PAWL_ERR_VERSION, false, true},        {"53100", PAWL_ERR_STORE_FULL, false, false},
    {"53", PAWL_ERR_STORE_BUSY, false, false},    /* connections, memory */
    {"54000", PAWL_ERR_STORE_FULL, false, false}, /* the queue of notifications */
    {"57P03", PAWL_ERR_LOADING, true, true},      /* starting up, or recovering */
    {"57", PAWL_ERR_UNAVAILABLE, true, true},     /* shutting down, crashed, idle for too long */
    {"XX001", PAWL_ERR_CORRUPT, true, false},     {"XX002", PAWL_ERR_CORRUPT, true, false},
    {"08", PAWL_ERR_UNAVAILABLE, true, true},     {"58", PAWL_ERR_UNAVAILABLE, true, true},
    {"XX", PAWL_ERR_STORE_BUSY, true, false},     {"23", PAWL_ERR_STORE_BUSY, false, false},
};

static pawl__postgres_trouble meaning_of(const char *code)
{
    if (!*code) return (pawl__postgres_trouble){PAWL_ERR_UNAVAILABLE, true, true}; /* libpq's own */
    if (strncmp(code, "PW", 2) == 0) { /* raised by the schema: an error of pawl's */
        pawl_err err = (pawl_err)-strtol(code + 2, NULL, 10);
        return (pawl__postgres_trouble){err < 0 ? err : PAWL_ERR_PROTOCOL, false, false};
    }
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strncmp(code, meanings[i].code, strlen(meanings[i].code)) == 0)
            return (pawl__postgres_trouble){meanings[i].err, meanings[i].maybe_done,
                                            meanings[i].reconnect};
    return (pawl__postgres_trouble){PAWL_ERR_PROTOCOL, true, false};
}

static const char *advice(pawl_err err)
{
    switch (err) {
    case PAWL_ERR_PERMISSION:
        return "; pawl schema postgres prints the rights that a user needs";
    case PAWL_ERR_READONLY:
        return "; connect to the primary";
    case PAWL_ERR_VERSION:
        return "; is the schema that of another pawl?";
    default:
        return "";
    }
}

static const char *or_nothing(const char *text)
{
    return text ? text : "";
}

pawl__postgres_trouble pawl__postgres_explain(const char *where, const PGresult *result,
                                              char *ret_message)
{
    const char *code = or_nothing(PQresultErrorField(result, PG_DIAG_SQLSTATE));
    const char *text = or_nothing(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    pawl__postgres_trouble trouble = meaning_of(code);
    if (!*text) text = PQresultErrorMessage(result);
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%.200s: the server says: %.150s (%s)%s", where, text,
             *code ? code : "no code", advice(trouble.err));
    pawl__line_mend(ret_message);
    return trouble;
}

/* ---- Connections --------------------------------------------------------------------------- */

/* In "FATAL:  28P01: password ...", the code; NULL: the server said nothing. */
static const char *find_code(const char *said)
{
    for (const char *at = strstr(said, ":  "); at; at = strstr(at + 1, ":  ")) {
        const char *code = at + 3;
        size_t n = 0;
        while (n < CODE_LEN && (isdigit((unsigned char)code[n]) || isupper((unsigned char)code[n])))
            n++;
        if (n == CODE_LEN && code[n] == ':') return code;
    }
    return NULL;
}

/* What libpq says by itself, without a server's code. */
static pawl_err meaning_of_words(const char *said)
{
    static const struct {
        const char *part;
        pawl_err err;
    } words[] = {
        {"read-only", PAWL_ERR_READONLY},
        {"hot standby", PAWL_ERR_READONLY},
        {"SSL", PAWL_ERR_TLS},
        {"certificate", PAWL_ERR_TLS},
        {"private key", PAWL_ERR_TLS},
        {"no password supplied", PAWL_ERR_AUTH},
        {"authentication", PAWL_ERR_AUTH},
        {"invalid", PAWL_ERR_OPTION}, /* a value of an option */
        {"definition of service", PAWL_ERR_OPTION},
        {"service file", PAWL_ERR_OPTION},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(said, words[i].part)) return words[i].err;
    return PAWL_ERR_UNAVAILABLE;
}

/* With and without TLS libpq tries the same twice, and is told the same. */
static bool is_repeated(const char *said, const char *line, size_t len)
{
    for (const char *at = said; at < line; at += strcspn(at, "\n") + 1)
        if (strcspn(at, "\n") == len && memcmp(at, line, len) == 0) return true;
    return false;
}

/* Its lines but for LOCATION and hints become one, each once; trailing blanks go. */
static void one_line(const char *said, char *ret_line, size_t room)
{
    size_t used = 0;
    for (const char *line = said; *line && used + 1 < room;) {
        size_t len = strcspn(line, "\n");
        bool shown = strncmp(line, "LOCATION:", 9) != 0 && *line != '\t' && len > 0 &&
                     !is_repeated(said, line, len);
        if (shown) {
            int n =
                snprintf(ret_line + used, room - used, "%s%.*s", used ? "; " : "", (int)len, line);
            used += n > 0 ? (size_t)n : 0;
        }
        line += len;
        if (*line) line++;
    }
    ret_line[used < room ? used : room - 1] = '\0';
}

pawl_err pawl__postgres_explain_refusal(const char *where, const char *said, char *ret_message)
{
    char line[PAWL_MESSAGE_MAX - 160];
    const char *code = find_code(said);
    pawl_err err = code ? meaning_of(code).err : meaning_of_words(said);
    one_line(said, line, sizeof line);
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%.120s: %s%s", where, line,
             err == PAWL_ERR_READONLY ? advice(err) : "");
    pawl__line_mend(ret_message);
    return err;
}

void pawl__postgres_explain_loss(const char *where, const char *said, char *ret_message)
{
    char line[PAWL_MESSAGE_MAX - 160];
    one_line(said, line, sizeof line);
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%.120s: %s", where,
             line[0] ? line : "the connection is gone");
    pawl__line_mend(ret_message);
}
