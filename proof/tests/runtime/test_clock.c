/* SPDX-License-Identifier: MIT */
/*
 * Goal: an instant's span is never shorter than either clock's, less 1 ms, and
 * not longer than the longer one's by more than preemption could explain.
 * Method: two invented clocks, moved by hand.
 */
#include "base/instant.h"
#include "runtime/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MS PAWL__NS_PER_MS

/* True readings, and what happens between the first and the second reading of an instant. */
static struct {
    int64_t boot, raw;
    int64_t pause;   /* both advance by this after a reading of boot ... */
    int pauses_left; /* ... so many times */
    int readings;    /* of either */
} fake;

static int64_t read_boot(void *ctx)
{
    (void)ctx;
    int64_t reading = fake.boot;
    fake.readings++;
    if (fake.pauses_left > 0) {
        fake.pauses_left--;
        fake.boot += fake.pause;
        fake.raw += fake.pause;
    }
    return reading;
}

static int64_t read_raw(void *ctx)
{
    (void)ctx;
    fake.readings++;
    return fake.raw;
}

static pawl__clock fresh_clock(int64_t boot, int64_t raw)
{
    fake.boot = boot;
    fake.raw = raw;
    fake.pauses_left = 0;
    pawl__clock clock = {.read_boot = read_boot, .read_raw = read_raw};
    pawl__clock_start(&clock);
    return clock;
}

static void test_begins_at_boottime(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(700 * MS, 12 * MS);
    assert_int_equal(pawl__clock_read(&clock), 700 * MS);
}

static void test_suspend_counts(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 400 * MS);
    int64_t before = pawl__clock_read(&clock);
    fake.boot += 3600000 * MS; /* an hour in which RAW stood still */
    int64_t after = pawl__clock_read(&clock);
    assert_int_equal(after - before, 3600000 * MS);
    fake.boot += 5 * MS;
    fake.raw += 5 * MS;
    assert_int_equal(pawl__clock_read(&clock) - after, 5 * MS);
}

/* 8.3 %: what chrony may do. Read often, or once a minute. */
static void slewed(int64_t step)
{
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    int64_t before = pawl__clock_read(&clock);
    int64_t raw_before = fake.raw;
    for (int i = 0; i < 5000; i++) {
        fake.raw += step;
        fake.boot += step - step / 12;
        int64_t span = pawl__clock_read(&clock) - before;
        assert_true(span >= fake.raw - raw_before - MS);
        assert_true(span <= fake.raw - raw_before + MS);
    }
}

static void test_slewed_slow(void **state)
{
    (void)state;
    slewed(MS / 10);
    slewed(60000 * MS);
}

/* Whichever runs ahead at the time: the sum of the larger spans would be too much to ask. */
static void test_any_interval_of_a_random_walk(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    static int64_t boots[COUNT], raws[COUNT], instants[COUNT];
    pawl__clock clock = fresh_clock(5 * MS, 9000 * MS);
    unsigned random = 4711;
    for (int i = 0; i < COUNT; i++) {
        random = random * 1103515245 + 12345;
        fake.boot += (random >> 8) % (3 * MS);
        random = random * 1103515245 + 12345;
        fake.raw += (random >> 8) % (3 * MS);
        boots[i] = fake.boot;
        raws[i] = fake.raw;
        instants[i] = pawl__clock_read(&clock);
        for (int j = 0; j < i; j++) {
            int64_t span = instants[i] - instants[j];
            assert_true(span >= boots[i] - boots[j] - MS);
            assert_true(span >= raws[i] - raws[j] - MS);
            assert_true(span >= 0);
        }
    }
}

static void test_preemption_is_not_drift(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    for (int round = 1; round <= 3; round++) { /* the second, third ... reading again */
        fake.pause = 50 * MS;
        fake.pauses_left = round;
        int64_t instant = pawl__clock_read(&clock);
        assert_true(instant >= fake.boot - 50 * MS && instant <= fake.boot);
        assert_int_equal(pawl__clock_read(&clock), fake.boot); /* no offset was raised */
    }
}

/* A gap that a preemption hides must not be taken for none. */
static void test_drift_behind_a_preemption(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    (void)pawl__clock_read(&clock);
    fake.boot += 3 * MS; /* a short suspend */
    fake.pause = 50 * MS;
    fake.pauses_left = 2;
    int64_t before = pawl__clock_read(&clock);
    fake.raw += 2 * MS; /* now BOOTTIME stands still */
    assert_true(pawl__clock_read(&clock) - before >= 2 * MS - MS);
}

