/* SPDX-License-Identifier: MIT */
/* Goal: the axes' logarithms are those of libm, to nine digits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/decade.h"

static void is_close(double got, double wanted)
{
    assert_true(fabs(got - wanted) <= 1e-9 * fmax(1, fabs(wanted)));
}

static void test_logarithms(void **state)
{
    (void)state;
    for (double x = 1e-12; x < 1e18; x *= 1.37) is_close(decade_of(x), log10(x));
    is_close(decade_of(1), 0);
}

static void test_powers(void **state)
{
    (void)state;
    for (double x = -12; x <= 12; x += 0.0625) is_close(decade_up(x) / pow(10, x), 1);
}

static void test_whole_numbers(void **state)
{
    (void)state;
    for (double x = -3; x <= 3; x += 0.25) {
        assert_true(decade_floor(x) == floor(x));
        assert_true(decade_ceil(x) == ceil(x));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logarithms),
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_whole_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
