/* SPDX-License-Identifier: MIT */
/* Goal: pawl_with_lock runs the work once, under the lock, and says what became of it. */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct course {
    pawl_client *other; /* looks from outside */
    const char *name;
    int runs;
    bool breaks; /* the lock, in the middle of the work */
    uint64_t fence;
} course;

static void work(pawl_lock *lock, void *userdata)
{
    course *c = userdata;
    c->runs++;
    c->fence = pawl_lock_fence(lock);
    CHECK(pawl_lock_is_held(lock));
    CHECK(strcmp(pawl_lock_name(lock), c->name) == 0);
    CHECK(stage_view(c->other, c->name).held);
    if (!c->breaks) return;
    CHECK_ERR(pawl_break(c->other, c->name, strlen(c->name), c->fence, PATIENCE_MS), PAWL_OK);
}

static void test_work_runs_under_the_lock(void **state)
{
    (void)state;
    course c = {.other = stage_client(NULL), .name = stage_name()};
    CHECK_ERR(pawl_with_lock(stage_url(), c.name, 0, work, &c, NULL), PAWL_OK);
    CHECK(c.runs == 1 && c.fence > 0);
    CHECK(!stage_view(c.other, c.name).held);
    uint64_t first = c.fence;
    CHECK_ERR(pawl_with_lock(stage_url(), c.name, 0, work, &c, NULL), PAWL_OK);
    CHECK(c.runs == 2 && c.fence > first);
    pawl_client_close(c.other);
}

static void test_a_loss_is_said(void **state)
{
    (void)state;
    course c = {.other = stage_client(NULL), .name = stage_name(), .breaks = true};
    char message[PAWL_MESSAGE_MAX] = "";
    CHECK_ERR(pawl_with_lock(stage_url(), c.name, 0, work, &c, message), PAWL_ERR_LOST);
    CHECK(c.runs == 1);
    CHECK(message[0] != '\0');
    pawl_client_close(c.other);
}

/* A new client reaches the store within it on a busy machine, too: else it were UNAVAILABLE. */
#define WAIT_MS ANSWERED_MS

static void test_work_does_not_run_without_the_lock(void **state)
{
    (void)state;
    course c = {.other = stage_client(NULL), .name = stage_name()};
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_lock *lock = lock_new(c.other, c.name, PAWL_TTL_DEFAULT_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_with_lock(stage_url(), c.name, 0, work, &c, message), PAWL_ERR_BUSY);
    CHECK(message[0] != '\0');
    CHECK_ERR(pawl_with_lock(stage_url(), c.name, WAIT_MS, work, &c, NULL), PAWL_ERR_TIMEOUT);
    CHECK_ERR(pawl_with_lock(stage_url(), "", 0, work, &c, NULL), PAWL_ERR_NAME);
    CHECK_ERR(pawl_with_lock(stage_url(), NULL, 0, work, &c, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_with_lock(stage_url(), NULL, 0, work, &c, message), PAWL_ERR_ARGUMENT);
    CHECK(strcmp(message, "pawl_with_lock: name or work is NULL") == 0);
    CHECK_ERR(pawl_with_lock(stage_url(), c.name, 0, NULL, &c, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_with_lock("nowhere:", c.name, 0, work, &c, message), PAWL_ERR_SCHEME);
    CHECK(strstr(message, "nowhere"));
    CHECK(c.runs == 0);
    pawl_lock_free(lock);
    pawl_client_close(c.other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_runs_under_the_lock),
        cmocka_unit_test(test_a_loss_is_said),
        cmocka_unit_test(test_work_does_not_run_without_the_lock),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
