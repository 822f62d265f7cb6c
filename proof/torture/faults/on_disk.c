/* SPDX-License-Identifier: MIT */
/* No space left on device. */
#include "faults.h"

static bool begin_full(torture_rig *rig, torture_active *active)
{
    torture_lasts(rig, active, 50, 3 * rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_disk_full.name, NULL, TORTURE_HURTS_ALL);
    if (!torture_disk_fill(rig)) rig->broken = true;
    return true;
}

/* With appendfsync always a server that cannot write ends itself. */
static void end_full(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_disk_clear(rig);
    torture_note_end(rig, torture_fault_disk_full.name, NULL);
}

const torture_fault torture_fault_disk_full = {
    .name = "disk-full",
    .what = "no space is left on the store's disk",
    .needs = TORTURE_FILES,
    .small_disk = true,
    .begin = begin_full,
    .end = end_full,
};
