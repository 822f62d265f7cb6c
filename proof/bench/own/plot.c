/* SPDX-License-Identifier: MIT */
/*
 * Two panels on one sheet. Above, how long an acquisition takes: the share of them on a scale
 * that gives each further nine as much room as the one before, the time on a logarithmic one.
 * Below, how many there are per second, by the number of clients that want the lock.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report.h"

#define WIDTH          1016
#define HEIGHT         880
#define LEFT           84
#define RIGHT          700 /* of the panels; beside them the legend */
#define LEGEND         730
#define UPPER_TOP      136
#define UPPER_BOTTOM   480
#define LOWER_TOP      588
#define LOWER_BOTTOM   810
#define JAIN           944 /* where its column ends */
#define COMMANDS       990
#define NINES_MAX      5   /* 99.999 % */
#define POINTS         200 /* of a curve */
#define CONTENDED_MOST 4   /* curves of contention in the upper panel */
#define LEGEND_LINE    42

typedef struct curve {
    const bench_result *result;
    const char *color;
    double p99_ns;
} curve;

/* ---- Ink ---------------------------------------------------------------------------- */

static void put_text(FILE *file, double x, double y, const char *style, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, style);
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        default:
            /* XML has no control characters, and a URL may hold any byte. */
            fputc((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e ? '?' : *text, file);
        }
    }
    fputs("</text>\n", file);
}

static void put_line(FILE *file, double x1, double y1, double x2, double y2, const char *style)
{
    fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1,
            x2, y2, style);
}

static void put_dot(FILE *file, double x, double y, double radius, const char *color)
{
    fprintf(file,
            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" stroke=\"#fff\" "
            "stroke-width=\"1.5\"/>\n",
            x, y, radius, color);
}

/* 1234567 as "1 234 567", with thin gaps for the eye. */
static const char *grouped(double value, char buf[40])
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%.0f", value), at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) buf[at++] = ' ';
        buf[at++] = digits[i];
    }
    buf[at] = '\0';
    return buf;
}

static const char *time_text(double ns, char buf[32])
{
    if (ns < 999.5) {
        snprintf(buf, 32, "%.3g ns", ns);
    } else if (ns < 999.5e3) {
        snprintf(buf, 32, "%.3g us", ns / 1e3);
    } else if (ns < 999.5e6) {
        snprintf(buf, 32, "%.3g ms", ns / 1e6);
    } else {
        snprintf(buf, 32, "%.3g s", ns / 1e9);
    }
    return buf;
}

static void put_head(const bench_report *report, FILE *file)
{
    char date[32] = "", line[512];
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local)) strftime(date, sizeof date, "%Y-%m-%d", &local);
    fprintf(
        file,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
        "height=\"%d\" font-family=\"'DejaVu Sans', Verdana, sans-serif\">\n"
        "<style>text{fill:#3c4043;font-size:13px}.title{font-size:21px;font-weight:bold;"
        "fill:#202124}.panel{font-size:15px;font-weight:bold;fill:#202124}.small{font-size:12px;"
        "fill:#5f6368}.left{text-anchor:end}.mid{text-anchor:middle}.value{text-anchor:middle;"
        "font-size:12px;fill:#202124;paint-order:stroke;stroke:#fff;"
        "stroke-width:5px}.grid{stroke:#e4e7eb}.axis{stroke:#9aa0a6}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(file, 32, 44, "title", "pawl bench");
    snprintf(line, sizeof line, "%s, %s, pawl %s, %.3g s each%s", report->store, date,
             pawl_version(), (double)report->setup->duration_ms / 1000,
             report->interrupted ? " (interrupted)" : "");
    put_text(file, 32, 68, "small", line);
}

/* ---- The upper panel: how long an acquisition takes ------------------------------------ */

typedef struct scale {
    double low, high; /* powers of ten of ns */
    double nines;
} scale;

static double x_of(const scale *s, double nines)
{
    return LEFT + (RIGHT - LEFT) * nines / s->nines;
}

static double y_of(const scale *s, double ns)
{
    double share = (log10(fmax(ns, 1)) - s->low) / (s->high - s->low);
    return UPPER_BOTTOM - (UPPER_BOTTOM - UPPER_TOP) * fmin(fmax(share, 0), 1);
}

/* As many nines as there are samples for; the last step is the largest sample. */
static double nines_of(const bench_result *r)
{
    return fmin(log10((double)r->waits.count + 1), NINES_MAX);
}

static double at_nines(const bench_result *r, double nines)
{
    if (nines >= nines_of(r)) return (double)r->waits.max_ns;
    return (double)histogram_quantile(&r->waits, 1 - pow(10, -nines));
}

