/* SPDX-License-Identifier: MIT */
/* Which file is meant: Beego's look-up, in one place for C and Go. */
#ifndef PAWL_CONFIG_FIND_H
#define PAWL_CONFIG_FIND_H

/*
 * The file for a path as pawl_config_find takes it, for free(). Errors:
 * PAWL_ERR_SYSTEM (path NULL, and there is no such file; reterr_message says where it
 * was looked for), PAWL_ERR_NO_MEMORY.
 */
int pawl__config_find(const char *path, char **ret_file, char *reterr_message);

#endif
