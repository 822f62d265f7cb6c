/* SPDX-License-Identifier: MIT */
/*
 * pawl/config.h - pawl from Beego's configuration: conf/app.conf, and the JSON
 * of its cache module. In libpawl-config (pkg-config: pawl-config).
 *
 * The file is Beego v2's INI dialect: comments (# ;) only at the start of a
 * line, [sections], names folded to lowercase, ${VAR||default} as a whole value,
 * "quotes" around a value, include "other.conf", run modes. Stricter than Beego
 * in one thing only: a line that could not take effect is refused, with its
 * file, its line and what was expected, where Beego reads on in silence.
 *
 * These keys choose the store. Each is looked for in the section of the run mode, then before any
 * section, then in [cache]:
 *
 *   pawlstore = redis://10.0.0.5/0          any store of pawl's, by URL; or
 *
 *   adapter = redis                         redis, file (the embedded SQLite), memory,
 *                                           memcache, mysql, postgres
 *   conn    = 127.0.0.1:6379                redis: also redis://password@host:port; file: a path;
 *                                           mysql: user:password@tcp(host:port)/database, as Go's
 *                                           driver takes it, or a URL; postgres: a URL
 *   dbnum   = 0                             redis only, as the next two: others refuse them
 *   password = secret
 *   key     = myapp                         locks are called myapp:NAME (only in [cache])
 *
 *   cache   = redis                         the adapter's name, a boolean, or Beego's JSON
 *
 *   pawlowner = counter-1                   the client's label
 */
#ifndef PAWL_CONFIG_H
#define PAWL_CONFIG_H

#include "pawl.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pawl_config pawl_config; /* one file and what it includes, read once */

/*
 * The file that pawl_config_load reads, for free(). path NULL: the file that Beego
 * would choose, app.conf or $BEEGO_RUNMODE.app.conf in ./conf, else in the conf beside
 * the program. A directory: that file in it. Anything else: path itself. Errors:
 * PAWL_ERR_SYSTEM (path NULL, and there is no such file: reterr_message, as below, says where it
 * was looked for), PAWL_ERR_ARGUMENT, PAWL_ERR_NO_MEMORY. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_config_find(const char *path, char **ret_path,
                                            char *reterr_message);

/*
 * Reads the file that pawl_config_find finds. Errors: its own; PAWL_ERR_SYSTEM (a file cannot be
 * read), PAWL_ERR_OPTION (a malformed line), PAWL_ERR_NO_MEMORY. reterr_message, if not NULL, has
 * PAWL_MESSAGE_MAX bytes and receives "file:line: what was expected", without any value that could
 * be a secret. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_config_load(const char *path, pawl_config **ret_config,
                                            char *reterr_message);

/* NULL is allowed. Always returns NULL. Since 0.1. */
PAWL_API pawl_config *pawl_config_free(pawl_config *config);

/*
 * The value of "key" (in the run mode's section, if it has one that is not
 * empty, else before any section) or of "section::key". Upper and lower case are the same. NULL if
 * there is none. Borrowed. Since 0.1.
 */
PAWL_API const char *pawl_config_get(const pawl_config *config, const char *key);

/* Where that value stands, "conf/app.conf:12", for messages. As pawl_config_get. Since 0.1. */
PAWL_API const char *pawl_config_where(const pawl_config *config, const char *key);

/* $BEEGO_RUNMODE as it was when the file was read, else runmode in the file, else
   "prod". Borrowed. Since 0.1. */
PAWL_API const char *pawl_config_run_mode(const pawl_config *config);

/* The client's label that the file chooses; NULL if it has none. Borrowed. Since 0.1. */
PAWL_API const char *pawl_config_owner(const pawl_config *config);

/*
 * The URL of the store that the file chooses, for free(); it may hold a
 * password. Errors: PAWL_ERR_OPTION (nothing or something contradictory is
 * chosen, a value is malformed), PAWL_ERR_SCHEME (no such adapter),
 * PAWL_ERR_UNSUPPORTED (ssdb, leveldb), PAWL_ERR_NO_MEMORY. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_config_store_url(const pawl_config *config, char **ret_url,
                                                 char *reterr_message);

/*
 * The same for the arguments of Beego's cache.NewCache: an adapter and its JSON,
 * {"conn":"127.0.0.1:6379","dbNum":"0","password":"...","key":"..."}. Numbers may be JSON numbers
 * or strings; unknown fields and other types are errors. json NULL or "": {}. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_cache_store_url(const char *adapter, const char *json,
                                                char **ret_url, char *reterr_message);

/* Where the file chooses its store, "conf/app.conf:12", for messages; NULL if nowhere. Borrowed.
   Since 0.1. */
PAWL_API const char *pawl_config_store_where(const pawl_config *config);

/*
 * pawl_config_load, pawl_config_store_url and pawl_client_open in one call;
 * opts NULL: defaults. The owner is that of opts, else that of the file. Errors: theirs.
 * Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_open_config(const char *path, const pawl_open_opts *opts,
                                            pawl_client **ret_client, char *reterr_message);

#ifdef __cplusplus
}
#endif
#endif
