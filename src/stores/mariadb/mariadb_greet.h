/* SPDX-License-Identifier: MIT */
/* On the thread of an attempt: connections to the first host that will do. */
#ifndef PAWL_MARIADB_GREET_H
#define PAWL_MARIADB_GREET_H

#include "mariadb_call.h"
#include "mariadb_url.h"

#define PAWL__MARIADB_ID_MAX 40

typedef struct pawl__mariadb_greeting {
    pawl__mariadb_config *config;
    char client_id[PAWL__MARIADB_ID_MAX];
    bool warms_up; /* requests find compiled what they need */
    int64_t (*now)(void);
    int stop_fd;         /* readable when nobody waits for it */
    atomic_bool ignored; /* likewise */
    /* What comes of it. */
    pawl__mariadb_call asker, listener;
    bool is_silent;    /* it accepted the latest connection, and never said a word */
    bool is_mute;      /* it had no answer while it was warmed up */
    char no_push[200]; /* why there is no listener */
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
} pawl__mariadb_greeting;

extern const char pawl__mariadb_schema[];  /* schema.sql */
extern const char pawl__mariadb_warm_up[]; /* warm_up.sql */

void pawl__mariadb_greet(pawl__mariadb_greeting *greeting);
/* Closes connections that nobody has taken. */
void pawl__mariadb_greeting_done(pawl__mariadb_greeting *greeting);

#endif
