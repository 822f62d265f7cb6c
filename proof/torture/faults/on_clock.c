/* SPDX-License-Identifier: MIT */
/* Somebody sets the server's clock. */
#include "faults.h"

#define STEP_MAX_MS 2000

/* Forward only: set back, it merely lets leases live longer. Breaks A2 of the guarantees. */
static bool begin_step(torture_rig *rig, torture_active *active)
{
    (void)active;
    int64_t step = torture_between(&rig->rng, 1, STEP_MAX_MS) * TORTURE_MS;
    torture_note_begin(rig, torture_fault_clock_step.name, NULL, TORTURE_HURTS_ALL);
    torture_note_forgets(rig, torture_fault_clock_step.name);
    atomic_fetch_add(rig->clock_ahead, step);
    torture_note_forgets(rig, torture_fault_clock_step.name);
    torture_note_end(rig, torture_fault_clock_step.name, NULL);
    return true;
}

const torture_fault torture_fault_clock_step = {
    .name = "clock-step",
    .what = "the server's clock is set forward by up to two seconds",
    .needs = TORTURE_CLOCK,
    .begin = begin_step,
};
