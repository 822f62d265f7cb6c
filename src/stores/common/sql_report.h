/* SPDX-License-Identifier: MIT */
/* INSPECT and LIST of the SQL stores: what the rows of a report say (see their schema.sql). */
#ifndef PAWL_STORES_SQL_REPORT_H
#define PAWL_STORES_SQL_REPORT_H

#include "pawl/store.h"

#define PAWL__SQL_REPORT_COLUMNS 13

typedef struct pawl__sql_table {
    const void *result;
    int rows;
    const char *(*text)(const void *result, int row, int column); /* NULL: the column is null */
} pawl__sql_table;

/* Names from `from` on and, if end_len is not 0, before `end`. */
typedef struct pawl__sql_range {
    size_t from_len, end_len;
    char from[PAWL_NAME_MAX + 1], end[PAWL_NAME_MAX + 1];
} pawl__sql_range;

#define PAWL__SQL_NO_MEMORY (-1)
#define PAWL__SQL_NO_REPORT (-2) /* these are not the rows that were asked for */

/* All names that begin so. */
void pawl__sql_range_of_prefix(pawl__sql_range *ret_range, const char *prefix, size_t len);
/* Gives the host one row for each name. How many there were, the last in range->from; or one of the
 * two above. */
int pawl__sql_report(pawl_host *host, uint64_t id, const pawl__sql_table *table,
                     pawl__sql_range *range);

#endif
