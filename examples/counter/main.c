/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "app.h"

#include <errno.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <getopt.h>
#include <limits.h>
#include <pawl/config.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: pawl-counter [options]\n"
    "\n"
    "A counter over HTTP that any number of instances share: /add /counter /health\n"
    "/metrics, and / for a browser.\n"
    "\n"
    "  -c, --config FILE      Beego's app.conf: the store, httpaddr, httpport, counterstore\n"
    "  -S, --store URL        where the locks are; default $PAWL_STORE, or the default file\n"
    "      --counter URL      where the counter is: sqlite:PATH or redis://...; default: the\n"
    "                         locks' Redis, or sqlite:counter.db\n"
    "  -l, --listen ADDRESS   default 127.0.0.1\n"
    "  -p, --port PORT        default 8080; 0: any\n"
    "  -i, --instance LABEL   default \"counter PID\"\n"
    "      --ttl MS           length of the lock's lease; default 30000\n"
    "      --work MS          pretended work between reading and writing; default 0\n";

int64_t app_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int complain(const char *message)
{
    app_complain(message);
    return 1;
}

/* ---- Options ------------------------------------------------------------------------------- */

static bool number(const char *text, int64_t max, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > max) return false;
    *ret_number = value;
    return true;
}

static int take_option(app_options *o, int option, const char *value)
{
    int64_t port;
    switch (option) {
    case 'c':
        o->config = value;
        return 0;
    case 'S':
        o->store = (app_setting){value, "--store"};
        return 0;
    case 'C':
        o->counter = (app_setting){value, "--counter"};
        return 0;
    case 'l':
        o->address = (app_setting){value, "--listen"};
        return 0;
    case 'i':
        o->instance = value;
        return 0;
    case 'p':
        if (!number(value, 65535, &port)) return complain("--port: expected 0 to 65535");
        o->port = (int)port;
        return 0;
    case 't':
        if (!number(value, PAWL_TTL_MAX_MS, &o->ttl_ms) || o->ttl_ms < PAWL_TTL_MIN_MS)
            return complain("--ttl: expected 10 to 86400000 milliseconds");
        return 0;
    case 'w':
        if (!number(value, 60000, &o->work_ms)) return complain("--work: expected 0 to 60000 ms");
        return 0;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        return 64;
    }
}

static int take_options(app_options *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"store", required_argument, NULL, 'S'},
        {"counter", required_argument, NULL, 'C'}, {"listen", required_argument, NULL, 'l'},
        {"port", required_argument, NULL, 'p'},    {"instance", required_argument, NULL, 'i'},
        {"ttl", required_argument, NULL, 't'},     {"work", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "c:S:l:p:i:h", options, NULL)) != -1) {
        int code = take_option(o, option, optarg);
        if (code) return code;
    }
    if (optind == argc) return 0;
    fputs(usage, stderr);
    return 64;
}

static void take_unless_given(app_setting *setting, const pawl_config *config, const char *key)
{
    const char *value = pawl_config_get(config, key);
    if (!setting->value && value && *value)
        *setting = (app_setting){value, pawl_config_where(config, key)};
}

/* The file fills in what the command line left open. Strings live as long as the config does. */
static int take_config(app_options *o, const pawl_config *config, char **ret_store)
{
    char message[PAWL_MESSAGE_MAX] = "";
    int64_t port;
    if (!o->store.value) {
        if (pawl_config_store_url(config, ret_store, message)) return complain(message);
        o->store = (app_setting){*ret_store, pawl_config_store_where(config)};
    }
    take_unless_given(&o->address, config, "httpaddr");
    take_unless_given(&o->counter, config, "counterstore");
    if (!o->instance) o->instance = pawl_config_owner(config);
    const char *text = pawl_config_get(config, "httpport");
    if (o->port >= 0 || !text || !*text) return 0;
    if (!number(text, 65535, &port)) {
        snprintf(message, sizeof message, "%s: httpport: expected 0 to 65535",
                 pawl_config_where(config, "httpport"));
        return complain(message);
    }
    o->port = (int)port;
    return 0;
}

/* ---- Events ----------------------------------------------------------------------- */

static void on_dispatch(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    app *a = arg;
    pawl_client_dispatch(a->client); /* callbacks that are left keep the descriptor readable */
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    app_watch(arg);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    app *a = arg;
    struct timeval patience = {DRAIN_S, 0};
    a->ending = true;
    visitors_stop(a->visitors);
    event_base_loopexit(a->base, &patience);
    app_end_if_idle(a);
}

void app_end_if_idle(app *a)
{
    if (a->ending && a->adds == 0 && a->looks == 0 && !a->watching) {
        struct timeval flush = {0, 50000}; /* the last answers leave */
        event_base_loopexit(a->base, &flush);
    }
}