static scale scale_of(const curve *curves, int count)
{
    scale s = {.low = 9, .high = 0, .nines = 2};
    for (int i = 0; i < count; i++) {
        s.low = fmin(s.low, floor(log10(fmax(at_nines(curves[i].result, 0.05), 1))));
        s.high = fmax(s.high, ceil(log10(fmax((double)curves[i].result->waits.max_ns, 10))));
        s.nines = fmax(s.nines, nines_of(curves[i].result));
    }
    if (s.high <= s.low) s.high = s.low + 1;
    return s;
}

static void put_upper_grid(const scale *s, FILE *file)
{
    static const char *const shares[] = {"90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"};
    char text[32];
    for (int i = 0; i <= s->high - s->low; i++) {
        double power = s->low + i, y = y_of(s, pow(10, power));
        put_line(file, LEFT, y, RIGHT, y, i == 0 ? "axis" : "grid");
        put_text(file, LEFT - 10, y + 4, "left", time_text(pow(10, power), text));
    }
    put_line(file, LEFT, UPPER_TOP, LEFT, UPPER_BOTTOM, "grid");
    double half = x_of(s, log10(2));
    put_line(file, half, UPPER_TOP, half, UPPER_BOTTOM, "grid");
    put_text(file, half, UPPER_BOTTOM + 20, "mid", "50 %");
    for (int i = 0; i < NINES_MAX && i + 1 <= s->nines; i++) {
        double x = x_of(s, i + 1);
        put_line(file, x, UPPER_TOP, x, UPPER_BOTTOM, "grid");
        put_text(file, x, UPPER_BOTTOM + 20, "mid", shares[i]);
    }
    put_text(file, (LEFT + RIGHT) / 2.0, UPPER_BOTTOM + 42, "small mid",
             "share of the acquisitions that took no longer");
}

static void put_curve(const scale *s, const curve *c, FILE *file)
{
    double end = nines_of(c->result);
    fprintf(file,
            "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.2\" stroke-linejoin=\"round\" "
            "points=\"",
            c->color);
    for (int i = 0; i <= POINTS; i++) {
        double nines = end * i / POINTS;
        fprintf(file, "%.1f,%.1f ", x_of(s, nines), y_of(s, at_nines(c->result, nines)));
    }
    fputs("\"/>\n", file);
    put_dot(file, x_of(s, end), y_of(s, (double)c->result->waits.max_ns), 4, c->color);
}

/* The slowest on top, as the curves lie; with what most people look for. */
static void put_legend(const curve *curves, int count, FILE *file)
{
    char title[BENCH_TITLE_MAX], line[96], half[32], late[32];
    double step = fmin(LEGEND_LINE, (UPPER_BOTTOM - UPPER_TOP) / (double)(count ? count : 1));
    for (int i = 0; i < count; i++) {
        const bench_result *r = curves[i].result;
        double y = UPPER_TOP + 10 + step * i;
        fprintf(file,
                "<rect x=\"%d\" y=\"%.1f\" width=\"18\" height=\"4\" rx=\"2\" fill=\"%s\"/>\n",
                LEGEND, y - 6, curves[i].color);
        put_text(file, LEGEND + 26, y, "label", bench_phase_title(&r->phase, title));
        if (step < 30) continue;
        snprintf(line, sizeof line, "p50 %s, p99 %s",
                 time_text((double)histogram_quantile(&r->waits, 0.5), half),
                 time_text((double)histogram_quantile(&r->waits, 0.99), late));
        put_text(file, LEGEND + 26, y + 16, "small", line);
    }
}

static int slower_first(const void *a, const void *b)
{
    double left = ((const curve *)a)->p99_ns, right = ((const curve *)b)->p99_ns;
    return left < right ? 1 : left > right ? -1 : 0;
}

/* Every measurement, but of a long row of contended ones only some: they look alike. */
static int choose_curves(const bench_report *report, curve *ret_curves)
{
    static const char *const blues[CONTENDED_MOST] = {"#9ecae1", "#6baed6", "#3182bd", "#08519c"};
    static const char *const colors[BENCH_KINDS] = {
        [BENCH_UNCONTENDED] = "#202124", [BENCH_CACHED] = "#1a9850",  [BENCH_THREADS] = "#e08214",
        [BENCH_NAMES] = "#b5338a",       [BENCH_READERS] = "#3690c0", [BENCH_PERMITS] = "#8c6d31",
        [BENCH_SEVERAL] = "#7b4173",
    };
    int contended = 0, seen = 0, count = 0;
    for (int i = 0; i < report->count; i++) {
        contended += report->results[i].phase.kind == BENCH_CONTENDED;
    }
    for (int i = 0; i < report->count; i++) {
        const bench_result *r = &report->results[i];
        const char *color = colors[r->phase.kind];
        if (r->phase.kind == BENCH_CONTENDED) {
            int behind = contended - ++seen;
            if (behind >= CONTENDED_MOST) continue;
            color = blues[CONTENDED_MOST - 1 - behind];
        }
        if (!r->waits.count) continue;
        ret_curves[count++] = (curve){r, color, (double)histogram_quantile(&r->waits, 0.99)};
    }
    qsort(ret_curves, (size_t)count, sizeof *ret_curves, slower_first);
    return count;
}

