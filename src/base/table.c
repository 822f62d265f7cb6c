/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a over the bytes, started from the seed and finished with a multiply-xor. */
static uint32_t hash_of(const pawl__table *table, const char *key, size_t key_len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ table->seed;
    for (size_t i = 0; i < key_len; i++) h = (h ^ (unsigned char)key[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 29;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(h >> 32);
}

static pawl__entry **bucket_of(const pawl__table *table, uint32_t hash)
{
    return &table->buckets[hash & (table->bucket_count - 1)];
}

pawl__entry *pawl__table_find(const pawl__table *table, const char *key, size_t key_len)
{
    if (!table->bucket_count) return NULL;
    uint32_t hash = hash_of(table, key, key_len);
    for (pawl__entry *e = *bucket_of(table, hash); e; e = e->next)
        if (e->hash == hash && e->key_len == key_len && memcmp(e->key, key, key_len) == 0) return e;
    return NULL;
}

static void link_entry(pawl__table *table, pawl__entry *entry)
{
    pawl__entry **bucket = bucket_of(table, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
}

static bool grow(pawl__table *table)
{
    pawl__table bigger = {.bucket_count = table->bucket_count ? table->bucket_count * 2 : 16,
                          .count = table->count,
                          .seed = table->seed};
    bigger.buckets = calloc(bigger.bucket_count, sizeof(pawl__entry *));
    if (!bigger.buckets) return false;
    for (size_t i = 0; i < table->bucket_count; i++)
        for (pawl__entry *e = table->buckets[i], *next; e; e = next) {
            next = e->next;
            link_entry(&bigger, e);
        }
    free(table->buckets);
    *table = bigger;
    return true;
}

bool pawl__table_add(pawl__table *table, pawl__entry *entry, const char *key, size_t key_len)
{
    if (table->count >= table->bucket_count && !grow(table)) return false;
    entry->key = key;
    entry->key_len = (uint32_t)key_len;
    entry->hash = hash_of(table, key, key_len);
    link_entry(table, entry);
    table->count++;
    return true;
}

void pawl__table_remove(pawl__table *table, pawl__entry *entry)
{
    pawl__entry **at = bucket_of(table, entry->hash);
    while (*at != entry) at = &(*at)->next;
    *at = entry->next;
    table->count--;
}

void pawl__table_done(pawl__table *table)
{
    free(table->buckets);
    *table = (pawl__table){0};
}
