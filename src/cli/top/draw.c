/* SPDX-License-Identifier: MIT */
/*
 * The screen. Whatever is drawn has been escaped before (terminal.h): ncurses gets printable
 * characters only.
 */
#include "top.h"

#include <curses.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "../duration.h"
#include "../message.h"
#include "../session.h"
#include "../utf8.h"

#define HEAD_LINES 3 /* store, tabs, titles */
#define KEYS_LINE  "1-4 tab  arrows  s sort  / filter  Enter details  Space pause  %sq quit"

bool top_screen_open(void)
{
    setlocale(LC_CTYPE, "");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return false;
    if (!newterm(NULL, stdout, stdin)) return false;
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    return true;
}

void top_screen_close(void)
{
    endwin();
}

int top_table_height(void)
{
    int height = LINES - HEAD_LINES - 1;
    return height > 0 ? height : 0;
}

/* ---- Text in a place ----------------------------------------------------------------------- */

/* As many characters as fit into width columns; a dollar where the rest is cut off. */
static void put_text(int y, int x, int width, const char *text)
{
    size_t len = strlen(text), at = 0;
    int used = 0;
    if (x + width > COLS) width = COLS - x;
    if (width <= 0 || y < 0 || y >= LINES) return;
    move(y, x);
    while (at < len) {
        uint32_t c = 0;
        size_t bytes = cli_utf8_next(text + at, len - at, &c);
        int columns = bytes ? wcwidth((wchar_t)c) : 1;
        if (columns < 1) columns = 1; /* this machine does not know it */
        if (!bytes) bytes = 1;
        if (used + columns > width) break;
        addnstr(text + at, (int)bytes);
        used += columns;
        at += bytes;
    }
    if (at < len) mvaddch(y, x + width - 1, '$');
}

static void put_bar(int y, const char *text)
{
    attron(A_REVERSE);
    mvhline(y, 0, ' ', COLS);
    put_text(y, 0, COLS, text);
    attroff(A_REVERSE);
}

/* ---- The head ------------------------------------------------------------------------------ */

static void draw_store(const top *t)
{
    char state[TOP_MESSAGE_MAX], age[CLI_DURATION_TEXT], took[CLI_DURATION_TEXT];
    char *url = cli_clean(pawl_client_url(t->client));
    snprintf(state, sizeof state, "%sas of %s ago, asked in %s", t->paused ? "PAUSED, " : "",
             cli_duration_text(cli_now_ms() - t->now.at_ms, age),
             cli_duration_text(t->now.took_ms, took));
    int width = (int)strlen(state);
    put_text(0, 0, COLS - width - 1, "pawl top ");
    put_text(0, 9, COLS - width - 10, url);
    put_text(0, COLS > width ? COLS - width : 0, width, state);
    free(url);
}

static void draw_tabs(const top *t)
{
    int x = 0;
    for (top_tab tab = TOP_HELD; tab < TOP_TABS; tab++) {
        char text[64], count[24] = "?";
        int64_t number = top_tab_count(t, tab);
        if (number >= 0) snprintf(count, sizeof count, "%" PRId64, number);
        snprintf(text, sizeof text, " %d %s %s ", (int)tab + 1, top_tab_names[tab], count);
        if (tab == t->tab) attron(A_REVERSE);
        put_text(1, x, (int)strlen(text), text);
        attroff(A_REVERSE);
        x += (int)strlen(text) + 1;
    }
    char how[TOP_TYPED_MAX + 64];
    const char *sort = t->tab == TOP_LOST ? "time" : top_sort_names[t->sorts[t->tab]];
    char *filter = cli_clean(t->filter);
    snprintf(how, sizeof how, " sort: %s%s%s", sort, *filter ? "  filter: " : "", filter);
    put_text(1, x, COLS - x, how);
    free(filter);
}

/* ---- The table ----------------------------------------------------------------------------- */

static int width_of_key(const top_column *columns)
{
    int width = COLS;
    for (int i = 0; i < TOP_COLUMNS_MAX && columns[i].title; i++)
        if (columns[i].width) width -= columns[i].width + 1;
    return width < 12 ? 12 : width;
}

static void draw_cells(const top *t, int y, const top_line *line)
{
    const top_column *columns = top_columns[t->tab];
    char text[TOP_CELL_MAX];
    int x = 0;
    for (int i = 0; i < TOP_COLUMNS_MAX && columns[i].title; i++) {
        int width = columns[i].width ? columns[i].width : width_of_key(columns);
        if (line)
            columns[i].text(t, line, text, sizeof text);
        else
            snprintf(text, sizeof text, "%s", columns[i].title);
        put_text(y, x, width, text);
        x += width + 1;
    }
}

static void scroll_to_selected(top *t)
{
    size_t height = (size_t)top_table_height();
    if (t->selected < t->first) t->first = t->selected;
    if (height && t->selected >= t->first + height) t->first = t->selected - height + 1;
    if (t->first >= t->line_count) t->first = 0;
}

static void draw_lines(top *t)
{
    attron(A_UNDERLINE);
    mvhline(2, 0, ' ', COLS);
    draw_cells(t, 2, NULL);
    attroff(A_UNDERLINE);
    scroll_to_selected(t);
    for (int i = 0; i < top_table_height() && t->first + (size_t)i < t->line_count; i++) {
        size_t at = t->first + (size_t)i;
        if (at == t->selected) {
            attron(A_REVERSE);
            mvhline(HEAD_LINES + i, 0, ' ', COLS);
        }
        draw_cells(t, HEAD_LINES + i, &t->lines[at]);
        attroff(A_REVERSE);
    }
}

static void draw_unknown(const top *t)
{
    char text[PAWL_MESSAGE_MAX + 64];
    char *reason = cli_clean(t->now.reason);
    snprintf(text, sizeof text, "? nothing is known now: %s", reason);
    put_text(HEAD_LINES + 1, 0, COLS, text);
    free(reason);
}

static void draw_details(const top *t)
{
    for (int i = 0; i <= top_table_height() && (size_t)i < t->detail_count; i++)
        put_text(2 + i, 0, COLS, t->details[i]);
}

/* ---- The last line ------------------------------------------------------------------------- */

static void draw_prompt(const top *t)
{
    char text[TOP_MESSAGE_MAX], *typed = cli_clean(t->typed);
    char *name = cli_escape(t->break_name ? t->break_name : "", t->break_len);
    if (t->prompt == TOP_FILTERING)
        snprintf(text, sizeof text, "filter (part of a key or holder): %s_", typed);
    else
        snprintf(text, sizeof text, "to break %.60s type its fence, %" PRIu64 ": %s_", name,
                 t->break_fence, typed);
    free(name);
    free(typed);
    put_bar(LINES - 1, text);
}

static void draw_last(const top *t)
{
    char text[128];
    if (t->prompt != TOP_NO_PROMPT) {
        draw_prompt(t);
    } else if (t->message[0]) {
        put_bar(LINES - 1, t->message);
    } else {
        snprintf(text, sizeof text, KEYS_LINE, t->readonly ? "" : "b break  ");
        put_bar(LINES - 1, t->has_details ? "Esc back  q quit" : text);
    }
}

void top_draw(top *t)
{
    erase();
    draw_store(t);
    draw_tabs(t);
    if (t->has_details)
        draw_details(t);
    else if (t->now.err && t->tab != TOP_LOST)
        draw_unknown(t);
    else
        draw_lines(t);
    draw_last(t);
    refresh();
}
