/* SPDX-License-Identifier: MIT */
#ifndef PAWL_TORTURE_WORKER_H
#define PAWL_TORTURE_WORKER_H

/* The whole life of a worker; its exit status. The store is $PAWL_STORE. */
int torture_worker_main(const char *board_path, const char *slot, const char *life);

#endif
