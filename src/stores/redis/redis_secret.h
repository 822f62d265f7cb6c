/* SPDX-License-Identifier: MIT */
/* A password that is not in the URL: from a file, or from the environment. */
#ifndef PAWL_REDIS_SECRET_H
#define PAWL_REDIS_SECRET_H

#include "../common/secret.h"

/* A copy of $PAWL_REDIS_PASSWORD in *ret_password, NULL if there is none. False: out of memory. */
PAWL_MUST_USE bool pawl__redis_secret_of_environment(char **ret_password);

#endif
