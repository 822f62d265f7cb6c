/* SPDX-License-Identifier: MIT */
#ifndef PAWL_BASE_LINE_H
#define PAWL_BASE_LINE_H

/* A message is one line of text whatever it quotes: control characters become question marks. */
static inline void pawl__line_mend(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}

#endif
