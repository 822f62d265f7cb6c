/* SPDX-License-Identifier: MIT */
/* Where the database lies: from the URL to a file that may be used. */
#ifndef PAWL_SQLITE_PATH_H
#define PAWL_SQLITE_PATH_H

#include "pawl/store.h"

#include <limits.h>
#include <sys/stat.h>

struct statfs;

#define PAWL__SQLITE_SUFFIX_ROOM 64 /* for "-journal", "-inbox", ".new-..." behind the path */
#define PAWL__SQLITE_PATH_MAX    (PATH_MAX - PAWL__SQLITE_SUFFIX_ROOM)

/*
 * The path that the URL means, absolute, or "" for the default file. Looks at
 * no file. 0, PAWL_ERR_URL, PAWL_ERR_SYSTEM; one line in reterr_message.
 */
int pawl__sqlite_path_of_url(const pawl_url *url, char *ret_path, char *reterr_message);

/*
 * Finds the file (for "": chooses it, and makes its directory) and creates it if it is absent, with
 * exactly `mode`, or if mode is 0 with 0660 less the umask. ret_path has PATH_MAX bytes and
 * receives the path without symbolic links. Errors: _NETWORK_FS, _PERMISSION, _READONLY,
 * _STORE_FULL, _WRONG_TYPE (no regular file, several names, mounted alone), _UNAVAILABLE (no such
 * directory), _SYSTEM, _STORE_BUSY (somebody creates it right now: try again).
 */
int pawl__sqlite_path_prepare(const char *wanted, mode_t mode, char *ret_path,
                              struct stat *ret_stat, char *reterr_message);

/* The path that is wanted; for "" that of the default file, whose directory is made. ret_path has
 * PATH_MAX bytes. Errors as in pawl__sqlite_path_prepare. */
int pawl__sqlite_path_choose(const char *wanted, char *ret_path, char *reterr_message);

/* Replaces an absolute path, in PATH_MAX bytes, by what the symbolic link there names. False: it is
 * no link. */
bool pawl__sqlite_path_follow(char *path);

/* If the default file was wanted: adds to the message who owns it and what to do. */
void pawl__sqlite_path_advise(const char *wanted, char *message);

/* Why the file, those of SQLite beside it or the directory cannot be written; 0 if all can. */
int pawl__sqlite_path_check_writable(const char *path, char *reterr_message);

/* Why the file or those of SQLite beside it cannot be read: also if one is absent. 0 if all can. */
int pawl__sqlite_path_check_readable(const char *path, char *reterr_message);

/*
 * Tests whether a file of 64 KB can be made beside `path`, and removes it. 0, or an error and one
 * line as in pawl__sqlite_path_prepare.
 */
int pawl__sqlite_path_probe(const char *path, char *reterr_message);

/* Writes one line of at most PAWL_MESSAGE_MAX bytes; cuts what is longer. */
__attribute__((format(printf, 2, 3))) void pawl__sqlite_say(char *ret_message, const char *format,
                                                            ...);

/* A store error for the errno of a failed file operation. */
pawl_err pawl__sqlite_err_of_errno(int number);

/* The name of the filesystem type if several machines may share it, else NULL. */
const char *pawl__sqlite_shared_fs_name(long f_type);

/* statfs; tests put their own here. */
extern int (*pawl__sqlite_statfs)(const char *path, struct statfs *ret_statfs);

#endif
