/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "duration.h"
#include "exit_codes.h"
#include "holder.h"
#include "json.h"
#include "message.h"
#include "store.h"

typedef struct show_opts {
    cli_common common;
    bool json;
} show_opts;

static const cli_option show_options[] = {
    {CLI_VALUE_FLAG, 0, "json", NULL, offsetof(show_opts, json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

static void print_escaped(const char *title, const char *bytes, size_t len)
{
    char *safe = cli_escape(bytes, len);
    cli_print("%-10s%s\n", title, safe);
    free(safe);
}

#define MODE_TEXT 24

/* "shared", or of a semaphore "2 units". */
static const char *said_mode(pawl_mode mode, uint32_t units, char ret_text[MODE_TEXT])
{
    if (mode == PAWL_MODE_PERMIT)
        snprintf(ret_text, MODE_TEXT, "%" PRIu32 " unit%s", units, units == 1 ? "" : "s");
    else
        snprintf(ret_text, MODE_TEXT, "%s", cli_mode_word(mode));
    return ret_text;
}

static void print_waiters(const pawl_info *info)
{
    char mode[MODE_TEXT];
    char age[CLI_DURATION_TEXT], place[CLI_DURATION_TEXT];
    for (size_t i = 0; i < info->waiters_shown; i++) {
        const pawl_waiter_info *w = &info->waiters[i];
        char *owner = cli_escape(w->owner, strlen(w->owner));
        cli_print("%4zu  %s, %s, for %s (its place lasts %s)\n", i + 1, owner,
                  said_mode(w->mode, w->units, mode), cli_duration_text(w->age_ms, age),
                  cli_duration_text(w->place_ms, place));
        free(owner);
    }
    if (info->waiter_count > info->waiters_shown) {
        cli_print("      and %zu more\n", info->waiter_count - info->waiters_shown);
    }
}

static void print_holder(const pawl_info *info)
{
    cli_holder holder;
    char since[CLI_UTC_TEXT];
    if (cli_holder_parse(info->owner, &holder)) {
        print_escaped("host", holder.host, holder.host_len);
        cli_print("%-10s%ld\n", "pid", holder.pid);
        if (holder.trace) cli_print("%-10s%s\n", "trace", holder.trace);
    }
    if (cli_holder_since(info, since)) cli_print("%-10s%s\n", "since", since);
}

static uint32_t units_taken(const pawl_info *info)
{
    uint32_t taken = 0;
    for (size_t i = 0; i < info->holders_shown; i++) taken += info->holders[i].units;
    return taken;
}

/* The other holders, and the mode of each. The lines above are about one of them. */
static void print_holders(const pawl_info *info)
{
    char left[CLI_DURATION_TEXT], mode[MODE_TEXT];
    if (info->mode != PAWL_MODE_EXCLUSIVE || info->holder_count > 1)
        cli_print("%-10s%s\n", "mode", cli_mode_word(info->mode));
    if (info->capacity)
        cli_print("%-10s%" PRIu32 ", of which %" PRIu32 " are taken\n", "slots", info->capacity,
                  units_taken(info));
    if (info->holder_count <= 1) return;
    cli_print("%-10s%zu\n", "holders", info->holder_count);
    for (size_t i = 0; i < info->holders_shown; i++) {
        const pawl_holder_info *h = &info->holders[i];
        char *owner = cli_escape(h->owner, strlen(h->owner));
        cli_print("      %s, %s, %s left, fence %" PRIu64 "\n", owner,
                  said_mode(h->mode, h->units, mode), cli_duration_text(h->remaining_ms, left),
                  h->fence);
        free(owner);
    }
    if (info->holder_count > info->holders_shown)
        cli_print("      and %zu more\n", info->holder_count - info->holders_shown);
}

static void print_break(const pawl_info *info)
{
    char ago[CLI_DURATION_TEXT];
    if (!info->broken_by) return;
    const char *label = *info->broken_by ? info->broken_by : "unknown";
    char *by = cli_escape(label, strlen(label));
    cli_print("%-10sfence %" PRIu64 ", by %s, %s ago\n", "broken", info->broken_fence, by,
              cli_duration_text(info->broken_ms, ago));
    free(by);
}

static bool print_text(const pawl_info *info, void *userdata)
{
    char left[CLI_DURATION_TEXT];
    (void)userdata;
    print_escaped("key", info->name, info->name_len);
    cli_print("%-10s%s\n", "state",
              !info->held     ? "free"
              : info->foreign ? "held, not by pawl"
                              : "held");
    if (info->held) {
        const char *label = *info->owner ? info->owner : "unknown";
        print_escaped("holder", label, strlen(label));
        print_holder(info);
        cli_print("%-10s%s\n", "left", cli_duration_text(info->remaining_ms, left));
        print_holders(info);
    }
    cli_print("%-10s%" PRIu64 "\n", "fence", info->fence);
    print_break(info);
    cli_print("%-10s%zu\n", "waiting", info->waiter_count);
    print_waiters(info);
    return true;
}

static bool print_json(const pawl_info *info, void *userdata)
{
    (void)userdata;
    cli_json_print(cli_json_of_info(info));
    return true;
}

static int show_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    show_opts opts = {.common = *globals};
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (code) return code;

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) {
        int err = pawl_inspect(client, key, strlen(key), CLI_NOT_WAITING,
                               opts.json ? print_json : print_text, NULL);
        code = err ? cli_fail(client, self->verb, key, err) : cli_finish_output(CLI_EXIT_OK);
    }
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_show = {
    .verb = "show",
    .operands = "KEY",
    .summary = "show a lock: holder, time left, fence, who waits",
    .page =
        "The fence is that of the present holder, or of the last one. Since when it holds is told\n"
        "by the fence, which is the store's clock at the grant. Who broke it last (pawl break) is "
        "told\n"
        "for at least a minute.",
    .options = show_options,
    .main = show_main,
};
