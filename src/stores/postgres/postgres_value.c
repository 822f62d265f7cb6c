/* SPDX-License-Identifier: MIT */
/* PUBLISH and READ: what is asked. */
#include "postgres_store.h"

void pawl__postgres_add_publish(const pawl_request *request, pawl__postgres_statement *statement,
                                char rooms[2][24])
{
    pawl__postgres_add_bytes(statement, request->value ? request->value : "", request->value_len);
    pawl__postgres_add_number(statement, rooms[0], request->keep_ms * 1000);
    pawl__postgres_add_number(statement, rooms[1], (int64_t)request->publication);
}

/* A client without pushes does not watch: it reads again. */
void pawl__postgres_add_read(const pawl_store *store, const pawl_request *request,
                             pawl__postgres_statement *statement, char room[24])
{
    bool watches = store->link.listens && request->flags & PAWL_ASK_WATCH;
    pawl__postgres_add_text(statement, watches ? store->host->client_id : "");
    pawl__postgres_add_number(statement, room, watches ? request->ttl_ms * 1000 : 0);
}
