/* SPDX-License-Identifier: MIT */
/* What a worker writes into the history. */
#ifndef PAWL_TORTURE_DIARY_H
#define PAWL_TORTURE_DIARY_H

#include "../history.h"

/* who: "SLOT.LIFE". Exits the process after one line if it cannot. */
void torture_diary_open(const char *dir, const char *who);

void torture_log_at(int64_t at, torture_note what, int lock, uint64_t fence, int64_t number);

static inline void torture_log(torture_note what, int lock, uint64_t fence, int64_t number)
{
    torture_log_at(torture_now(), what, lock, fence, number);
}

#endif
