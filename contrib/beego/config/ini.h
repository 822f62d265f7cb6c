/* SPDX-License-Identifier: MIT */
/* Beego's dialect of INI: a list of settings, each with the place where it stands. */
#ifndef PAWL_CONFIG_INI_H
#define PAWL_CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>

/* Bounds (law 8). Beego has none: a file that includes itself exhausts its stack. */
#define PAWL__INI_DEPTH_MAX 8         /* files that include each other */
#define PAWL__INI_FILES_MAX 64        /* in all, so that a tree of includes ends, too */
#define PAWL__INI_SIZE_MAX  (1 << 20) /* bytes of one file; larger is no configuration */

/* The section of settings that stand before any [section]. */
#define PAWL__INI_DEFAULT "default"

typedef struct pawl__ini_entry {
    char *section; /* lowercase, as key */
    char *key;
    char *value; /* without quotes, ${VAR||default} replaced */
    char *where; /* "conf/app.conf:12" */
    bool unset;  /* the value is empty because it is a ${VAR} that is not set, without a default */
} pawl__ini_entry;

typedef struct pawl__ini pawl__ini;

/*
 * Reads a file and what it includes. Errors: PAWL_ERR_SYSTEM (a file cannot be
 * read), PAWL_ERR_OPTION (a malformed line), PAWL_ERR_NO_MEMORY;
 * reterr_message (PAWL_MESSAGE_MAX bytes) says where and what was expected, and
 * quotes nothing: a malformed line may hold a password.
 */
int pawl__ini_load(const char *path, pawl__ini **ret_ini, char *reterr_message);

/* The same from a text; path is for messages and for relative includes. */
int pawl__ini_parse(const char *path, const char *text, size_t len, pawl__ini **ret_ini,
                    char *reterr_message);

/* NULL is allowed. */
void pawl__ini_free(pawl__ini *ini);

/* The last entry of that section and key, both lowercase; NULL if there is none. Borrowed. */
const pawl__ini_entry *pawl__ini_find(const pawl__ini *ini, const char *section, const char *key);

/* In the order of the files, for tests. */
size_t pawl__ini_count(const pawl__ini *ini);
const pawl__ini_entry *pawl__ini_at(const pawl__ini *ini, size_t index);

#endif
