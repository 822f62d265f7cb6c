/* SPDX-License-Identifier: MIT */
/* Finds the module with TLS beside the store's own, or in $PAWL_MODULES. */
#define _GNU_SOURCE
#include "redis_tls.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char here; /* an address inside the store */

static bool own_directory(char ret_dir[PATH_MAX])
{
    Dl_info info;
    const char *given = secure_getenv("PAWL_MODULES");
    if (given && *given == '/') {
        snprintf(ret_dir, PATH_MAX, "%s", given);
        return true;
    }
    if (!dladdr(&here, &info) || !realpath(info.dli_fname, ret_dir)) return false;
    char *slash = strrchr(ret_dir, '/');
    if (slash) *slash = '\0';
    return slash != NULL;
}

const pawl__redis_tls_ops *pawl__redis_tls_load(char *reterr_message, size_t room)
{
    char dir[PATH_MAX] = "", path[PATH_MAX + 64];
    (void)own_directory(dir);
    snprintf(path, sizeof path, "%s/" PAWL__REDIS_TLS_MODULE ".so", dir);
    if (access(path, R_OK) != 0) {
        snprintf(reterr_message, room,
                 "rediss:// is not installed: no " PAWL__REDIS_TLS_MODULE ".so in %.150s (package "
                 "libpawl-redis-tls, or build with -Dtls=enabled)",
                 dir);
        return NULL;
    }
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const pawl__redis_tls_ops *ops = module ? dlsym(module, "pawl_redis_tls_entry") : NULL;
    if (ops && ops->abi == PAWL__REDIS_TLS_ABI) return ops;
    const char *why = ops ? "it is for another pawl" : dlerror();
    snprintf(reterr_message, room, "%.200s: %.250s", path, why ? why : "it cannot be loaded");
    return NULL;
}
