/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strndup */
#include "top.h"

#include <curses.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../message.h"
#include "../store.h"

#define KEY_ESC 27

/* ---- Breaking a lock ----------------------------------------------------------------------- */

static void say(top *t, const char *what, const char *name, const char *why)
{
    char *safe = cli_escape(name, strlen(name)), *reason = cli_clean(why);
    snprintf(t->message, sizeof t->message, "%s %.80s%s%s", what, safe, *reason ? ": " : "",
             reason);
    free(reason);
    free(safe);
}

static void begin_break(top *t)
{
    const top_line *line = top_selected(t);
    if (t->readonly || !line || !line->row || !line->row->held) return;
    free(t->break_name);
    t->break_name = strndup(line->row->name, line->row->name_len);
    t->break_len = t->break_name ? line->row->name_len : 0;
    t->break_fence = line->row->fence;
    t->typed[0] = '\0';
    if (t->break_name) t->prompt = TOP_BREAKING;
}

static const char *broken_word(int err)
{
    if (!err) return "broken:";
    return err == PAWL_ERR_UNKNOWN ? "unknown whether broken:" : "not broken:";
}

/* The fence names the holder: if another one holds it by now, the store refuses. */
static void do_break(top *t)
{
    char fence[24], reason[PAWL_MESSAGE_MAX];
    snprintf(fence, sizeof fence, "%" PRIu64, t->break_fence);
    if (strcmp(fence, t->typed) != 0) {
        say(t, "not broken:", t->break_name, "that is not its fence");
        return;
    }
    int err = pawl_break(t->client, t->break_name, t->break_len, t->break_fence, CLI_NOT_WAITING);
    pawl_client_reason(t->client, err, reason);
    say(t, broken_word(err), t->break_name, err ? reason : "");
    if (!t->paused) top_look(t);
}

/* ---- What is typed at a prompt ------------------------------------------------------------- */

static void end_prompt(top *t)
{
    top_prompt prompt = t->prompt;
    t->prompt = TOP_NO_PROMPT;
    if (prompt == TOP_BREAKING) {
        do_break(t);
        return;
    }
    memcpy(t->filter, t->typed, sizeof t->filter);
    top_arrange(t);
}

static void type(top *t, int key)
{
    size_t len = strlen(t->typed);
    if (key == KEY_ESC) {
        t->prompt = TOP_NO_PROMPT;
    } else if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        end_prompt(t);
    } else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
        if (len) t->typed[len - 1] = '\0';
    } else if (key >= ' ' && key <= 0xff && len + 1 < sizeof t->typed) {
        t->typed[len] = (char)key;
        t->typed[len + 1] = '\0';
    }
}

/* ---- Keys of the table --------------------------------------------------------------------- */

static void go_to_tab(top *t, int tab)
{
    t->tab = (top_tab)((tab + TOP_TABS) % TOP_TABS);
    t->first = 0;
    top_arrange(t);
}

static void move_by(top *t, int lines)
{
    int64_t at = (int64_t)t->selected + lines;
    top_select(t, at < 0 ? 0 : (size_t)at);
}

static void open_details(top *t)
{
    const top_line *line = top_selected(t);
    if (!line) return;
    const char *name = line->loss ? line->loss->name : line->row->name;
    size_t name_len = line->loss ? line->loss->name_len : line->row->name_len;
    free(t->details_name);
    t->details_name = strndup(name, name_len);
    t->details_len = t->details_name ? name_len : 0;
    t->has_details = t->details_name != NULL;
    if (t->has_details) top_inspect(t);
}

static void next_sort(top *t)
{
    t->sorts[t->tab] = (t->sorts[t->tab] + 1) % TOP_SORTS;
    top_arrange(t);
}

static void begin_filter(top *t)
{
    t->prompt = TOP_FILTERING;
    memcpy(t->typed, t->filter, sizeof t->typed);
}

static void press_move(top *t, int key)
{
    int page = top_table_height();
    switch (key) {
    case KEY_DOWN:
    case 'j':
        move_by(t, 1);
        return;
    case KEY_UP:
    case 'k':
        move_by(t, -1);
        return;
    case KEY_NPAGE:
        move_by(t, page);
        return;
    case KEY_PPAGE:
        move_by(t, -page);
        return;
    case KEY_HOME:
        top_select(t, 0);
        return;
    case KEY_END:
        top_select(t, t->line_count);
        return;
    default:
        return;
    }
}

static void press(top *t, int key)
{
    if (key >= '1' && key < '1' + TOP_TABS) {
        go_to_tab(t, key - '1');
        return;
    }
    switch (key) {
    case KEY_RIGHT:
    case '\t':
        go_to_tab(t, (int)t->tab + 1);
        return;
    case KEY_LEFT:
        go_to_tab(t, (int)t->tab - 1);
        return;
    case 's':
        next_sort(t);
        return;
    case '/':
        begin_filter(t);
        return;
    case '\n':
    case '\r':
    case KEY_ENTER:
        open_details(t);
        return;
    case ' ':
        t->paused = !t->paused;
        return;
    case 'b':
        begin_break(t);
        return;
    default:
        press_move(t, key);
    }
}

void top_keys(top *t)
{
    for (int key; !t->ended && (key = getch()) != ERR;) {
        t->message[0] = '\0';
        if (t->prompt != TOP_NO_PROMPT) {
            type(t, key);
        } else if (key == 'q') {
            t->ended = true;
        } else if (t->has_details) {
            t->has_details = key != KEY_ESC && key != '\n' && key != '\r' && key != KEY_ENTER;
        } else {
            press(t, key);
        }
    }
}
