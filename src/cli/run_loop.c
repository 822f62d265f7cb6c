/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/*
 * The supervisor. One thread, one loop: the library's work and events, signals, the
 * timeline.
 *
 * The rule (law 2): every turn begins by reading how long the lock is still held,
 * from a clock, and acts on that; what the library or the store say comes after.
 * So a pawl that was stopped, or got no CPU, first does what is overdue, at the latest after one
 * turn of the library, which never blocks. Nothing else in a turn may block either: output that
 * does not fit is dropped.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "exit_codes.h"
#include "message.h"
#include "notify.h"
#include "run.h"

#define NEVER_MS INT64_MAX

/* ---- News from the library ------------------------------------------------------ */

static json_t *remaining_and_reason(const run *r, int64_t remaining_ms, const char *reason)
{
    json_t *details = run_report_details(&r->report);
    if (remaining_ms >= 0) {
        json_object_set_new(details, "remaining_ms", json_integer(remaining_ms));
    }
    if (reason) json_object_set_new(details, "reason", json_string(reason));
    return details;
}

static const char *reason_of(const pawl_event *event)
{
    return event->message && *event->message ? event->message : pawl_err_text(event->err);
}

static int64_t without_delay(const run *r, int64_t remaining_ms)
{
    return remaining_ms > r->plan->delay_ms ? remaining_ms - r->plan->delay_ms : 0;
}

int64_t run_remaining_ms(const run *r)
{
    return without_delay(r, pawl_lock_remaining_ms(r->session.lock));
}

/* To the service manager. */
static void tell_held(const run *r, cli_notify_state state)
{
    cli_notify(state, "holds %s, fence %" PRIu64 ", as %s", r->session.shown_key,
               pawl_lock_fence(r->session.lock), pawl_client_owner(r->session.client));
}

void run_on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    run *r = userdata;
    int64_t remaining_ms = without_delay(r, event->remaining_ms);
    const char *key = r->session.shown_key;
    char left[CLI_DURATION_TEXT];
    (void)lock;

    switch (event->kind) {
    case PAWL_EVENT_DOUBT:
        snprintf(r->doubt_reason, sizeof r->doubt_reason, "%s", reason_of(event));
        run_report_tell(&r->report, "doubt");
        run_report_event(&r->report, "doubt",
                         remaining_and_reason(r, remaining_ms, reason_of(event)));
        cli_info("%s: renewal overdue, still held for %s: %s", key,
                 cli_duration_text(remaining_ms, left), reason_of(event));
        cli_notify(CLI_NOTIFY_STATUS, "holds %s for %s at the most, renewal overdue: %s", key, left,
                   reason_of(event));
        return;
    case PAWL_EVENT_HELD:
        if (r->lost) return; /* too late for us, though not for the lease: --lock-delay */
        r->doubt_reason[0] = '\0';
        run_report_tell(&r->report, "held %" PRId64, remaining_ms);
        run_report_event(&r->report, "held", remaining_and_reason(r, remaining_ms, NULL));
        cli_info("%s: renewed again", key);
        tell_held(r, CLI_NOTIFY_STATUS);
        return;
    case PAWL_EVENT_YIELD:
        r->yield_due = true;
        return;
    case PAWL_EVENT_LOST:
        /* The loop sees the loss itself, by the clock; only the reason is new. */
        snprintf(r->lost_reason, sizeof r->lost_reason, "%s", reason_of(event));
        return;
    }
}

static void pass_on_yield(run *r)
{
    if (!r->yield_due) return;
    r->yield_due = false;
    run_report_tell(&r->report, "yield");
    run_report_event(&r->report, "yield", NULL);
    cli_info("%s: somebody waits for it", r->session.shown_key);
    if (r->opts->yield_signal) run_child_relay(&r->child, (int)r->opts->yield_signal);
}

/* ---- The timeline ------------------------------------------------------------------- */

const char *run_loss_reason(const run *r)
{
    if (r->lost_reason[0]) return r->lost_reason;
    if (r->doubt_reason[0]) return r->doubt_reason;
    bool is_over = r->lost || cli_now_ms() >= r->deadline_ms;
    return is_over ? "its deadline has passed" : "no answer of the store yet";
}

static bool stops_command(const run *r)
{
    return r->opts->on_lost == RUN_LOST_TERM || r->opts->on_lost == RUN_LOST_KILL;
}

/* A leader queues again: its service does not end. */
static void tell_stop(const run *r)
{
    bool ends = stops_command(r) && !r->opts->leads;
    cli_notify(ends ? CLI_NOTIFY_STOPPING : CLI_NOTIFY_STATUS, "%s is lost%s: %s",
               r->session.shown_key, r->lost ? "" : " soon", run_loss_reason(r));
}

