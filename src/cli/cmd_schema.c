/* SPDX-License-Identifier: MIT */
/* Prints the statements that make a store's tables, for a user who may run them. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"

/* Generated. In that of PostgreSQL each @ is the schema's name. */
extern const char cli_schema_postgres[], cli_schema_mariadb[];

typedef struct schema_opts {
    cli_common common;
    const char *schema;
} schema_opts;

static const cli_option schema_options[] = {
    {CLI_VALUE_TEXT, 0, "schema", "NAME", offsetof(schema_opts, schema),
     .help = "postgres: what the URL has as ?schema=NAME (pawl)"},
    CLI_OPTIONS_END,
};

/* The same check as in the store itself. */
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
    schema_opts opts = {.common = *globals};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    const char *store = rest.count == 1 ? rest.items[0] : "";
    bool is_mariadb = strcmp(store, "mariadb") == 0 || strcmp(store, "mysql") == 0;
    if (!is_mariadb && strcmp(store, "postgres") != 0)
        return cli_usage_error(self, "the name of a store is wanted, and only postgres and mariadb "
                                     "have a schema");
    if (is_mariadb && opts.schema)
        return cli_usage_error(self,
                               "--schema is of postgres; mariadb's tables are in the database "
                               "in which the statements are run");
    if (!opts.schema) opts.schema = "pawl";
    if (!is_name(opts.schema))
        return cli_usage_error(self, "a schema has 1 to 63 small letters, digits and _, and does "
                                     "not begin with a digit or pg_");
    if (is_mariadb)
        fputs(cli_schema_mariadb, stdout);
    else
        print_with(cli_schema_postgres, opts.schema);
    return cli_finish_output(CLI_EXIT_OK);
}

const cli_command cli_cmd_schema = {
    .verb = "schema",
    .operands = "postgres|mariadb",
    .summary = "print the SQL that makes a store's tables",
    .page =
        "For databases whose users may not make them: psql -f - or mariadb DATABASE, for somebody\n"
        "who may, once. It says at its head which rights users need then. Where they may, pawl\n"
        "makes them itself.",
    .options = schema_options,
    .choices = "postgres|mariadb",
    .main = schema_main,
};
