/* SPDX-License-Identifier: MIT */
/*
 * What etcd's wire costs: a put with a lease and a delete, one write each, by libcurl over one
 * connection that stays. No lock, nobody waits: the bound of whoever speaks that way.
 *
 *     gateway:HOST:PORT   JSON over HTTP/1.1, etcd's gateway, as pawl speaks
 */
#include <curl/curl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"

#define BODY_MAX   256
#define ANSWER_MAX 4096

typedef struct gateway_connection {
    CURL *easy;
    char host[BODY_MAX];
    struct curl_slist *headers;
    int64_t lease;
    size_t used;
    char answer[ANSWER_MAX];
} gateway_connection;

typedef struct gateway_lock {
    gateway_connection *c;
    size_t put_len, delete_len;
    char put[BODY_MAX], delete[BODY_MAX];
} gateway_lock;

/* ---- Requests -------------------------------------------------------------------------------- */

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    gateway_connection *c = arg;
    size_t len = size * count;
    if (c->used + len >= ANSWER_MAX) return 0;
    memcpy(c->answer + c->used, bytes, len);
    c->used += len;
    return len;
}

static void post(gateway_connection *c, const char *path, const char *body, size_t len)
{
    char url[2 * BODY_MAX];
    long status = 0;
    snprintf(url, sizeof url, "http://%s%s", c->host, path);
    c->used = 0;
    curl_easy_setopt(c->easy, CURLOPT_URL, url);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE, (long)len);
    CURLcode rc = curl_easy_perform(c->easy);
    if (rc != CURLE_OK) bench_die("%s: %s", url, curl_easy_strerror(rc));
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    c->answer[c->used] = '\0';
    if (status != 200) bench_die("%s: status %ld: %s", url, status, c->answer);
}

static const char *host_of(const char *url)
{
    if (strncmp(url, "gateway:", 8) != 0) bench_die("the URL is gateway:HOST:PORT");
    return url + 8;
}

static void *gateway_connect(const bench_args *args)
{
    static const char grant[] = "{\"TTL\":\"600\"}", id[] = "\"ID\":\"";
    gateway_connection *c = calloc(1, sizeof *c);
    if (!c) bench_die("out of memory");
    snprintf(c->host, sizeof c->host, "%s", host_of(args->url));
    c->easy = curl_easy_init();
    c->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (!c->easy || !c->headers) bench_die("out of memory");
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    post(c, "/v3/lease/grant", grant, sizeof grant - 1);
    const char *found = strstr(c->answer, id);
    if (!found) bench_die("no lease: %s", c->answer);
    c->lease = strtoll(found + sizeof id - 1, NULL, 10);
    return c;
}

/* ---- Bodies ---------------------------------------------------------------------------------- */

static size_t base64(const char *text, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t len = strlen(text), used = 0;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = (uint32_t)(unsigned char)text[i] << 16;
        if (i + 1 < len) three |= (uint32_t)(unsigned char)text[i + 1] << 8;
        if (i + 2 < len) three |= (uint32_t)(unsigned char)text[i + 2];
        ret_text[used++] = digits[three >> 18];
        ret_text[used++] = digits[three >> 12 & 63];
        ret_text[used++] = i + 1 < len ? digits[three >> 6 & 63] : '=';
        ret_text[used++] = i + 2 < len ? digits[three & 63] : '=';
    }
    ret_text[used] = '\0';
    return used;
}

static void *gateway_lock_new(void *connection, const char *name)
{
    char key[BODY_MAX];
    gateway_lock *l = calloc(1, sizeof *l);
    if (!l) bench_die("out of memory");
    l->c = connection;
    base64(name, key);
    l->put_len = (size_t)snprintf(l->put, sizeof l->put,
                                  "{\"key\":\"%s\",\"value\":\"b3duZXI=\",\"lease\":\"%lld\"}", key,
                                  (long long)l->c->lease);
    l->delete_len = (size_t)snprintf(l->delete, sizeof l->delete, "{\"key\":\"%s\"}", key);
    return l;
}

static void gateway_acquire(void *lock)
{
    gateway_lock *l = lock;
    post(l->c, "/v3/kv/put", l->put, l->put_len);
}

static void gateway_release(void *lock)
{
    gateway_lock *l = lock;
    post(l->c, "/v3/kv/deleterange", l->delete, l->delete_len);
}

int main(int argc, char **argv)
{
    static const bench_driver driver = {
        .name = "gateway",
        .connect = gateway_connect,
        .lock = gateway_lock_new,
        .acquire = gateway_acquire,
        .release = gateway_release,
    };
    return bench_main(&driver, argc, argv);
}
