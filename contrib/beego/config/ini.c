/* SPDX-License-Identifier: MIT */
/*
 * Beego v2's INI (core/config/ini.go there), read line by line:
 *
 *   # or ; at the start of a line   a comment; nowhere else
 *   [Section]                       names are folded to lowercase, blanks inside are kept
 *   Key = value                     keys are folded; the first = divides; the last line wins
 *   "value"                         if it starts with a quote, quotes at both ends go
 *   ${VAR||default}                 only as the whole value, after the quotes went
 *   include "other.conf"            relative to the file that says so
 *
 * A line that Beego accepts, but cannot use, is refused: a
 * key that no lookup reaches (empty, with "::", with a leading "["), a NUL.
 */
#define _GNU_SOURCE /* asprintf */
#include "ini.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pawl/types.h"
#include "text.h"

struct pawl__ini {
    pawl__ini_entry *entries;
    size_t count;
    size_t capacity;
    size_t files;
};

/* One file being read. */
typedef struct reader {
    pawl__ini *ini;
    const char *path;
    unsigned depth;
    unsigned line;
    char *section; /* of the lines to come; owned */
    char *message;
} reader;

static int parse_file(pawl__ini *ini, const char *path, unsigned depth, char *message);

/* ---- Errors ---------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int fail(const reader *r, const char *format, ...)
{
    int used = snprintf(r->message, PAWL_MESSAGE_MAX, "%.300s:%u: ", r->path, r->line);
    va_list args;
    va_start(args, format);
    vsnprintf(r->message + used, PAWL_MESSAGE_MAX - (size_t)used, format, args);
    va_end(args);
    pawl__text_mend(r->message);
    return PAWL_ERR_OPTION;
}

static int fail_memory(char *message)
{
    snprintf(message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
    return PAWL_ERR_NO_MEMORY;
}

/* ---- Entries --------------------------------------------------------------------------- */

static void free_entry(pawl__ini_entry *entry)
{
    free(entry->section);
    free(entry->key);
    free(entry->value);
    free(entry->where);
}

static bool has_room(pawl__ini *ini)
{
    if (ini->count < ini->capacity) return true;
    size_t capacity = ini->capacity ? 2 * ini->capacity : 32;
    pawl__ini_entry *entries = realloc(ini->entries, capacity * sizeof *entries);
    if (!entries) return false;
    ini->entries = entries;
    ini->capacity = capacity;
    return true;
}

/* Takes over value. */
static int add(reader *r, pawl__span key, char *value)
{
    pawl__ini_entry entry = {
        .section = strdup(r->section), .key = pawl__span_lower(key), .value = value};
    if (asprintf(&entry.where, "%s:%u", r->path, r->line) < 0) entry.where = NULL;
    if (!entry.section || !entry.key || !entry.value || !entry.where || !has_room(r->ini)) {
        free_entry(&entry);
        return fail_memory(r->message);
    }
    r->ini->entries[r->ini->count++] = entry;
    return PAWL_OK;
}

/* ---- Values ---------------------------------------------------------------------------- */

static pawl__span trim_quotes(pawl__span span)
{
    while (span.len > 0 && span.text[0] == '"') {
        span.text++;
        span.len--;
    }
    while (span.len > 0 && span.text[span.len - 1] == '"') span.len--;
    return span;
}

/* ${VAR}, ${VAR||default}: the variable, if it is not empty, else the default. */
static char *expand(pawl__span value)
{
    if (value.len < 3 || !pawl__span_starts_with(value, "${") || value.text[value.len - 1] != '}')
        return pawl__span_copy(value);
    pawl__span inner = {value.text + 2, value.len - 3};
    pawl__span name = {inner.text, 0};
    pawl__span fallback = {inner.text + inner.len, 0};
    for (; name.len < inner.len && inner.text[name.len] != '}'; name.len++) {
        if (memcmp(inner.text + name.len, "||", 2) != 0) continue; /* searched before the } only */
        fallback.text = inner.text + name.len + 2;
        fallback.len = inner.len - name.len - 2;
        break;
    }
    char *variable = pawl__span_copy(name);
    if (!variable) return NULL;
    const char *found = getenv(variable);
    free(variable);
    return found && *found ? strdup(found) : pawl__span_copy(fallback);
}

