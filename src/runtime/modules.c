/* SPDX-License-Identifier: MIT */
/*
 * Stores that are modules: pawl-store-NAME.so, beside libpawl.so, in the directory "pawl" there, or
 * in $PAWL_MODULES. The command contains libpawl and is installed elsewhere: it looks beside
 * itself, and where its installation has put the modules. NAME is the scheme up to its first +. A
 * module is never unloaded, because its code may be on a stack.
 */
#define _GNU_SOURCE
#include "modules.h"

#include "../stores/memory/memory_store.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PAWL_MODULE_SUBDIR
#define PAWL_MODULE_SUBDIR "pawl"
#endif
#ifndef PAWL_MODULE_FROM_BIN
#define PAWL_MODULE_FROM_BIN "../lib/pawl"
#endif

#define STORE_NAME_MAX 32

#define TEXT_OF(x)  TEXT_OF_(x)
#define TEXT_OF_(x) #x

/*
 * The stores that pawl is shipped with, each named here and nowhere else. A module that is not in
 * this table is also found, if its schemes begin with its name.
 */
static const struct shipped_store {
    const char *name;               /* also of the module, the package and the build option */
    const char *schemes;            /* for the list of what is known */
    const char *aliases[3];         /* schemes that do not begin with the name */
    const pawl_store_ops *built_in; /* NULL: a module */
    const char *needs;              /* Debian's package of the library that the module needs */
} shipped[] = {
    {"memory", "memory:", {NULL}, &pawl__memory_ops, NULL},
    {"sqlite", "sqlite:", {NULL}, NULL, "libsqlite3-0"},
    {"redis", "redis://, rediss://, redis+unix://", {"rediss", "valkey"}, NULL, NULL},
    {"postgres", "postgres://", {"postgresql"}, NULL, "libpq5"},
    {"mariadb", "mysql://, mariadb://", {"mysql"}, NULL, "libmariadb3"},
    {"memcached", "memcached://, memcached+unix://", {"memcache"}, NULL, NULL},
    {"etcd", "etcd://, etcds://", {"etcds"}, NULL, "libcurl4"},
    {"zookeeper", "zookeeper://", {"zk", "zookeepers"}, NULL, "libzookeeper-st2"},
};

#define SHIPPED_COUNT (sizeof shipped / sizeof shipped[0])

/* Stores that pawl does not have, why people look for them, and what to use instead. */
#define SERVER "redis://, postgres:// or mysql://"
static const struct missing_store {
    const char *schemes[5];
    const char *why, *instead;
} missing[] = {
    {{"ssdb"},
     "SSDB cannot compare and delete in one step, so who comes late could free the lock of "
     "another",
     SERVER},
    {{"leveldb", "rocksdb", "lmdb"},
     "one process has such a database to itself, and a lock is for several",
     "sqlite:"},
    {{"mysqlx"}, "pawl speaks the classic protocol of MySQL, and not its X protocol", "mysql://"},
    {{"consul"}, "pawl has not been written for it yet", SERVER},
    {{"mongodb", "dynamodb", "cassandra", "couchbase"}, "pawl has not been written for it", SERVER},
    {{"file", "flock", "dir"},
     "a file alone knows neither fences nor a queue that outlives its processes",
     "sqlite:/path/locks.db, which is a file"},
    {{"http", "https"},
     "no store is reached in this way; a proxy would have to keep its promises",
     SERVER},
};

static bool is_called(const struct shipped_store *store, const char *scheme)
{
    if (strcmp(store->name, scheme) == 0) return true;
    for (const char *const *alias = store->aliases; *alias; alias++)
        if (strcmp(*alias, scheme) == 0) return true;
    return false;
}

/* ret_name: the scheme up to a +. Returns the shipped store of that name, or NULL. */
static const struct shipped_store *find_shipped(const char *scheme, char ret_name[STORE_NAME_MAX])
{
    size_t len = strcspn(scheme, "+");
    if (len >= STORE_NAME_MAX) len = STORE_NAME_MAX - 1;
    memcpy(ret_name, scheme, len);
    ret_name[len] = '\0';
    for (size_t i = 0; i < SHIPPED_COUNT; i++) {
        if (!is_called(&shipped[i], ret_name)) continue;
        snprintf(ret_name, STORE_NAME_MAX, "%s", shipped[i].name);
        return &shipped[i];
    }
    return NULL;
}

/* ---- Where modules lie ---------------------------------------------------------------------- */

static const char here; /* an address inside libpawl */

/* The directory of the file that contains libpawl's code: libpawl.so or the program itself. */
static bool own_directory(char ret_dir[PATH_MAX], bool *ret_is_program)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (!dladdr1(&here, &info, (void **)&map, RTLD_DL_LINKMAP) || !map) return false;
    *ret_is_program = map->l_name[0] == '\0';
    if (*ret_is_program) {
        ssize_t len = readlink("/proc/self/exe", ret_dir, PATH_MAX - 1);
        if (len < 0) return false;
        ret_dir[len] = '\0';
    } else if (!realpath(map->l_name, ret_dir)) {
        return false;
    }
    char *slash = strrchr(ret_dir, '/');
    if (slash) *slash = '\0';
    return slash != NULL;
}

static bool try_path(const char *dir, const char *subdir, const char *name, char ret_path[PATH_MAX])
{
    int n = snprintf(ret_path, PATH_MAX, "%s%s%s/pawl-store-%s.so", dir, *subdir ? "/" : "", subdir,
                     name);
    return n > 0 && n < PATH_MAX && access(ret_path, R_OK) == 0;
}