static void test_preempted_for_ever_ends_on_the_safe_side(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    fake.pause = 2 * MS;
    fake.pauses_left = 1000000;
    int64_t before = pawl__clock_read(&clock);
    assert_true(before >= 1000 * MS);
    fake.pauses_left = 0;
    int64_t boot = fake.boot;
    assert_true(pawl__clock_read(&clock) >= boot); /* it never ages slower than the clocks */
}

static void test_never_goes_back(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    int64_t last = pawl__clock_read(&clock);
    for (int i = 0; i < 1000; i++) {
        fake.boot += i % 7 ? MS / 3 : 2 * MS;
        fake.raw += i % 5 ? MS / 3 : 2 * MS;
        int64_t instant = pawl__clock_read(&clock);
        assert_true(instant >= last);
        last = instant;
    }
}

/* Whatever the two clocks do within the kernel's limits, it agrees with a full reading. */
static void test_is_before_is_never_later_than_a_reading(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    unsigned random = 1;
    int yes = 0, no = 0;
    for (int i = 0; i < 20000; i++) {
        random = random * 1103515245u + 12345u;
        int64_t step = (int64_t)(random >> 8) % (20 * MS);
        fake.raw += step;
        fake.boot += i % 1000 < 800 ? step - step / 10 : step; /* slewed slow, and not */
        if (i % 1000 == 999) fake.boot += 5000 * MS;           /* suspended */
        int64_t until = pawl__clock_read(&clock) + (int64_t)(random >> 4) % (40 * MS) - 4 * MS;
        int64_t later = (int64_t)(random >> 6) % (40 * MS);
        fake.raw += later;
        fake.boot += later - later / 10;
        int64_t about = 0;
        bool before = pawl__clock_is_before(&clock, until, &about);
        int64_t now = pawl__clock_read(&clock);
        assert_int_equal(before, now < until);
        if (before) assert_true(about <= now && about >= now - 5 * MS);
        before ? yes++ : no++;
    }
    assert_true(yes > 1000 && no > 1000);
}

static void test_the_real_one(void **state)
{
    (void)state;
    pawl__now_start();
    int64_t before = pawl__now();
    assert_int_equal(poll(NULL, 0, 20), 0);
    int64_t span = pawl__now() - before;
    assert_true(span >= 19 * MS);
    assert_true(span < 20000 * MS);
}

/* ---- Alarm ---------------------------------------------------------------------------------- */

static void set_alarm(pawl__alarm *alarm, int64_t at)
{
    int64_t boot, now = pawl__now_and_boot(&boot);
    pawl__alarm_set(alarm, now, boot, at);
}

