/* SPDX-License-Identifier: MIT */
/* The store in front of the real one. */
#include "faults.h"

#include <fcntl.h>
#include <unistd.h>

static bool begin_hostile(torture_rig *rig, torture_active *active)
{
    torture_lasts(rig, active, 50, 5 * rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_hostile_store.name, NULL, TORTURE_HURTS_ALL);
    int fd = open(rig->hostile_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) rig->broken = true;
    if (fd >= 0) close(fd);
    return true;
}

static void end_hostile(torture_rig *rig, torture_active *active)
{
    (void)active;
    unlink(rig->hostile_file);
    torture_note_end(rig, torture_fault_hostile_store.name, NULL);
}

const torture_fault torture_fault_hostile_store = {
    .name = "hostile-store",
    .what = "answers come late, twice, never, to nobody; pushes are lost, doubled, made up",
    .needs = TORTURE_HOSTILE,
    .more = 2, /* the other faults come as well */
    .begin = begin_hostile,
    .end = end_hostile,
};