static bool find_file(const char *name, char ret_path[PATH_MAX], char ret_dir[PATH_MAX])
{
    const char *given = secure_getenv("PAWL_MODULES");
    if (given && *given == '/') {
        snprintf(ret_dir, PATH_MAX, "%s", given);
        return try_path(given, "", name, ret_path);
    }
    bool is_program = false;
    if (!own_directory(ret_dir, &is_program)) return false;
    if (!is_program && try_path(ret_dir, PAWL_MODULE_SUBDIR, name, ret_path)) return true;
    return try_path(ret_dir, "", name, ret_path) ||
           (is_program && try_path(ret_dir, PAWL_MODULE_FROM_BIN, name, ret_path));
}

static int refuse_missing(const struct shipped_store *store, const char *dir, char *message)
{
    snprintf(message, PAWL_MESSAGE_MAX,
             "the store %s is not installed: no pawl-store-%s.so in %.150s or its "
             "directory " PAWL_MODULE_SUBDIR " (package libpawl-%s, or build with -D%s=enabled)",
             store->name, store->name, dir, store->name, store->name);
    return PAWL_ERR_SCHEME;
}

static const struct missing_store *find_missing(const char *scheme)
{
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++)
        for (size_t n = 0; n < 5 && missing[i].schemes[n]; n++)
            if (strcmp(missing[i].schemes[n], scheme) == 0) return &missing[i];
    return NULL;
}

static int refuse_unknown(const char *scheme, char *message)
{
    const struct missing_store *known_of = find_missing(scheme);
    if (known_of) {
        snprintf(message, PAWL_MESSAGE_MAX, "there is no store for %s: %s; use %s", scheme,
                 known_of->why, known_of->instead);
        return PAWL_ERR_SCHEME;
    }
    char known[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < SHIPPED_COUNT && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 shipped[i].schemes);
    snprintf(message, PAWL_MESSAGE_MAX, "no store has the scheme \"%.40s\"; known: %s", scheme,
             known);
    return PAWL_ERR_SCHEME;
}

/* ---- Loading -------------------------------------------------------------------------------- */

static int check_ops(const char *path, const pawl_store_ops *ops, char *message)
{
    if (ops->abi < PAWL_STORE_ABI) {
        snprintf(message, PAWL_MESSAGE_MAX, "%.200s is for another pawl (ABI %u, needed %u)", path,
                 ops->abi, PAWL_STORE_ABI);
        return PAWL_ERR_VERSION;
    }
    if (!ops->name || !ops->schemes || !ops->open || !ops->submit || !ops->flush || !ops->caps ||
        !ops->close || !ops->forget) {
        snprintf(message, PAWL_MESSAGE_MAX, "%.200s lacks a function that every store has", path);
        return PAWL_ERR_VERSION;
    }
    return PAWL_OK;
}

/* Usually a library is missing, and the reader needs the name of its package. */
static int refuse_unloadable(const struct shipped_store *store, char *message)
{
    const char *said = dlerror();
    bool is_missing = said && strstr(said, "cannot open shared object file");
    const char *package = store && is_missing ? store->needs : NULL;
    snprintf(message, PAWL_MESSAGE_MAX, "cannot load a store: %.350s%s%s%s", said ? said : "",
             package ? " (the package " : "", package ? package : "",
             package ? " brings what it needs)" : "");
    return PAWL_ERR_SYSTEM;
}

static int load(const char *path, const struct shipped_store *store, const pawl_store_ops **ret_ops,
                char *message)
{
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!module) return refuse_unloadable(store, message);
    const pawl_store_ops *ops = dlsym(module, TEXT_OF(PAWL_STORE_ENTRY));
    if (!ops) {
        snprintf(message, PAWL_MESSAGE_MAX, "%.200s is no store of pawl", path);
        return PAWL_ERR_VERSION;
    }
    int err = check_ops(path, ops, message);
    if (!err) *ret_ops = ops;
    return err;
}

static int check_scheme(const pawl_store_ops *ops, const char *scheme, char *message)
{
    char list[200];
    size_t used = 0;
    list[0] = '\0';
    for (const char *const *s = ops->schemes; *s; s++) {
        if (strcmp(*s, scheme) == 0) return PAWL_OK;
        if (used < sizeof list)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s%s:", used ? ", " : "", *s);
    }
    snprintf(message, PAWL_MESSAGE_MAX, "the store %s has no scheme \"%.40s\"; it has: %s",
             ops->name, scheme, list);
    return PAWL_ERR_SCHEME;
}

/* Finds the module's file and loads it. */
static int bring(const struct shipped_store *store, const char *name, const char *scheme,
                 const pawl_store_ops **ret_ops, char *message)
{
    char path[PATH_MAX], dir[PATH_MAX] = "";
    if (find_file(name, path, dir)) return load(path, store, ret_ops, message);
    return store ? refuse_missing(store, dir, message) : refuse_unknown(scheme, message);
}

int pawl__module_find(const pawl_url *url, const pawl_store_ops **ret_ops, char *reterr_message)
{
    char name[STORE_NAME_MAX];
    const struct shipped_store *store = find_shipped(url->scheme, name);
    const pawl_store_ops *ops = store ? store->built_in : NULL;
    int err = ops ? PAWL_OK : bring(store, name, url->scheme, &ops, reterr_message);
    if (!err) err = check_scheme(ops, url->scheme, reterr_message);
    if (!err) *ret_ops = ops;
    return err;
}
