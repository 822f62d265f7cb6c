/* SPDX-License-Identifier: MIT */
/* The connections: how many there may be, and how long each may keep us waiting. */
#ifndef COUNTER_VISITORS_H
#define COUNTER_VISITORS_H

#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stddef.h>
#include <stdint.h>

typedef struct visitors visitors;

/* Watches over the connections that the server accepts from now on. NULL: out of memory. */
visitors *visitors_new(struct event_base *base, struct evhttp *http,
                       struct evconnlistener *listener);

/* Accepts no more. */
void visitors_stop(visitors *all);

/* A request has come as a whole: the client waits for us now. */
void visitors_asked(visitors *all, struct evhttp_request *request);
/* Its answer is about to leave: we wait for the client. */
void visitors_answered(visitors *all, struct evhttp_request *request);

size_t visitors_count(visitors *all);
uint64_t visitors_cut(const visitors *all);

/* After evhttp_free. NULL is allowed. */
void visitors_free(visitors *all);

#endif
