/* SPDX-License-Identifier: MIT */
/* Programs on the token that a handle shows (src/runtime/token_shown.h). */
#include "floors.h"

#include "runtime/token_shown.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char first[] = "0000000000000000000000000000000000000000";
static const char second[] = "ffffffffffffffffffffffffffffffffffffffff";

static void *show_the_second(void *arg)
{
    pawl__token_show(arg, second);
    return NULL;
}

/* The whole of one token or of the other, whatever order the processor gives the words. It lies on
 * the heap, as in a handle: looking at what is static is a point of the schedule only once a second
 * thread has written it. */
void floor_token_read_beside_a_change(void)
{
    char text[PAWL_TOKEN_LEN + 1];
    pthread_t thread;
    pawl__token_shown *shown = calloc(1, sizeof *shown);
    floor_expect(shown, "there is no memory");
    pawl__token_show(shown, first);
    pthread_create(&thread, NULL, show_the_second, shown);
    pawl__token_read(shown, text);
    floor_expect(strcmp(text, first) == 0 || strcmp(text, second) == 0, "a token is torn");
    pthread_join(thread, NULL);
    pawl__token_read(shown, text);
    floor_expect(strcmp(text, second) == 0, "a token that was shown is not seen");
    free(shown);
}