/* ---- Lines ----------------------------------------------------------------------------- */

static int take_section(reader *r, pawl__span line)
{
    pawl__span name = {line.text + 1, line.len - 2};
    if (!pawl__span_is_utf8(name)) return fail(r, "expected a section's name in UTF-8");
    char *section = pawl__span_lower(name);
    if (!section) return fail_memory(r->message);
    free(r->section);
    r->section = section;
    return PAWL_OK;
}

/* The path of an included file as seen from here. */
static char *path_beside(const char *path, const char *other)
{
    const char *slash = strrchr(path, '/');
    char *joined = NULL;
    if (other[0] == '/' || !slash) return strdup(other);
    if (asprintf(&joined, "%.*s%s", (int)(slash - path + 1), path, other) < 0) return NULL;
    return joined;
}

static int take_include(reader *r, pawl__span rest)
{
    pawl__span file = trim_quotes(pawl__span_word(&rest));
    if (file.len == 0 || pawl__span_trim(rest).len > 0)
        return fail(r, "expected include \"file\", one file, no blanks in its name");
    if (r->depth == PAWL__INI_DEPTH_MAX)
        return fail(r, "includes are nested deeper than %d (does a file include itself?)",
                    PAWL__INI_DEPTH_MAX);
    char *name = pawl__span_copy(file);
    char *path = name ? path_beside(r->path, name) : NULL;
    char inner[PAWL_MESSAGE_MAX];
    int err = path ? parse_file(r->ini, path, r->depth + 1, inner) : fail_memory(inner);
    /* An error inside names the included file and line; a file that cannot be read, our line. */
    if (err == PAWL_ERR_SYSTEM) {
        fail(r, "%s", inner);
    } else if (err) {
        memcpy(r->message, inner, sizeof inner);
    }
    free(path);
    free(name);
    return err;
}

static bool contains(pawl__span span, const char *needle)
{
    return memmem(span.text, span.len, needle, strlen(needle)) != NULL;
}

static void mark_unset(pawl__ini_entry *entry, pawl__span value)
{
    entry->unset =
        !entry->value[0] && pawl__span_starts_with(value, "${") && !contains(value, "||");
}

static int take_setting(reader *r, pawl__span key, pawl__span value)
{
    if (key.len == 0) return fail(r, "expected a key before the =");
    if (key.text[0] == '[')
        return fail(r, "expected ] at the end of the line (comments have lines of their own)");
    if (contains(key, "::"))
        return fail(r, "expected a key without ::, below a line [section]: nothing finds it here");
    if (!pawl__span_is_utf8(key)) return fail(r, "expected a key in UTF-8");
    if (value.len > 0 && value.text[0] == '"') value = trim_quotes(value);
    int err = add(r, key, expand(value));
    if (!err) mark_unset(&r->ini->entries[r->ini->count - 1], value);
    return err;
}

static bool is_include(pawl__span line)
{
    pawl__span word = pawl__span_word(&line);
    return word.len == 7 && strncasecmp(word.text, "include", 7) == 0;
}

static int take_line(reader *r, pawl__span line)
{
    line = pawl__span_trim(line);
    if (line.len == 0 || line.text[0] == '#' || line.text[0] == ';') return PAWL_OK;
    if (memchr(line.text, '\0', line.len)) return fail(r, "expected text, found a NUL byte");
    if (line.len >= 2 && line.text[0] == '[' && line.text[line.len - 1] == ']')
        return take_section(r, line);
    const char *equals = memchr(line.text, '=', line.len);
    if (equals) {
        pawl__span key = {line.text, (size_t)(equals - line.text)};
        pawl__span value = {equals + 1, line.len - key.len - 1};
        return take_setting(r, pawl__span_trim(key), pawl__span_trim(value));
    }
    if (is_include(line)) {
        (void)pawl__span_word(&line);
        return take_include(r, line);
    }
    if (line.text[0] == '[') return fail(r, "expected ] at the end of the line");
    return fail(r, "expected key = value, [section], include \"file\", or a comment with # or ;");
}

