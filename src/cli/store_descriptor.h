/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_STORE_DESCRIPTOR_H
#define PAWL_CLI_STORE_DESCRIPTOR_H

/*
 * After `url` was read from a file by this path. If it is /dev/fd/N, N above 2, and a pipe, then
 * nobody could read it again; a file in memory with the URL takes its place, so that a
 * pawl inside of our command finds its store. Without memory for that it finds none, and says so.
 */
void cli_store_descriptor_refill(const char *path, const char *url);

#endif
