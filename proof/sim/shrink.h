/* SPDX-License-Identifier: MIT */
#ifndef PAWL_SIM_SHRINK_H
#define PAWL_SIM_SHRINK_H

#include "config.h"

/* Makes a failing configuration as small as it can while the same check fails. Returns the runs. */
int sim_shrink(sim_config *config, const char *check);

#endif
