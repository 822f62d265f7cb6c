/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_STORE_DESCRIPTOR_H
#define PAWL_CLI_STORE_DESCRIPTOR_H

/*
 * After `url` was read from a file by this path. If the path is /dev/fd/N, N above 2, and a pipe,
 * nobody could read it again. So a file in memory with the URL takes its place, and a pawl inside
 * our command finds its store. Without memory for that it finds none, and says so.
 */
void cli_store_descriptor_refill(const char *path, const char *url);

#endif
