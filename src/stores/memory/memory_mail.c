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

pawl__letter *pawl__letter_for_reply(void)
{
    return letter_new(PAWL__LETTER_REPLY, PAWL_OWNER_MAX + 1); /* room for a holder's label */
}

void pawl__letter_fill_reply(pawl__letter *letter, const pawl_reply *reply)
{
    letter->u.reply = *reply;
    if (!reply->message) return;
    size_t len = strlen(reply->message);
    if (len > PAWL_OWNER_MAX) len = PAWL_OWNER_MAX;
    memcpy(letter->text, reply->message, len);
    letter->text[len] = '\0';
    letter->u.reply.message = letter->text;
}

pawl__letter *pawl__letter_push(const pawl_push *push)
{
    pawl__letter *letter = letter_new(PAWL__LETTER_PUSH, push->name_len + 1);
    if (!letter) return NULL;
    letter->u.push = *push;
    memcpy(letter->text, push->name, push->name_len);
    letter->u.push.name = letter->text;
    if (push->token) {
        memcpy(letter->token, push->token, PAWL_TOKEN_LEN);
        letter->u.push.token = letter->token;
    }
    return letter;
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

pawl__letter *pawl__letter_row(uint64_t id, const pawl_info *info)
{
    /* Waiters first, so that they are aligned; then the strings. */
    size_t align = _Alignof(pawl_waiter_info) - 1;
    size_t waiters_size = info->waiters_shown * sizeof(pawl_waiter_info);
    size_t size = align + waiters_size + info->name_len + 1 + strlen(info->owner) + 1;
    for (size_t i = 0; i < info->waiters_shown; i++) size += strlen(info->waiters[i].owner) + 1;
    pawl__letter *letter = letter_new(PAWL__LETTER_ROW, size);
    if (!letter) return NULL;
    letter->id = id;
    letter->u.info = *info;
    uintptr_t start = ((uintptr_t)letter->text + align) & ~(uintptr_t)align;
    pawl_waiter_info *waiters = (pawl_waiter_info *)start;
    char *at = (char *)start + waiters_size;
    letter->u.info.waiters = waiters;
    letter->u.info.name = put_text(&at, info->name, info->name_len);
    letter->u.info.owner = put_text(&at, info->owner, strlen(info->owner));
    for (size_t i = 0; i < info->waiters_shown; i++) {
        waiters[i] = info->waiters[i];
        waiters[i].owner = put_text(&at, info->waiters[i].owner, strlen(info->waiters[i].owner));
    }
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
