/* SPDX-License-Identifier: MIT */
/* The wall clock from which fences start (rule 6). It is used for nothing else. */
#ifndef PAWL_STORES_MEMORY_CLOCK_H
#define PAWL_STORES_MEMORY_CLOCK_H

#include <stdint.h>

uint64_t pawl__memory_wall_us(void);

#endif
