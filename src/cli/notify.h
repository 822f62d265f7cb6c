/* SPDX-License-Identifier: MIT */
/*
 * Tells the service manager how its service fares: datagrams to $NOTIFY_SOCKET, as
 * sd_notify(3) describes them. Without that variable nothing is done. Nothing here blocks, and
 * no library is needed.
 */
#ifndef PAWL_CLI_NOTIFY_H
#define PAWL_CLI_NOTIFY_H

#include <stdbool.h>

typedef enum cli_notify_state {
    CLI_NOTIFY_STATUS, /* the text alone */
    CLI_NOTIFY_READY,
    CLI_NOTIFY_STOPPING
} cli_notify_state;

/*
 * Call it before others. From now on this process tells, and what it starts does not get the
 * variable. pass_on: the command tells that it is ready; it gets the variable, and from here comes
 * the text alone. Only the first call counts.
 */
void cli_notify_open(bool pass_on);

/* For a child of fork whose parent goes on to tell: it does not. */
void cli_notify_close(void);

/* Whether somebody is told. */
bool cli_notify_is_on(void);

/* What becomes the line STATUS=, for people. It is cleaned, and cut at 400 bytes. */
void cli_notify(cli_notify_state state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Sends what found no room before. True: some is left, so call it again in CLI_NOTIFY_AGAIN_MS:
 * nobody says when there is room.
 */
bool cli_notify_again(void);
#define CLI_NOTIFY_AGAIN_MS 50

/* Before exec: waits for room, for a second at most. */
void cli_notify_flush(void);

#endif
