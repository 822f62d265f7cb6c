/* SPDX-License-Identifier: MIT */
/* A password that is not in the URL: from a file, which is read again for each connection. */
#ifndef PAWL_STORES_SECRET_H
#define PAWL_STORES_SECRET_H

#include "pawl/types.h"

#define PAWL__SECRET_MAX 4096 /* bytes */

/*
 * The first line of an ordinary file, which must have no other line. A name without a slash is a
 * credential of this service: systemd's $CREDENTIALS_DIRECTORY/NAME. The caller wipes and frees it.
 * NULL, with a line in reterr_message (which never quotes the file), if the file is of no use.
 * *ret_exposed: everybody on this machine may read the file.
 */
char *pawl__secret_read(const char *file, bool *ret_exposed, char *reterr_message, size_t room);

/* NULL is allowed. */
void pawl__secret_free(char *password);

#endif
