/* SPDX-License-Identifier: MIT */
#include "faults.h"

const torture_fault *const torture_faults[TORTURE_FAULT_COUNT] = {
#define TORTURE_FAULT_ENTRY(name) &torture_fault_##name,
    TORTURE_FAULT_LIST(TORTURE_FAULT_ENTRY)
#undef TORTURE_FAULT_ENTRY
};
