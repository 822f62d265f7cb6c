/* SPDX-License-Identifier: MIT */
/* Metrics for the textfile collector of Prometheus' node exporter. */
#include "metrics_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "message.h"
#include "whole_file.h"

int cli_metrics_open(const char *pattern, pawl_metrics **ret_metrics)
{
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = &pattern;
    opts.class_count = pattern ? 1 : 0;
    int err = pawl_metrics_new(&opts, ret_metrics);
    if (!err) return 0;
    cli_error("run: --metrics-class: expected 1 to %d printable ASCII characters [%s]",
              PAWL_METRICS_CLASS_MAX, pawl_err_name(err));
    return cli_exit_of_err(err);
}

typedef struct page {
    char *text;
    size_t len;
} page;

static bool append(const char *text, size_t len, void *userdata)
{
    page *p = userdata;
    char *longer = realloc(p->text, p->len + len);
    if (!longer) return false;
    memcpy(longer + p->len, text, len);
    p->text = longer;
    p->len += len;
    return true;
}

char *cli_metrics_text(const pawl_metrics *metrics, size_t *ret_len)
{
    page p = {.text = NULL};
    if (pawl_metrics_write(metrics, append, &p) != PAWL_OK) {
        free(p.text);
        errno = ENOMEM;
        return NULL;
    }
    *ret_len = p.len;
    return p.text;
}

void cli_metrics_write(const pawl_metrics *metrics, const char *path)
{
    size_t len = 0;
    char *text = cli_metrics_text(metrics, &len);
    bool fine = text && cli_whole_file_write(path, text, len);
    int why = errno;
    free(text);
    if (fine) return;
    char *safe = cli_escape(path, strlen(path));
    cli_warn("cannot write the metrics file %s: %s", safe, cli_whole_file_reason(why));
    free(safe);
}
