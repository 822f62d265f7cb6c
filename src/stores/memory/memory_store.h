/* SPDX-License-Identifier: MIT */
/* The store "memory:NAME": locks between the clients of one process. Built into libpawl. */
#ifndef PAWL_STORES_MEMORY_STORE_H
#define PAWL_STORES_MEMORY_STORE_H

#include "pawl/store.h"

extern const pawl_store_ops pawl__memory_ops;

#endif