static void send_term(run *r, int64_t now)
{
    r->told_term = r->stopped_it = true;
    run_child_note_daemons(&r->child);
    run_child_signal_all(&r->child, SIGTERM);
    run_child_signal_all(&r->child, SIGCONT); /* a stopped process does not hear TERM */
    int64_t remaining_ms = r->lost ? -1 : r->deadline_ms - now;
    run_report_event(&r->report, "term", remaining_and_reason(r, remaining_ms, run_loss_reason(r)));
    if (r->lost) return;
    tell_stop(r);
    char left[CLI_DURATION_TEXT];
    cli_warn("%s: not renewed, lost in %s at the latest: SIGTERM to the command: %s",
             r->session.shown_key, cli_duration_text(remaining_ms, left), run_loss_reason(r));
}

static void send_kill(run *r)
{
    r->killed = r->stopped_it = true;
    run_child_note_daemons(&r->child);
    run_child_kill_all(&r->child);
    run_report_event(&r->report, "kill", remaining_and_reason(r, -1, run_loss_reason(r)));
    cli_warn("%s: SIGKILL to the command: %s", r->session.shown_key, run_loss_reason(r));
}

static void note_loss(run *r, int64_t now)
{
    r->lost = true;
    r->lost_at_ms = now;
    (void)pawl_client_wait(r->session.client, -1, 0); /* the reason, if it is known yet */
    const char *reason = run_loss_reason(r);
    run_report_tell(&r->report, "lost");
    run_report_event(&r->report, "lost", remaining_and_reason(r, -1, reason));
    cli_warn("%s: lost: %s", r->session.shown_key, reason);
    tell_stop(r);
}

/* A loss known before T leaves the command its grace, but never beyond T. */
static int64_t kill_at(const run *r)
{
    int64_t before_deadline = r->deadline_ms - r->plan->lead_ms;
    if (!r->lost) return before_deadline;
    int64_t after_grace =
        r->opts->on_lost == RUN_LOST_KILL ? r->lost_at_ms : r->lost_at_ms + r->plan->grace_ms;
    return after_grace < before_deadline ? after_grace : before_deadline;
}

static int64_t term_at(const run *r)
{
    if (r->opts->on_lost == RUN_LOST_KILL || r->told_term) return NEVER_MS;
    return r->lost ? r->lost_at_ms : r->deadline_ms - r->plan->grace_ms;
}

/*
 * The times that the guardian needs. It kills a little later than we do: only if we cannot.
 */
static void tell_guardian(run *r)
{
    bool stops = stops_command(r);
    int64_t lead = r->plan->lead_ms;
    run_child_set_times(&r->child, r->deadline_ms, r->deadline_ms - (stops ? lead : 0),
                        stops ? r->deadline_ms - lead / 2 : GUARDIAN_NEVER_MS);
}

