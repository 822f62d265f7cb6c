/* SPDX-License-Identifier: MIT */
#ifndef PAWL_TORTURE_CHECK_H
#define PAWL_TORTURE_CHECK_H

/* Judges the history in dir, or those in its folders, and prints the table. An exit code. */
int torture_check_dir(const char *dir);

#endif
