/* SPDX-License-Identifier: MIT */
/* The stores that this library knows, built in or as modules. */
#ifndef PAWL_RUNTIME_MODULES_H
#define PAWL_RUNTIME_MODULES_H

#include "pawl/store.h"
#include "url.h"

/* The store for a URL's scheme; loads its module. One line in reterr_message. */
int pawl__module_find(const pawl_url *url, const pawl_store_ops **ret_ops, char *reterr_message);

#endif
