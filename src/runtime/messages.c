/* SPDX-License-Identifier: MIT */
#include "messages.h"

#include "../base/line.h"

#include <stdarg.h>
#include <stdio.h>

void pawl__set_message(pawl__messages *messages, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(messages->latest, sizeof messages->latest, format, args);
    va_end(args);
    pawl__line_mend(messages->latest);
}

bool pawl__is_of_store(int err)
{
    /* After the client is opened, only the store returns these. */
    if (err == PAWL_ERR_OPTION || err == PAWL_ERR_UNSUPPORTED) return true;
    if (err == PAWL_ERR_URL) return true; /* a database that is not there */
    if (err == PAWL_ERR_KIND || err == PAWL_ERR_CAPACITY)
        return true; /* the store says how the name is used */
    switch (pawl_err_class_of(err)) {
    case PAWL_CLASS_RETRY:
    case PAWL_CLASS_UNKNOWN:
    case PAWL_CLASS_DENIED:
    case PAWL_CLASS_INTERNAL:
        return true;
    case PAWL_CLASS_OK:
    case PAWL_CLASS_BUSY:
    case PAWL_CLASS_LOST:
    case PAWL_CLASS_USAGE:
    case PAWL_CLASS_CANCELED:
        break;
    }
    return false;
}

void pawl__set_reason(pawl__messages *messages, int err, const char *reason)
{
    if (!pawl__is_of_store(err)) return;
    messages->reason_err = err;
    snprintf(messages->reason, sizeof messages->reason, "%s", reason);
    pawl__line_mend(messages->reason);
}

void pawl__say_silence(const pawl__messages *messages, char *ret_line)
{
    snprintf(ret_line, PAWL_MESSAGE_MAX, "%.400s has not answered in time", messages->where);
}

int pawl__say_error(char *message, int err, const char *what)
{
    if (what)
        snprintf(message, PAWL_MESSAGE_MAX, "%s: %s", what, pawl_err_text(err));
    else
        snprintf(message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(err));
    return err;
}
