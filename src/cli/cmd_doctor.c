/* SPDX-License-Identifier: MIT */
#include "command.h"
#include "exit_codes.h"
#include "json.h"
#include "message.h"
#include "store.h"

typedef struct doctor_opts {
    cli_common common;
    bool json;
} doctor_opts;

static const cli_option doctor_options[] = {
    {CLI_VALUE_FLAG, 0, "json", NULL, offsetof(doctor_opts, json),
     .help = "print one JSON object on each line"},
    CLI_OPTIONS_END,
};

typedef struct diagnosis {
    bool json;
    pawl_severity worst;
} diagnosis;

static void on_finding(const pawl_finding *finding, void *userdata)
{
    diagnosis *d = userdata;
    if (finding->severity > d->worst) d->worst = finding->severity;
    if (!d->json) {
        cli_print("%-8s %-14s %s\n", cli_severity_word(finding->severity), finding->topic,
                  finding->text);
        if (*finding->advice) cli_print("%-8s %-14s -> %s\n", "", "", finding->advice);
        return;
    }
    cli_json_print(cli_json_of_finding(finding));
}

static int doctor_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    doctor_opts opts = {.common = *globals};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count != 0) return cli_usage_error(self, "no operand is wanted");

    diagnosis d = {.json = opts.json};
    pawl_client *client = NULL;
    cli_store store; /* also memory:, which locks nobody out: a finding says so */
    code = cli_store_choose(&opts.common, &store);
    if (!code) code = cli_client_open(&opts.common, &store, PAWL_CALLBACKS_WAIT, &client);
    if (!code) {
        int err = pawl_doctor(client, CLI_NOT_WAITING, on_finding, &d);
        if (err) code = cli_fail(client, self->verb, NULL, err);
    }
    pawl_client_close(client);
    if (!code && d.worst == PAWL_SEVERITY_ERROR) code = CLI_EXIT_CONFIG;
    return cli_finish_output(code);
}

const cli_command cli_cmd_doctor = {
    .verb = "doctor",
    .operands = "",
    .summary = "examine the store for what endangers locks",
    .page = "Exit code 78 when there is an error among the findings.",
    .options = doctor_options,
    .main = doctor_main,
};
