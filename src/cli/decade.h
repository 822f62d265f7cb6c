/* SPDX-License-Identifier: MIT */
/*
 * Decimal logarithms for the axes of pictures, to nine digits. Not libm's, because the
 * command would load that library at each start, and starts are what `pawl run` costs most.
 */
#ifndef PAWL_CLI_DECADE_H
#define PAWL_CLI_DECADE_H

/* The decimal logarithm of x > 0. */
double decade_of(double x);

/* Ten to the power of x, -30 to 30. */
double decade_up(double x);

/* The next whole number down and up; |x| below 2^53. */
double decade_floor(double x);
double decade_ceil(double x);

static inline double decade_least(double a, double b)
{
    return a < b ? a : b;
}

static inline double decade_most(double a, double b)
{
    return a > b ? a : b;
}

#endif
