/* SPDX-License-Identifier: MIT */
/*
 * What the locks protect: a number for each lock, in a database of its own that nobody hurts.
 * Each is kept twice: once fences are compared in the step that reads or writes, as docs/fencing.md
 * says, once every write is taken. A journal keeps what was accepted, in order.
 */
#ifndef PAWL_TORTURE_RESOURCE_H
#define PAWL_TORTURE_RESOURCE_H

#include "../torture.h"

typedef enum torture_outcome {
    TORTURE_DONE,
    TORTURE_LATE,  /* a larger fence has been there: refused */
    TORTURE_UNSURE /* it failed: may or may not have been done */
} torture_outcome;

typedef struct torture_resource torture_resource;

/* Makes the database; false after one line. */
bool torture_resource_create(const char *path, int locks);
/* NULL after one line. who signs the journal: "SLOT.LIFE". */
torture_resource *torture_resource_open(const char *path, const char *who);
void torture_resource_close(torture_resource *resource);

torture_outcome torture_resource_read(torture_resource *resource, int lock, uint64_t fence,
                                      int64_t *ret_value);
torture_outcome torture_resource_write(torture_resource *resource, int lock, uint64_t fence,
                                       int64_t value);
torture_outcome torture_resource_read_plain(torture_resource *resource, int lock,
                                            int64_t *ret_value);
torture_outcome torture_resource_write_plain(torture_resource *resource, int lock, uint64_t fence,
                                             int64_t value);

/* Writes the journal as the history's file "resource". */
bool torture_resource_dump(const char *path, const char *to);

#endif
