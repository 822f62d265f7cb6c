/* SPDX-License-Identifier: MIT */
#include "decade.h"

#include <stdint.h>

#define LN_2  0.69314718055994530942
#define LN_10 2.30258509299404568402

double decade_of(double x)
{
    int twos = 0;
    while (x >= 2) {
        x /= 2;
        twos++;
    }
    while (x < 1) {
        x *= 2;
        twos--;
    }
    /* ln x = 2 artanh((x - 1) / (x + 1)), where t is at most a third */
    double t = (x - 1) / (x + 1), power = t, sum = 0;
    for (int n = 1; n < 22; n += 2, power *= t * t) sum += power / n;
    return (twos * LN_2 + 2 * sum) / LN_10;
}

double decade_up(double x)
{
    double whole = decade_floor(x), fraction = (x - whole) * LN_10, result = 1, term = 1;
    for (int n = 1; n < 30; n++) result += term *= fraction / n;
    for (int64_t i = 0; i < (int64_t)whole; i++) result *= 10;
    for (int64_t i = 0; i > (int64_t)whole; i--) result /= 10;
    return result;
}

double decade_floor(double x)
{
    double whole = (double)(int64_t)x;
    return whole > x ? whole - 1 : whole;
}

double decade_ceil(double x)
{
    return -decade_floor(-x);
}
