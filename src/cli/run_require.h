/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_RUN_REQUIRE_H
#define PAWL_CLI_RUN_REQUIRE_H

#include "pawl/pawl.h"

/* The words of --require, for help and errors. */
#define RUN_REQUIRE_WORDS "fence,durable-fence,fair,push,list,instant-release"

/* The first unknown word of the comma-separated list; NULL if all are known. */
const char *run_require_unknown(const char *list);

/* 0 if the store promises every word of the list; else an exit code after one line. */
int run_require_check(pawl_client *client, const char *list, int64_t wait_ms);

#endif
