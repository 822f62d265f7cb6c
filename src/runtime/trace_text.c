/* SPDX-License-Identifier: MIT */
/* An event as a line: this file writes all that the log says about events. */
#include "../base/line.h"
#include "trace.h"

#include <stdarg.h>
#include <stdio.h>

#define NAME_SHOWN 80 /* bytes of a lock's name in a line */

static const char *const kinds[] = {
    [PAWL_TRACE_ACQUIRING] = "acquiring", [PAWL_TRACE_ACQUIRED] = "acquired",
    [PAWL_TRACE_REFUSED] = "refused",     [PAWL_TRACE_RENEWED] = "renewed",
    [PAWL_TRACE_DOUBT] = "doubt",         [PAWL_TRACE_WANTED] = "wanted",
    [PAWL_TRACE_LOST] = "lost",           [PAWL_TRACE_RELEASED] = "released",
    [PAWL_TRACE_DETACHED] = "detached",   [PAWL_TRACE_RETAINED] = "retained",
    [PAWL_TRACE_RECALLED] = "recalled",   [PAWL_TRACE_REQUEST] = "request",
    [PAWL_TRACE_REPLY] = "reply",         [PAWL_TRACE_PUSH] = "push",
    [PAWL_TRACE_LINK] = "link",           [PAWL_TRACE_LEASE] = "lease",
    [PAWL_TRACE_DRIFT] = "drift",         [PAWL_TRACE_NOTE] = "note",
    [PAWL_TRACE_BROKEN] = "broken",       [PAWL_TRACE_GUARD] = "guard",
};

static const char *const verbs[] = {
    [PAWL_VERB_ACQUIRE] = "acquire", [PAWL_VERB_RENEW] = "renew",   [PAWL_VERB_RELEASE] = "release",
    [PAWL_VERB_INSPECT] = "inspect", [PAWL_VERB_LIST] = "list",     [PAWL_VERB_BREAK] = "break",
    [PAWL_VERB_DOCTOR] = "doctor",   [PAWL_VERB_CHANGE] = "change", [PAWL_VERB_PUBLISH] = "publish",
    [PAWL_VERB_READ] = "read",
};

static const char *const outcomes[] = {
    [PAWL_GRANTED] = "granted",     [PAWL_QUEUED] = "queued",     [PAWL_BUSY] = "busy",
    [PAWL_CONFIRMED] = "confirmed", [PAWL_RELEASED] = "released", [PAWL_LEFT] = "left",
    [PAWL_NOT_OWNER] = "not_owner", [PAWL_REPORTED] = "reported", [PAWL_FAILED] = "failed",
    [PAWL_UNKNOWN] = "unknown",
};

static const char *const pushes[] = {
    [PAWL_PUSH_GRANT] = "handed to us",
    [PAWL_PUSH_YIELD] = "wanted",
    [PAWL_PUSH_RECHECK] = "ask again",
    [PAWL_PUSH_NEWS] = "something was published",
};

#define WORD(table, index) word((table), sizeof(table) / sizeof((table)[0]), (size_t)(index))

static const char *word(const char *const *table, size_t count, size_t index)
{
    return index < count && table[index] ? table[index] : "?";
}

const char *pawl_trace_kind_name(pawl_trace_kind kind)
{
    return WORD(kinds, kind);
}

const char *pawl__verb_name(pawl_verb verb)
{
    return WORD(verbs, verb);
}

const char *pawl__outcome_name(pawl_outcome outcome)
{
    return WORD(outcomes, outcome);
}

