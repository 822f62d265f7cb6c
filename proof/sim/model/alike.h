/* SPDX-License-Identifier: MIT */
/* What makes one state of several that differ in names only. */
#ifndef PAWL_SIM_ALIKE_H
#define PAWL_SIM_ALIKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes 1, 2, 3 ... of numbers up to 31, in the same order; 0 stays 0. */
void alike_numbers(uint8_t *const *numbers, size_t count);

/* Puts clients of `size` bytes each (32 at most) into one order. The queue has 0 or a client + 1.
 */
void alike_clients(void *all, size_t size, uint8_t *queue, int clients);

#endif