static void put_upper(const bench_report *report, FILE *file)
{
    curve *curves = calloc((size_t)report->count + 1, sizeof *curves);
    if (!curves) return;
    int count = choose_curves(report, curves);
    scale s = scale_of(curves, count);
    put_text(file, 32, UPPER_TOP - 18, "panel", "Time from asking to holding");
    put_upper_grid(&s, file);
    for (int i = 0; i < count; i++) put_curve(&s, &curves[i], file);
    put_legend(curves, count, file);
    free(curves);
}

/* ---- The lower panel: how many per second ------------------------------------------------ */

/* 1, 2 or 5 times a power of ten: at least `least`. */
static double round_step(double least)
{
    double power = pow(10, floor(log10(fmax(least, 1))));
    static const double steps[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++) {
        if (steps[i] * power >= least) return steps[i] * power;
    }
    return 10 * power;
}

static void put_lower_grid(double step, double top, FILE *file)
{
    char text[40];
    for (int i = 0; i * step <= top + step / 2; i++) {
        double value = i * step;
        double y = LOWER_BOTTOM - (LOWER_BOTTOM - LOWER_TOP) * value / top;
        put_line(file, LEFT, y, RIGHT, y, i == 0 ? "axis" : "grid");
        put_text(file, LEFT - 10, y + 4, "left", grouped(value, text));
    }
    put_text(file, (LEFT + RIGHT) / 2.0, LOWER_BOTTOM + 42, "small mid",
             "clients that want the key");
}

static bool is_by_clients(const bench_result *r)
{
    return r->phase.kind == BENCH_UNCONTENDED || r->phase.kind == BENCH_CONTENDED;
}

static void put_lower(const bench_report *report, FILE *file)
{
    static const char color[] = "#3182bd";
    char text[40];
    double most = 0;
    int count = 0, at = 0;
    for (int i = 0; i < report->count; i++) {
        if (!is_by_clients(&report->results[i])) continue;
        most = fmax(most, bench_per_second(&report->results[i]));
        count++;
    }
    put_text(file, 32, LOWER_TOP - 26, "panel", "Acquisitions per second, by number of clients");
    double step = round_step(most / 4), top = step * ceil(most * 1.02 / step);
    if (most <= 0) return;
    put_lower_grid(step, top, file);
    double x_before = 0, y_before = 0;
    for (int pass = 0; pass < 2; pass++, at = 0) { /* the dots over the lines */
        for (int i = 0; i < report->count; i++) {
            const bench_result *r = &report->results[i];
            if (!is_by_clients(r)) continue;
            double x = LEFT + (RIGHT - LEFT) * (at + 0.5) / count;
            double y = LOWER_BOTTOM - (LOWER_BOTTOM - LOWER_TOP) * bench_per_second(r) / top;
            if (pass == 0 && at) {
                fprintf(file,
                        "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
                        "stroke-width=\"2.2\"/>\n",
                        x_before, y_before, x, y, color);
            } else if (pass == 1) {
                put_dot(file, x, y, 5, at ? color : "#202124");
                put_text(file, x, y - 12, "value", grouped(bench_per_second(r), text));
                snprintf(text, sizeof text, "%d", r->phase.threads);
                put_text(file, x, LOWER_BOTTOM + 20, "mid", text);
            }
            x_before = x;
            y_before = y;
            at++;
        }
    }
}

/* Beside the lower panel: figures that the panels cannot show. */
static void put_notes(const bench_report *report, FILE *file)
{
    double y = LOWER_TOP + 4;
    char text[16], title[BENCH_TITLE_MAX];
    put_text(file, LEGEND, y, "label", "Fairness, and commands");
    put_text(file, LEGEND, y + 17, "label", "per acquisition");
    put_text(file, JAIN, y + 17, "small left", "Jain");
    put_text(file, COMMANDS, y + 17, "small left", "cmds");
    y += 42;
    for (int i = 0; i < report->count && y < LOWER_BOTTOM + 44; i++, y += 18) {
        const bench_result *r = &report->results[i];
        put_text(file, LEGEND, y, "small", bench_phase_title(&r->phase, title));
        snprintf(text, sizeof text, "%.3f", r->jain);
        put_text(file, JAIN, y, "small left", r->phase.threads > 1 ? text : "-");
        snprintf(text, sizeof text, "%.2f", r->commands);
        put_text(file, COMMANDS, y, "small left", r->commands >= 0 ? text : "-");
    }
}

void bench_plot(const bench_report *report, FILE *file)
{
    put_head(report, file);
    put_upper(report, file);
    put_lower(report, file);
    put_notes(report, file);
    fputs("</svg>\n", file);
}
