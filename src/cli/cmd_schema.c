/* SPDX-License-Identifier: MIT */
/* The statements by which a store's tables are made, for somebody who may: text that is built in.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"

extern const char cli_schema_postgres[]; /* generated; each @ is the schema's name */

typedef struct schema_opts {
    cli_common common;
    const char *schema;
} schema_opts;

static const cli_option schema_options[] = {
    {CLI_VALUE_TEXT, 0, "schema", "NAME", offsetof(schema_opts, schema),
     .help = "what the URL has as ?schema=NAME (pawl)"},
    CLI_OPTIONS_END,
};

/* As the store itself checks it. */
static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return len > 0 && len <= 63 && !name[len] && !(*name >= '0' && *name <= '9') &&
           strncmp(name, "pg_", 3) != 0;
}

static void print_with(const char *text, const char *name)
{
    for (; *text; text++)
        if (*text == '@')
            fputs(name, stdout);
        else
            putchar(*text);
}

static int schema_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    schema_opts opts = {.common = *globals, .schema = "pawl"};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count != 1 || strcmp(rest.items[0], "postgres") != 0)
        return cli_usage_error(self, "the name of a store is wanted, and postgres is the only one "
                                     "that has a schema");
    if (!is_name(opts.schema))
        return cli_usage_error(self, "a schema has 1 to 63 small letters, digits and _, and does "
                                     "not begin with a digit or pg_");
    print_with(cli_schema_postgres, opts.schema);
    return cli_finish_output(CLI_EXIT_OK);
}

const cli_command cli_cmd_schema = {
    .verb = "schema",
    .operands = "postgres",
    .summary = "print the SQL that makes a store's tables",
    .page =
        "For databases whose users may not make them: psql -f - for somebody who may, once. It\n"
        "says at its head which rights users need then. Where they may, pawl makes them itself.",
    .options = schema_options,
    .main = schema_main,
};
