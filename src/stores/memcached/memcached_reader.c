/* SPDX-License-Identifier: MIT */
#include "memcached_reader.h"

#include <string.h>

#define ITEM_MAX (UINT64_C(1) << 30) /* bytes; the server's own bound */

void pawl__memcached_reader_init(pawl__memcached_reader *reader)
{
    memset(reader, 0, sizeof *reader);
}

char *pawl__memcached_reader_room(pawl__memcached_reader *reader, size_t *ret_room)
{
    if (reader->taken) {
        reader->used -= reader->taken;
        memmove(reader->bytes, reader->bytes + reader->taken, reader->used);
        reader->taken = 0;
    }
    *ret_room = sizeof reader->bytes - reader->used;
    return reader->bytes + reader->used;
}

void pawl__memcached_reader_fed(pawl__memcached_reader *reader, size_t count)
{
    reader->used += count;
}

/* ---- One line ------------------------------------------------------------------------------ */

static const struct {
    const char *word;
    pawl__memcached_code code;
} codes[] = {
    {"HD", PAWL__MEMCACHED_HD},
    {"VA", PAWL__MEMCACHED_VA},
    {"EN", PAWL__MEMCACHED_EN},
    {"NS", PAWL__MEMCACHED_NS},
    {"EX", PAWL__MEMCACHED_EX},
    {"NF", PAWL__MEMCACHED_NF},
    {"STORED", PAWL__MEMCACHED_STORED},
    {"STAT", PAWL__MEMCACHED_STAT},
    {"END", PAWL__MEMCACHED_END},
    {"CLIENT_ERROR", PAWL__MEMCACHED_CLIENT_ERROR},
    {"SERVER_ERROR", PAWL__MEMCACHED_SERVER_ERROR},
    {"ERROR", PAWL__MEMCACHED_ERROR},
};

static bool find_code(const char *line, size_t len, pawl__memcached_code *ret_code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strlen(codes[i].word) != len || memcmp(codes[i].word, line, len) != 0) continue;
        *ret_code = codes[i].code;
        return true;
    }
    return false;
}

/* Digits up to a blank or the end; false: there are none, or too many. */
static bool read_number(const char **at, uint64_t most, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *c = *at;
    if (*c < '0' || *c > '9') return false;
    for (; *c >= '0' && *c <= '9'; c++) {
        unsigned digit = (unsigned)(*c - '0');
        if (number > (most - digit) / 10) return false;
        number = number * 10 + digit;
    }
    if (*c && *c != ' ') return false;
    *at = c;
    *ret_number = number;
    return true;
}

static bool read_ttl(const char **at, pawl__memcached_answer *answer)
{
    uint64_t number;
    answer->has_ttl = true;
    answer->ttl_s = -1;
    if (strncmp(*at, "-1", 2) == 0 && ((*at)[2] == '\0' || (*at)[2] == ' ')) {
        *at += 2;
        return true;
    }
    if (!read_number(at, INT64_MAX, &number)) return false;
    answer->ttl_s = (int64_t)number;
    return true;
}

/* The flags that pawl asks for; all others are skipped. */
static bool read_flags(const char *at, pawl__memcached_answer *answer)
{
    for (;;) {
        while (*at == ' ') at++;
        char flag = *at;
        if (!flag) return true;
        at++;
        if (flag == 'c') {
            answer->has_cas = true;
            if (!read_number(&at, UINT64_MAX, &answer->cas)) return false;
        } else if (flag == 't') {
            if (!read_ttl(&at, answer)) return false;
        } else {
            at += strcspn(at, " ");
        }
    }
}

/* The line is NUL-terminated, without its end. */
static bool read_line(const char *line, pawl__memcached_answer *ret_answer)
{
    size_t word = strcspn(line, " ");
    const char *rest = line + word + (line[word] == ' ');
    uint64_t len = 0;
    *ret_answer = (pawl__memcached_answer){.text = rest};
    if (!find_code(line, word, &ret_answer->code)) return false;
    if (ret_answer->code == PAWL__MEMCACHED_VA) {
        if (!read_number(&rest, ITEM_MAX, &len)) return false;
        ret_answer->value_len = (size_t)len;
    }
    if (ret_answer->code == PAWL__MEMCACHED_VA || ret_answer->code == PAWL__MEMCACHED_HD)
        return read_flags(rest, ret_answer);
    return true;
}

/* ---- Values -------------------------------------------------------------------------------- */

/* Skips the bytes that nobody wants; false: some are still to come. */
static bool pass_over(pawl__memcached_reader *reader)
{
    size_t there = reader->used - reader->taken;
    size_t count = reader->pass_over < there ? reader->pass_over : there;
    reader->taken += count;
    reader->pass_over -= count;
    return reader->pass_over == 0;
}

/* The end of a line that is complete; NULL: it is not, or (*ret_bad) it cannot be one. */
static char *end_of_line(pawl__memcached_reader *reader, bool *ret_bad)
{
    char *start = reader->bytes + reader->taken;
    size_t there = reader->used - reader->taken;
    char *end = memchr(start, '\n', there);
    *ret_bad = end ? end == start || end[-1] != '\r' ||
                         (size_t)(end - start) > PAWL__MEMCACHED_LINE_MAX ||
                         memchr(start, '\0', (size_t)(end - start))
                   : there > PAWL__MEMCACHED_LINE_MAX;
    return *ret_bad ? NULL : end;
}

/* The line was read and ends at `end`: its value, if that is there. */
static pawl__memcached_read take_value(pawl__memcached_reader *reader, char *end,
                                       pawl__memcached_answer *answer)
{
    char *value = end + 1;
    size_t behind = (size_t)(reader->bytes + reader->used - value);
    if (answer->value_len > PAWL__MEMCACHED_VALUE_MAX) {
        reader->taken = (size_t)(value - reader->bytes);
        reader->pass_over = answer->value_len + 2;
        answer->text = ""; /* the value takes its room */
        reader->pending = *answer;
        reader->in_value = true;
        return pawl__memcached_reader_next(reader, answer);
    }
    if (behind < answer->value_len + 2) {
        end[-1] = '\r'; /* it is read again when there is more */
        return PAWL__MEMCACHED_MORE;
    }
    if (memcmp(value + answer->value_len, "\r\n", 2) != 0) return PAWL__MEMCACHED_NONSENSE;
    value[answer->value_len] = '\0';
    answer->value = value;
    reader->taken = (size_t)(value - reader->bytes) + answer->value_len + 2;
    return PAWL__MEMCACHED_ANSWER;
}

pawl__memcached_read pawl__memcached_reader_next(pawl__memcached_reader *reader,
                                                 pawl__memcached_answer *ret_answer)
{
    bool bad;
    if (!pass_over(reader)) return PAWL__MEMCACHED_MORE;
    if (reader->in_value) {
        reader->in_value = false;
        *ret_answer = reader->pending;
        return PAWL__MEMCACHED_ANSWER;
    }
    char *line = reader->bytes + reader->taken, *end = end_of_line(reader, &bad);
    if (bad) return PAWL__MEMCACHED_NONSENSE;
    if (!end) return PAWL__MEMCACHED_MORE;
    end[-1] = '\0';
    if (!read_line(line, ret_answer)) return PAWL__MEMCACHED_NONSENSE;
    if (ret_answer->code == PAWL__MEMCACHED_VA) return take_value(reader, end, ret_answer);
    reader->taken = (size_t)(end + 1 - reader->bytes);
    return PAWL__MEMCACHED_ANSWER;
}