pawl_severity pawl__trace_severity(const pawl_trace *event)
{
    switch (event->kind) {
    case PAWL_TRACE_DOUBT:
    case PAWL_TRACE_LOST:
        return PAWL_SEVERITY_WARNING;
    case PAWL_TRACE_LINK:
        return event->up ? PAWL_SEVERITY_NOTE : PAWL_SEVERITY_WARNING;
    case PAWL_TRACE_NOTE:
        return event->severity;
    case PAWL_TRACE_BROKEN:
        return PAWL_SEVERITY_ERROR;
    case PAWL_TRACE_ACQUIRING:
    case PAWL_TRACE_ACQUIRED:
    case PAWL_TRACE_REFUSED:
    case PAWL_TRACE_RENEWED:
    case PAWL_TRACE_WANTED:
    case PAWL_TRACE_RELEASED:
    case PAWL_TRACE_DETACHED:
    case PAWL_TRACE_RETAINED:
    case PAWL_TRACE_RECALLED:
    case PAWL_TRACE_REQUEST:
    case PAWL_TRACE_REPLY:
    case PAWL_TRACE_PUSH:
    case PAWL_TRACE_LEASE:
    case PAWL_TRACE_DRIFT:
    case PAWL_TRACE_GUARD: /* the store says it in words of its own */
        break;
    }
    return PAWL_SEVERITY_OK;
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static void write_line(char *ret_line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void write_line(char *ret_line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_line, PAWL_MESSAGE_MAX, format, args);
    va_end(args);
    pawl__line_mend(ret_line);
}

/* Lines for people contain names, which may contain anything. */
static void name_of(const pawl_trace *event, char *ret_name)
{
    snprintf(ret_name, NAME_SHOWN + 1, "%s", event->name ? event->name : "");
    for (char *p = ret_name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}

static bool has_message(const pawl_trace *event)
{
    return event->message && *event->message;
}

static const char *why(const pawl_trace *event)
{
    return has_message(event) ? event->message : pawl_err_text(event->err);
}

static double ms_of(int64_t span_ns)
{
    return (double)span_ns / 1e6;
}

static void write_about_lock(const pawl_trace *event, const char *name, char *ret_line)
{
    const char *kind = WORD(kinds, event->kind);
    /* In this case the message is the holder's label. */
    bool by_label = event->err == PAWL_ERR_BUSY && has_message(event);
    switch (event->kind) {
    case PAWL_TRACE_REFUSED:
        write_line(ret_line, "lock \"%s\": %s: %s", name, by_label ? "held by" : "not acquired",
                   why(event));
        return;
    case PAWL_TRACE_DOUBT:
        write_line(ret_line, "lock \"%s\": renewal overdue: %s", name, why(event));
        return;
    case PAWL_TRACE_LOST:
        write_line(ret_line, "lock \"%s\": lost: %s", name, why(event));
        return;
    case PAWL_TRACE_ACQUIRED:
        write_line(ret_line, "lock \"%s\": acquired after %.3f ms, fence %llu", name,
                   ms_of(event->span_ns), (unsigned long long)event->fence);
        return;
    case PAWL_TRACE_RENEWED:
        write_line(ret_line, "lock \"%s\": renewed, %.3f ms were left%s", name,
                   ms_of(event->span_ns), event->after_doubt ? ", after doubt" : "");
        return;
    case PAWL_TRACE_RELEASED:
    case PAWL_TRACE_DETACHED:
    case PAWL_TRACE_RETAINED:
        write_line(ret_line, "lock \"%s\": %s after %.3f ms", name, kind, ms_of(event->span_ns));
        return;
    case PAWL_TRACE_RECALLED:
        write_line(ret_line, "lock \"%s\": recalled after %llu uses%s", name,
                   (unsigned long long)event->count, event->held ? ", and held" : "");
        return;
    case PAWL_TRACE_LEASE:
        write_line(ret_line, "lock \"%s\": the lease was %s, is %s", name,
                   pawl_lease_state_name(event->from), pawl_lease_state_name(event->to));
        return;
    default: /* acquiring, wanted */
        write_line(ret_line, "lock \"%s\": %s", name, kind);
    }
}

static void write_reply(const pawl_trace *event, char *ret_line)
{
    char span[40] = "unknown time";
    if (event->span_ns >= 0) snprintf(span, sizeof span, "%.3f ms", ms_of(event->span_ns));
    write_line(ret_line, "reply to %s: %s after %s%s%s", WORD(verbs, event->verb),
               WORD(outcomes, event->outcome), span, event->err ? ": " : "",
               event->err ? why(event) : "");
}

static void write_guard(const pawl_trace *event, char *ret_line)
{
    if (event->span_ns > 0)
        write_line(ret_line, "restart guard: nothing new is granted for %.3f ms",
                   ms_of(event->span_ns));
    else
        write_line(ret_line, "the restart guard has ended");
}

void pawl_trace_text(const pawl_trace *event, char *ret_line)
{
    char name[NAME_SHOWN + 1];
    if (!ret_line) return;
    ret_line[0] = '\0';
    if (!event) return;
    name_of(event, name);
    switch (event->kind) {
    case PAWL_TRACE_REQUEST:
        write_line(ret_line, "request: %s \"%s\"", WORD(verbs, event->verb), name);
        return;
    case PAWL_TRACE_REPLY:
        write_reply(event, ret_line);
        return;
    case PAWL_TRACE_PUSH:
        write_line(ret_line, "push: \"%s\": %s", name[0] ? name : "*", WORD(pushes, event->push));
        return;
    case PAWL_TRACE_LINK:
        write_line(ret_line, "%s", event->up ? "connected to the store" : why(event));
        return;
    case PAWL_TRACE_DRIFT:
        write_line(ret_line, "the system's two clocks ran apart by %.3f ms", ms_of(event->span_ns));
        return;
    case PAWL_TRACE_GUARD:
        write_guard(event, ret_line);
        return;
    case PAWL_TRACE_NOTE:
    case PAWL_TRACE_BROKEN:
        write_line(ret_line, "%s", has_message(event) ? event->message : "");
        return;
    default:
        write_about_lock(event, name, ret_line);
    }
}
