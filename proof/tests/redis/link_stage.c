/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "link_stage.h"

#include <string.h>

extern const pawl_store_ops pawl_store_entry;

stage begin(void **state)
{
    stage s = {.rig = *state, .loop = test_loop_new()};
    rig_must(s.rig, "FLUSHALL");
    rig_must(s.rig, "ACL SETUSER default on nopass ~* &* +@all");
    rig_must(s.rig, "ACL SETUSER joe reset on >secret " MINIMAL_ACL);
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "redis+unix",
                                .path = redis_server_socket(s.rig->server)};
    return s;
}

void as_joe(stage *s)
{
    s->address.user = "joe";
    s->address.password = "secret";
}

void end(stage *s)
{
    test_loop_free(s->loop);
}