/* ---- Files ----------------------------------------------------------------------------- */

static int parse_text(pawl__ini *ini, const char *path, unsigned depth, pawl__span text,
                      char *message)
{
    reader r = {.ini = ini, .path = path, .depth = depth, .message = message};
    r.section = strdup(PAWL__INI_DEFAULT);
    if (!r.section) return fail_memory(message);
    if (pawl__span_starts_with(text, "\xEF\xBB\xBF")) { /* a byte order mark */
        text.text += 3;
        text.len -= 3;
    }
    int err = PAWL_OK;
    while (!err && text.len > 0) {
        const char *end = memchr(text.text, '\n', text.len);
        pawl__span line = {text.text, end ? (size_t)(end - text.text) : text.len};
        size_t skip = line.len + (end ? 1 : 0);
        r.line++;
        err = take_line(&r, line);
        text.text += skip;
        text.len -= skip;
    }
    free(r.section);
    return err;
}

static int fail_file(const char *path, const char *why, char *message)
{
    snprintf(message, PAWL_MESSAGE_MAX, "cannot read %.300s: %s", path, why);
    pawl__text_mend(message);
    return PAWL_ERR_SYSTEM;
}

static int parse_file(pawl__ini *ini, const char *path, unsigned depth, char *message)
{
    if (ini->files++ == PAWL__INI_FILES_MAX) {
        snprintf(message, PAWL_MESSAGE_MAX, "%.300s: more than %d files are included", path,
                 PAWL__INI_FILES_MAX);
        pawl__text_mend(message);
        return PAWL_ERR_OPTION;
    }
    char *text = malloc(PAWL__INI_SIZE_MAX + 1);
    if (!text) return fail_memory(message);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(text, 1, PAWL__INI_SIZE_MAX + 1, file) : 0;
    int err = PAWL_OK;
    if (!file || ferror(file)) {
        err = fail_file(path, strerror(errno), message);
    } else if (len > PAWL__INI_SIZE_MAX) {
        err = fail_file(path, "larger than 1 MiB, no configuration is", message);
    }
    if (file) fclose(file);
    if (!err) err = parse_text(ini, path, depth, (pawl__span){text, len}, message);
    free(text);
    return err;
}

static int finish(int err, pawl__ini *ini, pawl__ini **ret_ini)
{
    if (err) {
        pawl__ini_free(ini);
        return err;
    }
    *ret_ini = ini;
    return PAWL_OK;
}

int pawl__ini_load(const char *path, pawl__ini **ret_ini, char *reterr_message)
{
    pawl__ini *ini = calloc(1, sizeof *ini);
    if (!ini) return fail_memory(reterr_message);
    return finish(parse_file(ini, path, 1, reterr_message), ini, ret_ini);
}

int pawl__ini_parse(const char *path, const char *text, size_t len, pawl__ini **ret_ini,
                    char *reterr_message)
{
    pawl__ini *ini = calloc(1, sizeof *ini);
    if (!ini) return fail_memory(reterr_message);
    int err = parse_text(ini, path, 1, (pawl__span){text, len}, reterr_message);
    return finish(err, ini, ret_ini);
}

void pawl__ini_free(pawl__ini *ini)
{
    if (!ini) return;
    for (size_t i = 0; i < ini->count; i++) free_entry(&ini->entries[i]);
    free(ini->entries);
    free(ini);
}

/* ---- Lookups --------------------------------------------------------------------------- */

const pawl__ini_entry *pawl__ini_find(const pawl__ini *ini, const char *section, const char *key)
{
    for (size_t i = ini->count; i > 0; i--) {
        const pawl__ini_entry *entry = &ini->entries[i - 1];
        if (strcmp(entry->key, key) == 0 && strcmp(entry->section, section) == 0) return entry;
    }
    return NULL;
}

size_t pawl__ini_count(const pawl__ini *ini)
{
    return ini->count;
}

const pawl__ini_entry *pawl__ini_at(const pawl__ini *ini, size_t index)
{
    return &ini->entries[index];
}
