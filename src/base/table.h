/* SPDX-License-Identifier: MIT */
/* A hash table from byte strings to objects that embed a pawl__entry and own the key. */
#ifndef PAWL_BASE_TABLE_H
#define PAWL_BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pawl__entry {
    struct pawl__entry *next; /* in the same bucket */
    const char *key;
    uint32_t key_len;
    uint32_t hash;
} pawl__entry;

typedef struct pawl__table {
    pawl__entry **buckets;
    size_t count, bucket_count; /* bucket_count is a power of two, or 0 */
    uint64_t seed;              /* so that names from outside cannot be made to collide */
} pawl__table;

/* NULL if there is no such key. */
pawl__entry *pawl__table_find(const pawl__table *table, const char *key, size_t key_len);
/* Adds an entry whose key is new and outlives it; false when out of memory. */
bool pawl__table_add(pawl__table *table, pawl__entry *entry, const char *key, size_t key_len);
void pawl__table_remove(pawl__table *table, pawl__entry *entry);
/* Frees the table, not the entries. */
void pawl__table_done(pawl__table *table);

#endif
