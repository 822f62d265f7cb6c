/* SPDX-License-Identifier: MIT */
/* A directory of the test's own. */
#ifndef PAWL_TESTS_TEMP_DIR_H
#define PAWL_TESTS_TEMP_DIR_H

/* Makes one below $TMPDIR or /tmp; exits the program if it cannot. Its path is the caller's. */
char *temp_dir_new(const char *prefix);

/* The path of a file in it; one of sixteen rooms of the program, taken in turn. */
const char *temp_dir_file(const char *dir, const char *name);

/* Removes it with everything in it, and frees the path. NULL is allowed. */
void temp_dir_free(char *dir);

#endif
