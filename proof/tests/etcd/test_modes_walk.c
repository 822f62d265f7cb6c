/* SPDX-License-Identifier: MIT */
/* etcd and the memory model do the same. A seed may be said, and how many walks. */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/modes_walk.h"

#include <stdlib.h>

static uint64_t seed = 1, seeds = 4;

static void the_store_does_what_the_model_does(void **state)
{
    store_address address = rig_address();
    (void)state;
    modes_walk(rig_loop(), &address, seed, seeds);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_store_does_what_the_model_does),
    };
    if (argc > 1) seed = strtoull(argv[1], NULL, 10);
    if (argc > 2) seeds = strtoull(argv[2], NULL, 10);
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
