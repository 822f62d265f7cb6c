/* SPDX-License-Identifier: MIT */
/*
 * pawl-top: the locks of a store on a terminal. One thread, one loop (main.c): it looks at the
 * store (look.c), remembers earlier looks (memory.c), makes the lines of a tab (lines.c, cells.c),
 * draws the screen (draw.c) and reads the keys (keys.c).
 */
#ifndef PAWL_CLI_TOP_H
#define PAWL_CLI_TOP_H

#include "../options.h"
#include "../watch.h"

#define TOP_LOSSES_MAX   256
#define TOP_TYPED_MAX    128
#define TOP_MESSAGE_MAX  512
#define TOP_INSPECTS_MAX 16 /* names that have gone; each look asks for at most so many */

typedef enum top_tab { TOP_HELD, TOP_WAITING, TOP_HOT, TOP_LOST, TOP_TABS } top_tab;

typedef enum top_sort {
    TOP_BY_NAME,
    TOP_BY_AGE, /* held for the longest time first */
    TOP_BY_LEFT,
    TOP_BY_WAITING,
    TOP_BY_CHANGES,
    TOP_SORTS
} top_sort;

typedef enum top_prompt { TOP_NO_PROMPT, TOP_FILTERING, TOP_BREAKING } top_prompt;

/* How often the holder of a name was seen to change since top began. The first member is the key.
 */
typedef struct top_count {
    cli_watch_row like; /* name and name_len alone */
    uint64_t changes;
    int64_t seen_ms;
} top_count;

/* A lock that was taken from its holder. */
typedef struct top_loss {
    char *name;
    size_t name_len;
    char *by;
    uint64_t fence;
    int64_t at_ms; /* of cli_now_ms */
} top_loss;

/* One line of the table; loss: of the tab "lost", else row. */
typedef struct top_line {
    const cli_watch_row *row;
    const top_loss *loss;
    uint64_t changes;
    char *shown; /* the name, escaped */
} top_line;

typedef struct top {
    pawl_client *client;
    const char *prefix;
    int64_t interval_ms;
    bool readonly, paused, ended;
    bool has_details;   /* details of the selected lock are shown, not the table */
    char *details_name; /* of the lock that they show: raw */
    size_t details_len;
    char **details; /* its lines */
    size_t detail_count, detail_room;
    cli_watch now, before;
    top_count *counts;
    size_t count_count;
    top_loss losses[TOP_LOSSES_MAX]; /* the newest last */
    size_t loss_count;
    top_tab tab;
    top_sort sorts[TOP_TABS];
    top_line *lines;
    size_t line_count;
    size_t selected, first; /* the selected line, and the one at the top */
    char *selected_name;    /* escaped; NULL: none yet */
    char filter[TOP_TYPED_MAX];
    top_prompt prompt;
    char typed[TOP_TYPED_MAX];
    char *break_name; /* name of the lock to break: raw */
    size_t break_len;
    uint64_t break_fence;
    char message[TOP_MESSAGE_MAX]; /* until the next key */
} top;

/* look.c: asks the store, then remembers and arranges. */
void top_look(top *t);
/* Asks for the lock whose details are shown. */
void top_inspect(top *t);
void top_forget_details(top *t);

/* memory.c: counts changes and finds losses; tells what it knows of a name. */
void top_remember(top *t);
uint64_t top_changes(const top *t, const cli_watch_row *row);
void top_add_loss(top *t, const char *name, size_t name_len, const char *by, uint64_t fence,
                  int64_t at_ms);
void top_forget(top *t);

/* lines.c: the lines of the tab, filtered and sorted; the selection stays with its name. */
void top_arrange(top *t);
void top_select(top *t, size_t line);
void top_forget_lines(top *t);
const top_line *top_selected(const top *t);

/* cells.c: the contents of a column. */
typedef struct top_column {
    const char *title;
    int width; /* 0: the rest of the line */
    void (*text)(const top *t, const top_line *line, char *ret_text, size_t size);
} top_column;

#define TOP_COLUMNS_MAX 6
#define TOP_CELL_MAX    1024
extern const top_column top_columns[TOP_TABS][TOP_COLUMNS_MAX]; /* ends with a NULL title */
extern const char *const top_tab_names[TOP_TABS];
extern const char *const top_sort_names[TOP_SORTS];
/* How many lines a tab has without a filter; -1: unknown. */
int64_t top_tab_count(const top *t, top_tab tab);

/* draw.c: the whole screen. False: the terminal cannot be used. */
bool top_screen_open(void);
void top_screen_close(void);
void top_draw(top *t);
int top_table_height(void);

/* keys.c: handles all keys that have been typed. */
void top_keys(top *t);

#endif