static bool fires(pawl__alarm *alarm, int timeout_ms)
{
    struct pollfd p = {.fd = alarm->fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void test_alarm_fires_before_or_at(void **state)
{
    (void)state;
    pawl__now_start();
    pawl__alarm alarm;
    assert_int_equal(pawl__alarm_open(&alarm), 0);
    int64_t at = pawl__now() + 60 * MS;
    int wakes = 0;
    while (pawl__now() < at) {
        set_alarm(&alarm, at);
        assert_true(fires(&alarm, 20000));
        pawl__alarm_take(&alarm);
        assert_true(alarm.at == PAWL__NEVER);
        assert_true(++wakes < 10);
    }
    close(alarm.fd);
}

static void test_alarm_aims_short(void **state)
{
    (void)state;
    pawl__now_start();
    pawl__alarm alarm;
    struct itimerspec left;
    assert_int_equal(pawl__alarm_open(&alarm), 0);
    int64_t now = pawl__now();
    set_alarm(&alarm, now + 60000 * MS); /* BOOTTIME may be slewed slow */
    assert_int_equal(timerfd_gettime(alarm.fd, &left), 0);
    assert_true(left.it_value.tv_sec >= 40 && left.it_value.tv_sec <= 54);
    close(alarm.fd);
}

/* Who is stopped between the look at the clock and the setting: it fires as if nothing had been. */
static void test_alarm_is_no_later_after_a_stop(void **state)
{
    (void)state;
    pawl__now_start();
    pawl__alarm alarm;
    struct itimerspec left;
    assert_int_equal(pawl__alarm_open(&alarm), 0);
    int64_t boot, now = pawl__now_and_boot(&boot);
    pawl__alarm_set(&alarm, now - 50000 * MS, boot - 50000 * MS, now + 50000 * MS);
    assert_int_equal(timerfd_gettime(alarm.fd, &left), 0);
    assert_true(left.it_value.tv_sec <= 40); /* nine tenths of 100 s, from 50 s ago */
    close(alarm.fd);
}

/* Without BOOTTIME there is no instant to set it to, but a span. */
static void test_alarm_by_another_clock(void **state)
{
    (void)state;
    pawl__now_start();
    pawl__alarm alarm;
    struct itimerspec left;
    assert_int_equal(pawl__alarm_open(&alarm), 0);
    alarm.by_boottime = false;
    set_alarm(&alarm, pawl__now() + 60000 * MS);
    assert_int_equal(timerfd_gettime(alarm.fd, &left), 0);
    assert_true(left.it_value.tv_sec >= 40 && left.it_value.tv_sec <= 54);
    close(alarm.fd);
}

static void test_alarm_keeps_an_earlier_setting(void **state)
{
    (void)state;
    pawl__now_start();
    pawl__alarm alarm;
    assert_int_equal(pawl__alarm_open(&alarm), 0);
    int64_t now = pawl__now();
    set_alarm(&alarm, now + 5 * MS);
    set_alarm(&alarm, now + 60000 * MS);
    assert_true(alarm.at == now + 5 * MS);
    assert_true(fires(&alarm, 20000));
    pawl__alarm_take(&alarm);
    set_alarm(&alarm, now + 60000 * MS);
    set_alarm(&alarm, pawl__now() + 5 * MS);
    assert_true(fires(&alarm, 20000));
    close(alarm.fd);
}

/* ---- How much is read, and what is kept ------------------------------------------------------ */

static void move(int64_t boot, int64_t raw)
{
    fake.boot += boot;
    fake.raw += raw;
}

/* One reading of an instant, of which it is known how many of the clocks' it takes. */
static int64_t read_with(pawl__clock *clock, int readings)
{
    fake.readings = 0;
    int64_t now = pawl__clock_read(clock);
    assert_int_equal(fake.readings, readings);
    return now;
}

static void test_begins_with_three_readings_that_were_not_preempted(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 7 * MS);
    assert_int_equal(clock.boot_offset, 0);
    assert_int_equal(clock.raw_offset, 993 * MS);
    fake.pause = 100000; /* as long as the window: it counts as one moment */
    fake.pauses_left = 2;
    fake.readings = 0;
    pawl__clock_start(&clock);
    assert_int_equal(fake.readings, 3);
    fake.pause++;
    fake.pauses_left = 2;
    fake.readings = 0;
    pawl__clock_start(&clock);
    assert_int_equal(fake.readings, 6);
    fake.pauses_left = 1000; /* always: it gives up, and has what was read last */
    fake.readings = 0;
    pawl__clock_start(&clock);
    assert_int_equal(fake.readings, 3 * 64);
}

static void test_two_readings_are_enough_while_the_clocks_agree(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    assert_true(read_with(&clock, 2) == 1000 * MS);
    move(MS, 0);
    assert_true(read_with(&clock, 2) == 1001 * MS);
    move(1, 2 * MS + 1);
    assert_true(read_with(&clock, 2) == 1002 * MS + 1);
    assert_int_equal(clock.drift, 0);
    move(0, 1); /* more than 1 ms apart: that is measured, and mended */
    assert_true(read_with(&clock, 2 + 2 * 3) == 1002 * MS + 2); /* and looked at once more */
    assert_int_equal(clock.boot_offset, MS + 1);
    assert_int_equal(clock.drift, MS + 1);
    assert_true(read_with(&clock, 2) == 1002 * MS + 2);
    move(2 * MS, 0);
    assert_true(read_with(&clock, 2 + 2 * 3) == 1004 * MS + 2);
    assert_int_equal(clock.raw_offset, 2 * MS);
    assert_int_equal(clock.boot_offset, MS + 1);
    assert_int_equal(clock.drift, 3 * MS + 1);
}

/* Preempted at each attempt: either clock may lag by all that was seen. */
static void test_blindly_each_offset_grows_by_what_may_be(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    fake.pause = MS;
    fake.pauses_left = 1000;
    move(0, 10 * MS);
    int64_t start = fake.boot, now = read_with(&clock, 2 + 3 * 64 + 3);
    /* One pause in the first reading and two in each attempt, then one before the raw clock is
     * read. */
    assert_true(now == start + (1 + 2 * 64 + 1) * MS + 10 * MS);
    assert_int_equal(clock.boot_offset, 11 * MS);
    assert_int_equal(clock.raw_offset, 0);
    clock = fresh_clock(1000 * MS, 1000 * MS);
    fake.pauses_left = 1000;
    move(10 * MS, 0);
    start = fake.boot;
    now = read_with(&clock, 2 + 3 * 64 + 3);
    assert_true(now == start + (1 + 2 * 64 + 1) * MS);
    assert_int_equal(clock.raw_offset, 10 * MS);
    assert_int_equal(clock.boot_offset, 0);
}

/* All threads share it, so it is not written each time. */
static void test_what_was_seen_is_kept_for_50_ms(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    read_with(&clock, 2);
    assert_true(clock.seen == 1000 * MS);
    move(50 * MS, 50 * MS);
    read_with(&clock, 2);
    assert_true(clock.seen == 1000 * MS);
    move(1, 1);
    read_with(&clock, 2);
    assert_true(clock.seen == 1050 * MS + 1);
}

static void is_before(pawl__clock *clock, int64_t until, bool wanted, int readings)
{
    int64_t about = -1;
    fake.readings = 0;
    assert_int_equal(pawl__clock_is_before(clock, until, &about), wanted);
    assert_int_equal(fake.readings, readings);
    assert_true(about == (wanted ? fake.boot : -1));
}

static void test_one_reading_is_enough_while_there_is_time(void **state)
{
    (void)state;
    pawl__clock clock = fresh_clock(1000 * MS, 1000 * MS);
    is_before(&clock, 2000 * MS, true, 3); /* nothing was seen yet */
    move(7 * MS, 7 * MS);                  /* 8 ms may have passed since, by the other clock 9 */
    is_before(&clock, 1009 * MS + 1, true, 1);
    is_before(&clock, 1009 * MS, true, 3);
    is_before(&clock, 1007 * MS + 1, true, 3);
    is_before(&clock, 1007 * MS, false, 3);
    is_before(&clock, 1006 * MS, false, 3);
    move(92 * MS, 92 * MS); /* 100 ms with the gap: still fresh */
    is_before(&clock, 2000 * MS, true, 1);
    move(1, 1);
    is_before(&clock, 2000 * MS, true, 3);
    clock = fresh_clock(1000 * MS, 1000 * MS);
    move(0, MS); /* the reading is that of the clock that is ahead */
    int64_t about = -1;
    assert_true(pawl__clock_is_before(&clock, 2000 * MS, &about));
    assert_true(about == 1001 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begins_at_boottime),
        cmocka_unit_test(test_suspend_counts),
        cmocka_unit_test(test_slewed_slow),
        cmocka_unit_test(test_any_interval_of_a_random_walk),
        cmocka_unit_test(test_preemption_is_not_drift),
        cmocka_unit_test(test_drift_behind_a_preemption),
        cmocka_unit_test(test_preempted_for_ever_ends_on_the_safe_side),
        cmocka_unit_test(test_never_goes_back),
        cmocka_unit_test(test_is_before_is_never_later_than_a_reading),
        cmocka_unit_test(test_begins_with_three_readings_that_were_not_preempted),
        cmocka_unit_test(test_two_readings_are_enough_while_the_clocks_agree),
        cmocka_unit_test(test_blindly_each_offset_grows_by_what_may_be),
        cmocka_unit_test(test_what_was_seen_is_kept_for_50_ms),
        cmocka_unit_test(test_one_reading_is_enough_while_there_is_time),
        cmocka_unit_test(test_the_real_one),
        cmocka_unit_test(test_alarm_fires_before_or_at),
        cmocka_unit_test(test_alarm_aims_short),
        cmocka_unit_test(test_alarm_is_no_later_after_a_stop),
        cmocka_unit_test(test_alarm_by_another_clock),
        cmocka_unit_test(test_alarm_keeps_an_earlier_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
