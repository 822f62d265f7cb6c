/* SPDX-License-Identifier: MIT */
#ifndef PAWL_BASE_LINE_H
#define PAWL_BASE_LINE_H

/*
 * Makes a message one line of harmless text, whatever it quotes. Control characters (also those of
 * eight bits), bytes that are not UTF-8, and characters that change the direction of writing become
 * question marks. In place; the text never gets longer.
 */
void pawl__line_mend(char *text);

#endif
