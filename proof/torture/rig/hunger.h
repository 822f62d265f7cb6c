/* SPDX-License-Identifier: MIT */
/*
 * A thread that looks whether all processes of a run, servers, proxies and workers, get a processor
 * when they want one, as the kernel counts it for each thread. A canary does not show that: it
 * sleeps most of the time, so it is served first, and a server that works stands behind others.
 */
#ifndef PAWL_TORTURE_HUNGER_H
#define PAWL_TORTURE_HUNGER_H

#include "../torture.h"

/* Called on that thread: between two looks, the latter at `at`, some thread waited for so long. */
typedef void (*torture_starved)(int64_t at, int64_t waited_ns);

/* It runs until the process ends, and takes no signals. False: no thread can be made. Where the
 * kernel does not tell, nothing is ever called. */
bool torture_hunger_start(torture_starved starved);

#endif
