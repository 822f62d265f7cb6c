/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_secret.h"

#include <stdlib.h>
#include <string.h>

bool pawl__redis_secret_of_environment(char **ret_password)
{
    const char *given = secure_getenv("PAWL_REDIS_PASSWORD");
    *ret_password = given && *given ? strdup(given) : NULL;
    return *ret_password || !given || !*given;
}
