/* SPDX-License-Identifier: MIT */
/*
 * The stream of a memcached. It must be understood alike however it is cut into pieces; and a value
 * that is read as pawl's is written again as it was.
 *
 *   input: how to cut (1 byte), the stream
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "stores/memcached/memcached_store.h"

#include <stdio.h>

#define NAME "name"

/* What is read as held or free is what pawl would write. */
static void check_item(const pawl__memcached_answer *answer)
{
    pawl__memcached_item item;
    char text[PAWL__MEMCACHED_TEXT_MAX];
    if (!pawl__memcached_item_read(answer, NAME, strlen(NAME), &item)) return;
    bool held = item.state == PAWL__MEMCACHED_HELD;
    if (held) CHECK(strlen(item.token) == PAWL_TOKEN_LEN);
    CHECK(strlen(item.owner) <= PAWL_OWNER_MAX);
    if (!held && item.state != PAWL__MEMCACHED_FREE) return;
    size_t len = pawl__memcached_item_write(text, item.fence, held ? item.token : NULL, NAME,
                                            strlen(NAME), item.owner);
    CHECK(len <= sizeof text && item.fence < UINT64_C(1) << 53);
}

static void put(FILE *out, const pawl__memcached_answer *answer)
{
    fprintf(out, "%d %s ", (int)answer->code, answer->text);
    if (answer->value) fwrite(answer->value, 1, answer->value_len, out);
    fprintf(out, " %zu %d %llu %d %lld;", answer->value_len, answer->has_cas,
            (unsigned long long)answer->cas, answer->has_ttl, (long long)answer->ttl_s);
    if (answer->code == PAWL__MEMCACHED_VA || answer->code == PAWL__MEMCACHED_EN)
        check_item(answer);
    if (answer->code == PAWL__MEMCACHED_STAT) {
        pawl__memcached_facts facts = {0};
        pawl__memcached_note_fact(&facts, answer->text);
    }
}

/* What the stream means, in pieces of so many bytes. For free(). */
static char *meaning(fuzz_input in, size_t piece)
{
    pawl__memcached_reader *reader = malloc(sizeof *reader);
    pawl__memcached_answer answer;
    char *text = NULL;
    size_t size, room;
    FILE *out = open_memstream(&text, &size);
    CHECK(reader && out);
    pawl__memcached_reader_init(reader);
    pawl__memcached_read read = PAWL__MEMCACHED_MORE;
    while (in.left && read != PAWL__MEMCACHED_NONSENSE) {
        char *to = pawl__memcached_reader_room(reader, &room);
        CHECK(room > 0);
        fuzz_input some = fuzz_cut(&in, piece < room ? piece : room);
        memcpy(to, some.data, some.left);
        pawl__memcached_reader_fed(reader, some.left);
        while ((read = pawl__memcached_reader_next(reader, &answer)) == PAWL__MEMCACHED_ANSWER)
            put(out, &answer);
    }
    fputs(read == PAWL__MEMCACHED_NONSENSE ? "nonsense" : "", out);
    fclose(out);
    free(reader);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    size_t piece = fuzz_byte(&in);
    char *whole = meaning(in, SIZE_MAX), *cut = meaning(in, piece ? piece : 1);
    CHECK(strcmp(whole, cut) == 0);
    free(whole);
    free(cut);
    return 0;
}