static bool make_events(app *a)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct timeval watch = {WATCH_MS / 1000, WATCH_MS % 1000 * 1000};
    a->dispatch_event =
        event_new(a->base, pawl_client_fd(a->client), EV_READ | EV_PERSIST, on_dispatch, a);
    a->watch_event = event_new(a->base, -1, EV_PERSIST, on_watch, a);
    if (!a->dispatch_event || !a->watch_event) return false;
    event_add(a->dispatch_event, NULL);
    event_add(a->watch_event, &watch);
    for (int i = 0; i < 2; i++) {
        a->signal_events[i] = evsignal_new(a->base, signals[i], on_signal, a);
        if (!a->signal_events[i]) return false;
        event_add(a->signal_events[i], NULL);
    }
    return true;
}

/* ---- Life ------------------------------------------------------------------------- */

/* In Redis beside the locks, else in a file of this directory. */
static void choose_counter(app_options *o)
{
    const char *store = o->store.value ? o->store.value : getenv("PAWL_STORE");
    if (store && *store && resource_for(store) == &resource_redis) {
        o->counter = (app_setting){store, o->store.value ? o->store.where : "$PAWL_STORE"};
        return;
    }
    o->counter = (app_setting){"sqlite:counter.db", "--counter"};
    o->counter_is_here = true;
}

/* Instances that are started in another directory would not share it. */
static void say_where_the_counter_is(void)
{
    char directory[PATH_MAX];
    fprintf(stderr, "pawl-counter: the counter is %s/counter.db (--counter chooses another)\n",
            getcwd(directory, sizeof directory) ? directory : ".");
}

static bool open_locks(app *a, char *ret_message)
{
    const app_options *o = &a->options;
    char why[PAWL_MESSAGE_MAX];
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    opts.owner = o->instance;
    int err = pawl_client_open(o->store.value, &opts, &a->client, why);
    const char *where = o->store.value ? o->store.where : "$PAWL_STORE";
    if (err == PAWL_ERR_OWNER) where = "--instance, or pawlowner";
    if (err) snprintf(ret_message, PAWL_MESSAGE_MAX, "%.150s: %.350s", where, why);
    return !err;
}

static bool open_counter(app *a, char *ret_message)
{
    app_options *o = &a->options;
    char why[RESOURCE_MESSAGE_MAX] = "expected sqlite:PATH, redis://... or redis+unix://...";
    if (!o->counter.value) choose_counter(o);
    a->ops = resource_for(o->counter.value);
    a->adding = a->ops ? a->ops->open(o->counter.value, why) : NULL;
    a->looking = a->adding ? a->ops->open(o->counter.value, why) : NULL;
    if (a->looking) return true;
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%.150s: %s", o->counter.where, why);
    return false;
}

static bool begin(app *a, char *ret_message)
{
    snprintf(ret_message, PAWL_MESSAGE_MAX, "out of memory");
    a->started_us = app_now_us();
    a->base = event_base_new();
    if (!a->base || !open_locks(a, ret_message) || !open_counter(a, ret_message)) return false;
    a->adder = worker_start(a->base);
    a->watcher = worker_start(a->base);
    if (!a->adder || !a->watcher || !make_events(a)) return false;
    return app_serve(a, ret_message);
}

static void end(app *a)
{
    worker_stop(a->adder);
    worker_stop(a->watcher);
    pawl_client_close(a->client); /* those who wait for the lock are told now */
    if (a->http) evhttp_free(a->http);
    visitors_free(a->visitors);
    struct event *events[] = {a->dispatch_event, a->watch_event, a->signal_events[0],
                              a->signal_events[1]};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i]) event_free(events[i]);
    if (a->ops) {
        a->ops->close(a->adding);
        a->ops->close(a->looking);
    }
    if (a->base) event_base_free(a->base);
}

/* Thousands of idle connections need thousands of descriptors. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(app *a)
{
    char message[PAWL_MESSAGE_MAX] = "";
    if (!begin(a, message)) {
        end(a);
        return complain(message);
    }
    app_watch(a);
    bool v6 = strchr(a->options.address.value, ':');
    printf("http://%s%s%s:%d/\n", v6 ? "[" : "", a->options.address.value, v6 ? "]" : "",
           a->options.port);
    fflush(stdout);
    if (a->options.counter_is_here) say_where_the_counter_is();
    event_base_dispatch(a->base);
    end(a);
    return 0;
}

int main(int argc, char **argv)
{
    app a = {.options = {.port = -1}, .state = {.trouble = "not looked yet"}};
    pawl_config *config = NULL;
    char *store = NULL;
    char message[PAWL_MESSAGE_MAX] = "", label[32];
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    int code = take_options(&a.options, argc, argv);
    if (!code && a.options.config && pawl_config_load(a.options.config, &config, message))
        code = complain(message);
    if (!code && config) code = take_config(&a.options, config, &store);
    if (!code) {
        snprintf(label, sizeof label, "counter %d", (int)getpid());
        if (!a.options.instance) a.options.instance = label;
        if (!a.options.address.value) a.options.address = (app_setting){"127.0.0.1", "--listen"};
        if (a.options.port < 0) a.options.port = 8080;
        evthread_use_pthreads();
        code = run(&a);
    }
    free(store);
    pawl_config_free(config);
    return code;
}
