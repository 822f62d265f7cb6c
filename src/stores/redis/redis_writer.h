/* SPDX-License-Identifier: MIT */
/* From words to bytes: a command is an array of texts in every version of RESP. */
#ifndef PAWL_REDIS_WRITER_H
#define PAWL_REDIS_WRITER_H

#include "redis_proto.h"

/* Bytes that the command takes at most. */
size_t pawl__redis_command_room(const pawl__redis_bytes *argv, size_t argc);
/* Writes the command; returns its length. */
size_t pawl__redis_command_write(char *room, const pawl__redis_bytes *argv, size_t argc);

#endif
