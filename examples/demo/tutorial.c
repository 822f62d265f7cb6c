/* SPDX-License-Identifier: MIT */
/*
 * The lock of a tutorial on Redis locks, as it is published:
 *
 *   lock:    SET key "token" EX ttl NX; if somebody has it, sleep 0 to 99 ms and try again
 *   unlock:  DEL key
 *
 * The value is the same for everybody, nothing renews the lock, and DEL removes
 * whatever lock is there.
 */
#define _GNU_SOURCE
#include "demo.h"

#include <stdlib.h>

void demo_tutorial_pause(void)
{
    demo_sleep_ms(random() % 100);
}
