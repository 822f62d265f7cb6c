/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_METRICS_FILE_H
#define PAWL_CLI_METRICS_FILE_H

#include <stddef.h>

#include "pawl/metrics.h"

/* Makes metrics with the one class `pattern`; NULL: no class. 0, or an exit code after one line. */
int cli_metrics_open(const char *pattern, pawl_metrics **ret_metrics);

/* All of it; the caller frees it. NULL: no memory. */
char *cli_metrics_text(const pawl_metrics *metrics, size_t *ret_len);

/* Writes the file in one piece. A failure only prints one line, because the lock matters more. */
void cli_metrics_write(const pawl_metrics *metrics, const char *path);

#endif
