/* SPDX-License-Identifier: MIT */
#include "exit_codes.h"

#include <stddef.h>

#include "pawl/types.h"

/* The one place where errors become exit codes. */
int cli_exit_of_err(int err)
{
    switch ((pawl_err)err) {
    case PAWL_OK:
        return CLI_EXIT_OK;
    case PAWL_ERR_BUSY:
    case PAWL_ERR_TIMEOUT:
    case PAWL_ERR_DONE:
        return CLI_EXIT_BUSY;
    case PAWL_ERR_LOST:
    case PAWL_ERR_NOT_HELD:
    case PAWL_ERR_BROKEN:
        return CLI_EXIT_LOST;
    case PAWL_ERR_UNKNOWN:
        return CLI_EXIT_UNKNOWN;
    case PAWL_ERR_UNAVAILABLE:
    case PAWL_ERR_LOADING:
    case PAWL_ERR_STORE_BUSY:
        return CLI_EXIT_UNAVAILABLE;
    case PAWL_ERR_READONLY:
    case PAWL_ERR_STORE_FULL:
        return CLI_EXIT_CANNOT_WRITE;
    case PAWL_ERR_AUTH:
    case PAWL_ERR_PERMISSION:
    case PAWL_ERR_TLS:
        return CLI_EXIT_PERMISSION;
    case PAWL_ERR_WRONG_TYPE:
    case PAWL_ERR_CORRUPT:
        return CLI_EXIT_DATA;
    case PAWL_ERR_NETWORK_FS:
        return CLI_EXIT_NETWORK_FS;
    case PAWL_ERR_VERSION:
    case PAWL_ERR_PROTOCOL:
    case PAWL_ERR_URL:
    case PAWL_ERR_SCHEME:
    case PAWL_ERR_OPTION:
    case PAWL_ERR_UNSUPPORTED:
    case PAWL_ERR_KIND:
    case PAWL_ERR_CAPACITY:
    case PAWL_ERR_COUNT:
        return CLI_EXIT_CONFIG;
    case PAWL_ERR_NAME:
    case PAWL_ERR_TTL:
    case PAWL_ERR_OWNER:
    case PAWL_ERR_ARGUMENT:
    case PAWL_ERR_UNITS:
    case PAWL_ERR_VALUE:
    case PAWL_ERR_MODE:
    case PAWL_ERR_REENTRY:
    case PAWL_ERR_NAMES:
    case PAWL_ERR_PARTIES:
        return CLI_EXIT_USAGE;
    case PAWL_ERR_NO_MEMORY:
    case PAWL_ERR_SYSTEM:
        return CLI_EXIT_SYSTEM;
    case PAWL_ERR_STATE:
    case PAWL_ERR_FORKED:
    case PAWL_ERR_CLOSED:
    case PAWL_ERR_CANCELED:
    case PAWL_ERR_FENCE:
    case PAWL_ERR_INTERNAL:
    case PAWL_ERR_FORCE_INT:
        return CLI_EXIT_INTERNAL;
    }
    return CLI_EXIT_INTERNAL;
}

static const char *const help_lines[] = {
    "0        done; `run` exits as its command does (128+n: the command died of signal n)",
    "64       the command line is wrong",
    "65       the store is damaged, or the name belongs to something that is not a lock",
    "66       a file that was named cannot be opened",
    "69       the store cannot be reached, is loading, or is busy",
    "70, 71   pawl is broken; the operating system refused",
    "72       the SQLite file lies on a network filesystem",
    "73       the store is read-only or full, or a file or stdout cannot be written",
    "74       the store did not answer: it may or may not have been done",
    "75       busy: somebody else holds the lock (-E chooses another code)",
    "76       lost: the lock is not, or no longer, held (--lost-exit-code chooses another)",
    "77       the store refuses the user, password or certificate, or denies a permission",
    "78       the store's URL, version or set-up does not fit",
    "126, 127 the command cannot be executed; was not found",
    "128+n    pawl was ended by signal n while it waited",
};

const char *cli_exit_help(int index)
{
    if (index < 0 || (size_t)index >= sizeof help_lines / sizeof help_lines[0]) return NULL;
    return help_lines[index];
}
