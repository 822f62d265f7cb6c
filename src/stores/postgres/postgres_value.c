/* SPDX-License-Identifier: MIT */
/* PUBLISH and READ: what is asked, and what the answer of a READ says. */
#include "postgres_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void pawl__postgres_add_publish(const pawl_request *request, pawl__postgres_statement *statement,
                                char room[24])
{
    pawl__postgres_add_bytes(statement, request->value ? request->value : "", request->value_len);
    pawl__postgres_add_number(statement, room, request->keep_ms * 1000);
}

/* Who cannot hear does not watch: it reads again. */
void pawl__postgres_add_read(const pawl_store *store, const pawl_request *request,
                             pawl__postgres_statement *statement, char room[24])
{
    bool watches = store->link.listens && request->flags & PAWL_ASK_WATCH;
    pawl__postgres_add_text(statement, watches ? store->host->client_id : "");
    pawl__postgres_add_number(statement, room, watches ? request->ttl_ms * 1000 : 0);
}

/* "-" are no bytes. */
static bool parse_bytes(const char *hex, char *ret_bytes, size_t room, size_t *ret_len)
{
    return pawl__postgres_parse_hex(strcmp(hex, "-") == 0 ? "" : hex, ret_bytes, room, ret_len);
}

bool pawl__postgres_decode_value(const char *text, pawl__postgres_value_room *room)
{
    char owner[2 * PAWL_OWNER_MAX + 2];
    pawl_value *value = &room->value;
    size_t owner_len;
    int end = 0;
    *value = (pawl_value){.bytes = room->bytes, .owner = room->owner};
    int count = sscanf(text, "%*s %" SCNu64 " %" SCNd64 " %" SCNd64 " %511s %n", &value->fence,
                       &value->at_us, &value->now_us, owner, &end);
    return count == 4 && end && parse_bytes(owner, room->owner, sizeof room->owner, &owner_len) &&
           parse_bytes(text + end, room->bytes, sizeof room->bytes, &value->len);
}
