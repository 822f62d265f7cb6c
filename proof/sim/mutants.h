/* SPDX-License-Identifier: MIT */
/* The planted bugs that this build can switch on. */
#ifndef PAWL_SIM_MUTANTS_H
#define PAWL_SIM_MUTANTS_H

#include <stdbool.h>
#include <stdio.h>

/* Whether this build has them at all: pawl-sim-mutants has, pawl-sim has not. */
bool sim_has_mutants(void);
/* False if there is no such mutant. */
bool sim_mutant_choose(const char *name);
void sim_mutants_list(FILE *file);

#endif
