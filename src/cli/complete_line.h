/* SPDX-License-Identifier: MIT */
/* `pawl complete`: what may stand at a place of pawl's command line; the answers of complete.h. */
#ifndef PAWL_CLI_COMPLETE_LINE_H
#define PAWL_CLI_COMPLETE_LINE_H

/* The words that follow "pawl"; the last one, which may be empty, is to be completed. A "--" before
 * them is passed over. Returns the exit code. */
int cli_complete_line(char **words, int count);

#endif
