/* SPDX-License-Identifier: MIT */
#include "memory_mail.h"

#include <stdlib.h>
#include <string.h>

static pawl__letter *letter_new(pawl__letter_kind kind, size_t text_size)
{
    pawl__letter *letter = calloc(1, sizeof(*letter) + text_size);
    if (letter) letter->kind = kind;
    return letter;
}

pawl__letter *pawl__letter_plain(pawl__letter_kind kind)
{
    return letter_new(kind, 0);
}

/* Slots come first, so that they are aligned; then a holder's label. */
pawl__letter *pawl__letter_for_reply(uint32_t slots)
{
    if (slots < PAWL__LETTER_SLOTS) slots = PAWL__LETTER_SLOTS;
    return letter_new(PAWL__LETTER_REPLY, slots * sizeof(uint16_t) + PAWL_OWNER_MAX + 1);
}

pawl__letter *pawl__letter_for_value(void)
{
    return letter_new(PAWL__LETTER_REPLY, PAWL_STORED_MAX + PAWL_OWNER_MAX + 2);
}

/* Copies text to *at and moves it on. */
static const char *put_text(char **at, const char *text, size_t len)
{
    char *start = *at;
    memcpy(start, text, len);
    start[len] = '\0';
    *at += len + 1;
    return start;
}

/* The same with anything that is not text; NULL if it is nothing. */
static const void *put_bytes(char **at, const void *bytes, size_t size)
{
    if (!size) return NULL;
    char *start = *at;
    memcpy(start, bytes, size);
    *at += size;
    return start;
}

void pawl__letter_fill_reply(pawl__letter *letter, const pawl_reply *reply)
{
    char *at = letter->text;
    letter->u.reply = *reply;
    letter->u.reply.slots = put_bytes(&at, reply->slots, reply->slot_count * sizeof(uint16_t));
    if (reply->value) {
        letter->value = *reply->value;
        letter->value.bytes = put_text(&at, reply->value->bytes, reply->value->len);
        letter->value.owner = put_text(&at, reply->value->owner, strlen(reply->value->owner));
        letter->u.reply.value = &letter->value;
    }
    if (!reply->message) return;
    size_t len = strlen(reply->message);
    letter->u.reply.message =
        put_text(&at, reply->message, len < PAWL_OWNER_MAX ? len : PAWL_OWNER_MAX);
}

pawl__letter *pawl__letter_push(const pawl_push *push)
{
    size_t slots_size = push->slot_count * sizeof(uint16_t);
    pawl__letter *letter = letter_new(PAWL__LETTER_PUSH, slots_size + push->name_len + 1);
    if (!letter) return NULL;
    char *at = letter->text;
    letter->u.push = *push;
    letter->u.push.slots = put_bytes(&at, push->slots, slots_size);
    letter->u.push.name = put_text(&at, push->name, push->name_len);
    if (push->token) {
        memcpy(letter->token, push->token, PAWL_TOKEN_LEN);
        letter->u.push.token = letter->token;
    }
    return letter;
}

/* The size of everything that a row points to. */
static size_t row_size(const pawl_info *info)
{
    size_t size = info->name_len + 1 + strlen(info->owner) + 1;
    size += info->waiters_shown * sizeof(info->waiters[0]);
    size += info->holders_shown * sizeof(info->holders[0]);
    for (size_t i = 0; i < info->waiters_shown; i++) size += strlen(info->waiters[i].owner) + 1;
    for (size_t i = 0; i < info->holders_shown; i++) size += strlen(info->holders[i].owner) + 1;
    if (info->broken_by) size += strlen(info->broken_by) + 1;
    return size;
}

pawl__letter *pawl__letter_row(uint64_t id, const pawl_info *info)
{
    pawl__letter *letter = letter_new(PAWL__LETTER_ROW, row_size(info));
    if (!letter) return NULL;
    letter->id = id;
    pawl_info *copy = &letter->u.info;
    *copy = *info;
    /* The arrays first, so that they are aligned; then the strings. */
    char *at = letter->text;
    pawl_waiter_info *waiters = (pawl_waiter_info *)(void *)at;
    at += info->waiters_shown * sizeof(waiters[0]);
    pawl_holder_info *holders = (pawl_holder_info *)(void *)at;
    at += info->holders_shown * sizeof(holders[0]);
    copy->waiters = waiters;
    copy->holders = holders;
    copy->name = put_text(&at, info->name, info->name_len);
    copy->owner = put_text(&at, info->owner, strlen(info->owner));
    for (size_t i = 0; i < info->waiters_shown; i++) {
        waiters[i] = info->waiters[i];
        waiters[i].owner = put_text(&at, waiters[i].owner, strlen(waiters[i].owner));
    }
    for (size_t i = 0; i < info->holders_shown; i++) {
        holders[i] = info->holders[i];
        holders[i].owner = put_text(&at, holders[i].owner, strlen(holders[i].owner));
    }
    if (info->broken_by) copy->broken_by = put_text(&at, info->broken_by, strlen(info->broken_by));
    return letter;
}

void pawl__letter_deliver(const pawl__letter *letter, pawl_host *host)
{
    switch (letter->kind) {
    case PAWL__LETTER_LINK:
        host->link(host, true, PAWL_OK, "");
        return;
    case PAWL__LETTER_REPLY:
        host->reply(host, &letter->u.reply);
        return;
    case PAWL__LETTER_PUSH:
        host->push(host, &letter->u.push);
        return;
    case PAWL__LETTER_ROW:
        host->row(host, letter->id, &letter->u.info);
        return;
    case PAWL__LETTER_FINDING:
        host->finding(host, letter->id, &letter->u.finding);
        return;
    }
}
