/* SPDX-License-Identifier: MIT */
#ifndef PAWL_BASE_LINE_H
#define PAWL_BASE_LINE_H

/*
 * A message is one line of text whatever it quotes, and no terminal obeys it: control characters
 * (of eight bits, too), what is not UTF-8, and what turns the direction of writing become question
 * marks. In place; it never gets longer.
 */
void pawl__line_mend(char *text);

#endif