static void note_remaining(run *r, int64_t now, int64_t remaining)
{
    r->deadline_ms = now + remaining;
    if (remaining > r->plan->grace_ms && r->told_term) { /* recovered */
        r->told_term = false;
        run_child_forget_daemons(&r->child);
    }
    tell_guardian(r);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Does what is due and returns when to look again. */
static int64_t keep_timeline(run *r)
{
    int64_t now = cli_now_ms();
    int64_t remaining = r->lost ? 0 : run_remaining_ms(r);
    if (remaining > 0) note_remaining(r, now, remaining);
    if (remaining <= 0 && !r->lost) note_loss(r, now);
    if (!stops_command(r)) return r->lost ? NEVER_MS : r->deadline_ms;
    if (r->killed) return NEVER_MS;

    if (now >= term_at(r)) send_term(r, now);
    if (now >= kill_at(r)) send_kill(r);
    if (r->killed) return NEVER_MS;
    int64_t due = earlier(term_at(r), kill_at(r));
    /* It is renewed at ttl/3: the guardian must hear of it this soon. */
    return r->lost ? due : earlier(due, now + remaining / 2 + 1);
}

int64_t run_look_at_clock(run *r)
{
    int64_t now = cli_now_ms();
    int64_t remaining = run_remaining_ms(r);
    if (remaining > 0) note_remaining(r, now, remaining);
    return remaining;
}

/* ---- Signals --------------------------------------------------------------------------- */

/* ^Z: the command was stopped. We stop, too, and nobody renews. */
static void stop_with_command(run *r)
{
    char left[CLI_DURATION_TEXT];
    run_child_take_terminal(&r->child);
    cli_warn("%s: stopped; unless continued the lock is lost in %s", r->session.shown_key,
             cli_duration_text(run_remaining_ms(r), left));
    cli_signals_stop_self();
    (void)run_child_was_stopped(&r->child);
    (void)run_child_give_terminal(&r->child); /* continued in the background: it is the shell's */
}

/* If we have the terminal it was only missing that: a shell has brought us to the foreground. */
static void follow_stop(run *r)
{
    if (!run_child_give_terminal(&r->child)) stop_with_command(r);
    run_child_relay(&r->child, SIGCONT);
}

static void take_signal(run *r, const struct signalfd_siginfo *info)
{
    int number = (int)info->ssi_signo;
    bool has_it =
        cli_signals_went_to_group(number, info->ssi_code) && run_child_shares_terminal(&r->child);

    if (number == SIGCHLD) return; /* run_child_look looks anyway */
    if (number == SIGTERM && (r->user_term || r->told_term)) {
        run_child_note_daemons(&r->child);
        run_child_signal_all(&r->child, SIGKILL);
        return;
    }
    if (number == SIGTERM) r->user_term = true;
    for (const int *ending = cli_ending_signals; *ending; ending++)
        if (*ending == number) r->asked_to_end = number;
    if (!has_it) {
        run_child_relay(&r->child, number);
        cli_info("%s: SIG%s passed on", r->session.shown_key, cli_signal_name(number));
    }
    if (number == SIGTSTP) stop_with_command(r);
}

/* An adopted command has its own pid, to which users send signals: a signal to us comes from a
 * service manager, and is for all processes of the service. */
static void take_signals(run *r)
{
    struct signalfd_siginfo info;
    while (cli_signals_next(&r->session.signals, &info))
        if (!r->opts->adopted) take_signal(r, &info);
}

/* ---- The loop ---------------------------------------------------------------------------- */

/* Callbacks run in here. After an error the library cannot go on. */
static int wait_for_news(run *r, int64_t until_ms)
{
    int64_t span = PAWL_WAIT_FOREVER;
    if (until_ms != NEVER_MS) {
        int64_t now = cli_now_ms();
        span = until_ms > now ? until_ms - now : 0;
    }
    int err = cli_session_wait(&r->session, span);
    return err < 0 ? cli_fail(r->session.client, "run", r->session.key, err) : 0;
}

/* ---- The command's own news ------------------------------------------------------------ */

static void report_start(run *r)
{
    bool started = r->child.state == RUN_CHILD_RUNNING || r->child.state == RUN_CHILD_ENDED;
    if (r->reported_start || !started) return;
    r->reported_start = true;
    json_t *details = run_report_details(&r->report);
    json_object_set_new(details, "pid", json_integer(run_child_pid(&r->child)));
    run_report_event(&r->report, "started", details);
    tell_held(r, CLI_NOTIFY_READY);
}

static void take_news_of_command(run *r)
{
    run_child_look(&r->child);
    if (r->opts->adopted && r->child.state == RUN_CHILD_ENDED)
        cli_session_unwatch(&r->session, r->opts->adopted->pidfd);
    report_start(r);
    if (run_child_was_stopped(&r->child) && r->child.tty >= 0) follow_stop(r);
}

static bool is_over(run *r)
{
    if (r->killed) return true;
    if (run_child_is_alive(&r->child)) return false;
    if (r->child.state == RUN_CHILD_FAILED) return true;
    bool must_be_gone = r->told_term || (r->lost && stops_command(r));
    if (must_be_gone) return run_child_is_gone(&r->child);
    if (!r->opts->hold_descendants) return true;
    return run_child_is_gone(&r->child) && !run_report_has_reader(&r->report);
}

/* The guardian's news, and, if held until nobody reads PAWL_FD any more, its end. */
static bool watch_command(run *r)
{
    bool watches_readers = r->opts->hold_descendants && r->report.pipe_write >= 0;
    return cli_session_watch(&r->session, r->child.guardian.news_fd, false) &&
           (!watches_readers || cli_session_watch(&r->session, r->report.pipe_write, true));
}

int run_supervise(run *r)
{
    if (!watch_command(r)) {
        cli_error("epoll: %s", strerror(errno));
        return CLI_EXIT_SYSTEM;
    }
    while (!is_over(r)) {
        int64_t until_ms = keep_timeline(r);
        if (is_over(r)) break;
        if (cli_notify_again()) until_ms = earlier(until_ms, cli_now_ms() + CLI_NOTIFY_AGAIN_MS);
        int code = wait_for_news(r, until_ms);
        if (code) return code;
        (void)keep_timeline(r); /* first, because we may have been stopped for long */
        if (r->opts->hold_descendants) run_report_close_unread(&r->report);
        pass_on_yield(r);
        take_signals(r);
        take_news_of_command(r);
        cli_endpoint_turn(r->session.endpoint);
    }
    run_child_take_terminal(&r->child);
    return 0;
}

void run_linger(run *r, int64_t until_ms)
{
    struct signalfd_siginfo info;
    for (int64_t now; (now = cli_now_ms()) < until_ms;) {
        int64_t remaining = run_remaining_ms(r);
        if (remaining <= 0) {
            (void)pawl_client_wait(r->session.client, -1, 0); /* the reason, if it is known yet */
            cli_warn("%s: lost after the command had ended, before --at-least was over: %s",
                     r->session.shown_key, run_loss_reason(r));
            run_report_event(&r->report, "lost", remaining_and_reason(r, -1, run_loss_reason(r)));
            return;
        }
        int64_t sleep_ms = until_ms - now < remaining ? until_ms - now : remaining;
        if (cli_session_wait(&r->session, sleep_ms) < 0) return;
        while (cli_signals_next(&r->session.signals, &info)) {
            int number = (int)info.ssi_signo;
            if (number == SIGINT || number == SIGTERM || number == SIGHUP) return;
        }
        cli_endpoint_turn(r->session.endpoint);
    }
}
