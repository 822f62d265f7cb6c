/* SPDX-License-Identifier: MIT */
#include <string.h>

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

static const char *severity_name(pawl_severity severity)
{
    switch (severity) {
    case PAWL_SEVERITY_OK:
        return "ok";
    case PAWL_SEVERITY_NOTE:
        return "note";
    case PAWL_SEVERITY_WARNING:
        return "warning";
    case PAWL_SEVERITY_ERROR:
        return "error";
    }
    return "error";
}

static void on_finding(const pawl_finding *finding, void *userdata)
{
    diagnosis *d = userdata;
    if (finding->severity > d->worst) d->worst = finding->severity;
    if (!d->json) {
        cli_print("%-8s %-14s %s\n", severity_name(finding->severity), finding->topic,
                  finding->text);
        if (*finding->advice) cli_print("%-8s %-14s -> %s\n", "", "", finding->advice);
        return;
    }
    json_t *object = json_object();
    json_object_set_new(object, "severity", json_string(severity_name(finding->severity)));
    cli_json_set_bytes(object, "topic", finding->topic, strlen(finding->topic));
    cli_json_set_bytes(object, "text", finding->text, strlen(finding->text));
    cli_json_set_bytes(object, "advice", finding->advice, strlen(finding->advice));
    cli_json_print(object);
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
    cli_store store; /* also one that locks nobody out: a finding says so */
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
