/* SPDX-License-Identifier: MIT */
/* Who may hold a name beside whom: the table of pawl_mode. */
#ifndef PAWL__MODES_H
#define PAWL__MODES_H

#include "pawl/types.h"

#include <stdbool.h>

/* Whether `asked` may be granted beside a holder in mode `held`. Permits are counted instead. */
static inline bool pawl__mode_fits(pawl_mode asked, pawl_mode held)
{
    if (asked == PAWL_MODE_SHARED) return held == PAWL_MODE_SHARED || held == PAWL_MODE_UPDATE;
    return asked == PAWL_MODE_UPDATE && held == PAWL_MODE_SHARED;
}

#endif
