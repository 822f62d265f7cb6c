/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE /* PATH_MAX */
#include "store_absolute.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SQLITE "sqlite:"

/* Writes the path as it must be in a URL. */
static void encode(const char *path, char *out)
{
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        if (isalnum(c) || strchr("-._~/", c)) {
            *out++ = *path;
        } else {
            out += snprintf(out, 4, "%%%02X", c);
        }
    }
    *out = '\0';
}

static bool is_relative_sqlite(const char *given)
{
    if (strncasecmp(given, SQLITE, sizeof SQLITE - 1) != 0) return false;
    char first = given[sizeof SQLITE - 1];
    return first != '\0' && first != '/' && first != '?'; /* "sqlite:" alone is the default file */
}

static bool join(char *buf, size_t size, const char *before, const char *directory,
                 const char *path)
{
    const char *slash = strcmp(directory, "/") == 0 ? "" : "/";
    int len = snprintf(buf, size, "%s%s%s%s", before, directory, slash, path);
    return len >= 0 && (size_t)len < size;
}

/* Into directory, which has PATH_MAX bytes. */
static bool find_directory(const char *base, char *directory)
{
    if (!base) return getcwd(directory, PATH_MAX) != NULL;
    const char *slash = strrchr(base, '/');
    size_t len = slash ? (size_t)(slash - base) : 0;
    if (!slash || len >= PATH_MAX) return false;
    if (len == 0) len = 1; /* the root */
    memcpy(directory, base, len);
    directory[len] = '\0';
    return true;
}

bool cli_path_absolute(const char *path, char *buf, size_t size)
{
    char directory[PATH_MAX];
    if (path[0] == '/') return join(buf, size, "", "", path + 1);
    return find_directory(NULL, directory) && join(buf, size, "", directory, path);
}

bool cli_store_absolute(const char *given, const char *base, char *buf, size_t size)
{
    char directory[PATH_MAX], encoded[3 * PATH_MAX];
    bool is_file = given[0] == '@' && given[1] != '/' && given[1] != '\0';
    bool is_sqlite = is_relative_sqlite(given);
    if ((!is_file && !is_sqlite) || !find_directory(base, directory)) {
        size_t len = strlen(given);
        if (len < size) memcpy(buf, given, len + 1);
        return len < size;
    }
    if (is_file) return join(buf, size, "@", directory, given + 1);
    encode(directory, encoded);
    return join(buf, size, SQLITE, encoded, given + sizeof SQLITE - 1);
}
