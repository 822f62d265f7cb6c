/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_METRICS_FILE_H
#define PAWL_CLI_METRICS_FILE_H

#include "pawl/metrics.h"

/* Metrics whose one class is `pattern`, NULL: none. 0, or an exit code after one line. */
int cli_metrics_open(const char *pattern, pawl_metrics **ret_metrics);

/* Writes them in one piece. Says one line if it cannot; the lock matters more. */
void cli_metrics_write(const pawl_metrics *metrics, const char *path);

#endif
