/* SPDX-License-Identifier: MIT */
/* pawl-serve: it has the options and the store of the command. */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../command.h"
#include "../exit_codes.h"
#include "../message.h"
#include "../stdfds.h"
#include "../store.h"
#include "audit.h"
#include "heat.h"
#include "history.h"
#include "waits.h"

#define INTERVAL_MIN_MS     250
#define INTERVAL_DEFAULT_MS 2000
#define PORT_DEFAULT        7295
#define THREADS             2 /* beside that of HTTP */

static const cli_option serve_options[] = {
    {CLI_VALUE_TEXT, 'l', "listen", "ADDRESS", offsetof(serve_opts, listen),
     .help = "listen there (default 127.0.0.1); others need --token-file"},
    {CLI_VALUE_NUMBER, 'p', "port", "N", offsetof(serve_opts, port), .min = 0, .max = 65535,
     .help = "at this port (default 7295; 0: any that is free)"},
    {CLI_VALUE_TEXT, 0, "token-file", "FILE", offsetof(serve_opts, token_file),
     .help = "only who knows the token in FILE sees anything"},
    {CLI_VALUE_TEXT, 0, "base-path", "PATH", offsetof(serve_opts, base_path),
     .help = "all of it below this path, as a proxy has it: /locks"},
    {CLI_VALUE_WORDS, 0, "allow-host", "NAME", offsetof(serve_opts, hosts),
     .help = "answer to this name, too (may be repeated)"},
    {CLI_VALUE_SPAN, 'i', "interval", "D", offsetof(serve_opts, interval_ms),
     .help = "ask the store each D (default 2s, at least 250ms)"},
    {CLI_VALUE_TEXT, 0, "allow-break", "LOG", offsetof(serve_opts, break_log),
     .help = "who has a token may break locks; LOG tells who did, whom and why"},
    CLI_OPTIONS_END,
};

static const char serve_page[] =
    "Shows the locks whose names begin with PREFIX on a page for browsers, whose address it\n"
    "prints. It ends with SIGTERM or SIGINT.\n\n"
    "What is not known is shown so, and each picture says how old it is. Asking takes at most a\n"
    "tenth of the time. Nothing can be changed from there, unless --allow-break says so.";

static const cli_command serve_command = {
    .verb = "serve",
    .operands = "[PREFIX]",
    .summary = "show the locks of a store to browsers",
    .page = serve_page,
    .options = serve_options,
};

/* ---- The threads --------------------------------------------------------------------------
 */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    (void)number, (void)what;
    event_base_loopbreak(((serve *)arg)->base);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    uint64_t rings;
    (void)what;
    ssize_t got = read(fd, &rings, sizeof rings);
    if (got != (ssize_t)sizeof rings) return;
    serve_answer_jobs(arg);
    serve_streams_tell(arg);
}

static void end_threads(serve *s, pthread_t threads[], size_t count)
{
    pthread_mutex_lock(&s->mutex);
    s->ending = true;
    pthread_mutex_unlock(&s->mutex);
    serve_ring(s->wake_fd);
    serve_ring(s->end_fd);
    for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

/*
 * The HTTP thread takes signals; the others are never interrupted. Returns how many have begun.
 */
static size_t begin_threads(serve *s, pthread_t ret_threads[THREADS])
{
    static void *(*const bodies[THREADS])(void *) = {serve_observe, serve_work};
    sigset_t all, before;
    size_t count = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (count < THREADS && pthread_create(&ret_threads[count], NULL, bodies[count], s) == 0)
        count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return count;
}

static int tell_address(const serve *s)
{
    bool is_v6 = strchr(s->opts.listen, ':') != NULL;
    cli_print("http://%s%s%s:%d%s/\n", is_v6 ? "[" : "", s->opts.listen, is_v6 ? "]" : "", s->port,
              s->base_path);
    return cli_finish_output(CLI_EXIT_OK);
}

static int run(serve *s)
{
    pthread_t threads[THREADS];
    struct event *news = event_new(s->base, s->news_fd, EV_READ | EV_PERSIST, on_news, s);
    struct event *term = evsignal_new(s->base, SIGTERM, on_signal, s);
    struct event *interrupt = evsignal_new(s->base, SIGINT, on_signal, s);
    int code = CLI_EXIT_SYSTEM;
    bool ready = news && term && interrupt && event_add(news, NULL) == 0 &&
                 event_add(term, NULL) == 0 && event_add(interrupt, NULL) == 0;
    size_t begun = ready ? begin_threads(s, threads) : 0;
    if (begun == THREADS) {
        code = tell_address(s);
        if (!code) event_base_dispatch(s->base);
    } else {
        cli_error("serve: the system gives no thread, or no memory");
    }
    end_threads(s, threads, begun);
    if (news) event_free(news);
    if (term) event_free(term);
    if (interrupt) event_free(interrupt);
    return code;
}

/* ---- Its life ------------------------------------------------------------------------------- */

static void free_jobs(serve_job *job)
{
    while (job) {
        serve_job *next = job->next;
        serve_drop_request(job->request);
        serve_job_free(job);
        job = next;
    }
}

static void close_all(serve *s)
{
    serve_streams_end(s);
    free_jobs(s->asked.first);
    free_jobs(s->done.first);
    if (s->http) evhttp_free(s->http);
    serve_guests_free(s->guests);
    if (s->base) event_base_free(s->base);
    if (s->wake_fd >= 0) close(s->wake_fd);
    if (s->end_fd >= 0) close(s->end_fd);
    if (s->news_fd >= 0) close(s->news_fd);
    cli_watch_done(&s->picture.rows);
    serve_history_free(s->history);
    serve_heat_free(s->heat);
    serve_waits_free(s->waits);
    json_decref(s->findings);
    pthread_mutex_destroy(&s->mutex);
    explicit_bzero(s->tokens, sizeof s->tokens);
}

static int serve_store(serve *s)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is an error, not the end */
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->base = event_base_new();
    s->history = serve_history_new();
    s->heat = serve_heat_new();
    int code = CLI_EXIT_SYSTEM;
    if (!s->history || !s->heat)
        cli_error("out of memory");
    else if (s->wake_fd < 0 || s->end_fd < 0 || s->news_fd < 0 || !s->base)
        cli_error("serve: the system gives no descriptor");
    else
        code = serve_listen(s);
    if (!code) code = run(s);
    close_all(s);
    return code;
}

