/* SPDX-License-Identifier: MIT */
/*
 * States that differ only in names are one state. Clients that are alike may change places, and
 * of numbers that are only compared, the order is kept and not the size. So a model is finite
 * although its clients come again without end, and it has a sixth of the states.
 */
#include "alike.h"

#include <string.h>

#define CLIENT_MAX 32

void alike_numbers(uint8_t *const *numbers, size_t count)
{
    uint32_t present = 0; /* a bit for each number but 0 */
    for (size_t i = 0; i < count; i++) present |= UINT32_C(1) << *numbers[i] & ~UINT32_C(1);
    for (size_t i = 0; i < count; i++) {
        if (!*numbers[i]) continue;
        uint32_t smaller = present & ((UINT32_C(1) << *numbers[i]) - 1);
        *numbers[i] = (uint8_t)(__builtin_popcount(smaller) + 1);
    }
}

static int place_of(const uint8_t *queue, int clients, int c)
{
    for (int i = 0; i < clients; i++)
        if (queue[i] == c + 1) return i;
    return clients;
}

static bool comes_first(const unsigned char *all, size_t size, const uint8_t *queue, int clients,
                        int a, int b)
{
    int order = memcmp(all + (size_t)a * size, all + (size_t)b * size, size);
    if (order) return order < 0;
    return place_of(queue, clients, a) < place_of(queue, clients, b);
}

static void swap(unsigned char *all, size_t size, uint8_t *queue, int clients, int a, int b)
{
    unsigned char kept[CLIENT_MAX];
    memcpy(kept, all + (size_t)a * size, size);
    memcpy(all + (size_t)a * size, all + (size_t)b * size, size);
    memcpy(all + (size_t)b * size, kept, size);
    for (int i = 0; i < clients; i++) {
        if (queue[i] == a + 1)
            queue[i] = (uint8_t)(b + 1);
        else if (queue[i] == b + 1)
            queue[i] = (uint8_t)(a + 1);
    }
}

void alike_clients(void *all, size_t size, uint8_t *queue, int clients)
{
    for (int i = 0; i < clients; i++)
        for (int k = i + 1; k < clients; k++)
            if (comes_first(all, size, queue, clients, k, i)) swap(all, size, queue, clients, i, k);
}
