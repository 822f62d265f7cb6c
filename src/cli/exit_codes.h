/* SPDX-License-Identifier: MIT */
/*
 * Exit codes: a contract with scripts. The numbers are sysexits.h's where one
 * fits, 126 and 127 as env(1) and timeout(1) use them.
 */
#ifndef PAWL_CLI_EXIT_CODES_H
#define PAWL_CLI_EXIT_CODES_H

typedef enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_USAGE = 64,        /* the command line is wrong */
    CLI_EXIT_DATA = 65,         /* the store is damaged, or the name is used by something else */
    CLI_EXIT_NO_INPUT = 66,     /* a file that was named cannot be opened */
    CLI_EXIT_UNAVAILABLE = 69,  /* the store cannot serve now */
    CLI_EXIT_INTERNAL = 70,     /* pawl is broken */
    CLI_EXIT_SYSTEM = 71,       /* the operating system refused */
    CLI_EXIT_NETWORK_FS = 72,   /* the store's file lies where file locks cannot be trusted */
    CLI_EXIT_CANNOT_WRITE = 73, /* the store, a file that was asked for, or stdout */
    CLI_EXIT_UNKNOWN = 74,      /* no answer: it may or may not have been done */
    CLI_EXIT_BUSY = 75,         /* somebody else holds it, and the wait ran out */
    CLI_EXIT_LOST = 76,         /* not held (any more): protection failed */
    CLI_EXIT_PERMISSION = 77,   /* the store refuses the user, or denies a command */
    CLI_EXIT_CONFIG = 78,       /* the store's URL or set-up does not fit */
    CLI_EXIT_CANNOT_EXECUTE = 126,
    CLI_EXIT_NOT_FOUND = 127,
    CLI_EXIT_SIGNAL_BASE = 128 /* + the signal's number */
} cli_exit;

/* The exit code for a pawl_err; 0 for 0. */
int cli_exit_of_err(int err);

/* One line about an exit code for help pages; NULL when there are no more. */
const char *cli_exit_help(int index);

#endif
