/* SPDX-License-Identifier: MIT */
/* A password that does not stand in the URL: from a file, read anew for each connection. */
#ifndef PAWL_REDIS_SECRET_H
#define PAWL_REDIS_SECRET_H

#include "pawl/types.h"

#define PAWL__REDIS_PASSWORD_MAX 4096 /* bytes */

/*
 * The first line of an ordinary file, which ends behind it. A name without a slash is a credential
 * of this service: systemd's $CREDENTIALS_DIRECTORY/NAME. The caller wipes and frees it. NULL,
 * with a line in reterr_message (never with what the file holds), if it is of no use.
 * *ret_exposed: everybody on this machine may read the file.
 */
char *pawl__redis_secret_read(const char *file, bool *ret_exposed, char *reterr_message,
                              size_t room);

/* A copy of $PAWL_REDIS_PASSWORD in *ret_password, NULL if there is none. False: out of memory. */
PAWL_MUST_USE bool pawl__redis_secret_of_environment(char **ret_password);

/* NULL is allowed. */
void pawl__redis_secret_free(char *password);

#endif
