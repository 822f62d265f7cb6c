/* SPDX-License-Identifier: MIT */
#include "failing.h"

static _Thread_local int spares;

void failing_spare(int by)
{
    spares += by;
}

bool failing_is_spared(void)
{
    return spares > 0;
}
