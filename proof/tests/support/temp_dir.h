/* SPDX-License-Identifier: MIT */
/* A directory of the test's own. */
#ifndef PAWL_TESTS_TEMP_DIR_H
#define PAWL_TESTS_TEMP_DIR_H

/* Makes one below $TMPDIR or /tmp; exits the program if it cannot. Its path is the caller's. */
char *temp_dir_new(const char *prefix);

/* Removes it with everything in it, and frees the path. NULL is allowed. */
void temp_dir_free(char *dir);

#endif
