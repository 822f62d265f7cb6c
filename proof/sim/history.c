/* SPDX-License-Identifier: MIT */
/* The timeline: one line for each thing that happens, a column for each actor. */
#include "core.h"

#include <stdarg.h>

void sim_note(sim *s, int who, const char *format, ...)
{
    va_list args;
    char actor[24] = "store";
    if (who == -2) snprintf(actor, sizeof actor, "FAULT");
    if (who >= 0) snprintf(actor, sizeof actor, "client %d", who);
    fprintf(s->trace, "%12.3f ms  %*s%-9s ", (double)s->t / 1e6, who >= 0 ? 2 * who : 0, "", actor);
    va_start(args, format);
    vfprintf(s->trace, format, args);
    va_end(args);
    fputc('\n', s->trace);
}
