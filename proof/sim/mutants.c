/* SPDX-License-Identifier: MIT */
#include "mutants.h"

#include "../../src/base/mutant.h"

#include <string.h>

#ifdef PAWL_MUTATION
pawl__mutant_name pawl__mutant = PAWL__MUTANT_NONE;

bool sim_has_mutants(void)
{
    return true;
}
#else
bool sim_has_mutants(void)
{
    return false;
}
#endif

static const struct {
    const char *name, *text;
} mutants[] = {{"none", "nothing is wrong"},
#define MUTANT_ROW(name, text) {#name, text},
               PAWL_MUTANT_LIST(MUTANT_ROW)
#undef MUTANT_ROW
};

bool sim_mutant_choose(const char *name)
{
    for (size_t i = 0; i < sizeof mutants / sizeof mutants[0]; i++) {
        if (strcmp(name, mutants[i].name) != 0) continue;
#ifdef PAWL_MUTATION
        pawl__mutant = (pawl__mutant_name)i;
#endif
        return true;
    }
    return false;
}

void sim_mutants_list(FILE *file)
{
    for (size_t i = 1; i < sizeof mutants / sizeof mutants[0]; i++)
        fprintf(file, "%-28s %s\n", mutants[i].name, mutants[i].text);
}