/* Whether browsers and proxies leave this path as it is: "" or /a/b, nothing empty, no dots alone.
 */
static bool is_plain_path(const char *path, size_t len)
{
    const char *end = path + len;
    while (path < end) {
        if (*path++ != '/') return false;
        size_t part = strspn(path, "-._~abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
        size_t dots = strspn(path, ".");
        if (part == 0 || (dots == part && dots <= 2)) return false;
        path += part;
    }
    return true;
}

static int check(const serve_opts *opts, serve *s)
{
    const char *path = opts->base_path;
    size_t len = strlen(path);
    if (opts->interval_ms < INTERVAL_MIN_MS)
        return cli_usage_error(&serve_command, "--interval: expected at least %dms",
                               INTERVAL_MIN_MS);
    while (len && path[len - 1] == '/') len--;
    if (len >= sizeof s->base_path || !is_plain_path(path, len))
        return cli_usage_error(&serve_command, "--base-path: expected a path such as /locks");
    memcpy(s->base_path, path, len);
    if (!serve_is_address(opts->listen))
        return cli_usage_error(&serve_command,
                               "--listen %s: expected a numeric address, such as 127.0.0.1; "
                               "--port has the port",
                               opts->listen);
    if (!opts->token_file && !serve_is_loopback(opts->listen))
        return cli_usage_error(&serve_command,
                               "--listen %s: others reach this address, so --token-file is needed",
                               opts->listen);
    if (opts->break_log && !opts->token_file)
        return cli_usage_error(&serve_command, "--allow-break wants --token-file");
    if (!opts->break_log || serve_audit_check(opts->break_log)) return CLI_EXIT_OK;
    cli_error("serve: --allow-break %s: %s", opts->break_log, strerror(errno));
    return CLI_EXIT_CANNOT_WRITE;
}

int main(int argc, char **argv)
{
    serve s = {.opts = {.common = CLI_COMMON_DEFAULTS,
                        .listen = "127.0.0.1",
                        .port = PORT_DEFAULT,
                        .base_path = "",
                        .interval_ms = INTERVAL_DEFAULT_MS},
               .mutex = PTHREAD_MUTEX_INITIALIZER};
    cli_args rest;
    int code = 0;
    cli_stdfds_open();
    if (!cli_command_parse(&serve_command, argc, argv, &s.opts.common, &rest, &code)) return code;
    if (rest.count > 1) return cli_usage_error(&serve_command, "at most one PREFIX is wanted");
    s.prefix = rest.count ? rest.items[0] : "";
    code = check(&s.opts, &s);
    if (!code) code = serve_token_read(&s);
    if (!code) code = cli_client_open_simple(&s.opts.common, &s.client);
    if (!code) code = cli_client_open_simple(&s.opts.common, &s.asker);
    if (!code) code = serve_store(&s);
    pawl_client_close(s.client);
    pawl_client_close(s.asker);
    return code;
}
