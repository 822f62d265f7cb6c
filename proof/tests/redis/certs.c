/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "certs.h"

#include "../support/check.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct authority {
    X509 *cert;
    EVP_PKEY *key;
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(extension && X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static X509 *new_cert(EVP_PKEY *key, const char *name, long from, long until)
{
    static atomic_int serial;
    X509 *cert = X509_new();
    CHECK(cert && X509_set_version(cert, 2) && X509_set_pubkey(cert, key));
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial));
    CHECK(X509_gmtime_adj(X509_getm_notBefore(cert), from) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(cert), until) != NULL);
    CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0));
    return cert;
}

static void sign(X509 *cert, X509 *issuer, EVP_PKEY *key)
{
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer)));
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
}

static FILE *create(const char *dir, const char *name, const char *ending)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.%s", dir, name, ending);
    FILE *file = fopen(path, "we");
    CHECK(file != NULL);
    return file;
}

static void write_cert(X509 *cert, const char *dir, const char *name)
{
    FILE *file = create(dir, name, "pem");
    CHECK(PEM_write_X509(file, cert));
    CHECK(fclose(file) == 0);
}

authority *authority_new(const char *dir, const char *name)
{
    authority *a = calloc(1, sizeof(*a));
    CHECK(a && (a->key = EVP_EC_gen("P-256")) != NULL);
    a->cert = new_cert(a->key, name, -DAY, DAY);
    add_extension(a->cert, a->cert, NID_basic_constraints, "critical,CA:TRUE");
    sign(a->cert, a->cert, a->key);
    write_cert(a->cert, dir, name);
    char link[512], file[300];
    snprintf(link, sizeof(link), "%s/%08lx.0", dir, X509_subject_name_hash(a->cert));
    snprintf(file, sizeof(file), "%s.pem", name);
    CHECK(symlink(file, link) == 0);
    return a;
}

void authority_free(authority *a)
{
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
    free(a);
}

void cert_write(const authority *by, const char *dir, const char *name, const char *names,
                long from, long until)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    CHECK(key != NULL);
    X509 *cert = new_cert(key, name, from, until);
    add_extension(cert, by ? by->cert : cert, NID_subject_alt_name, names);
    sign(cert, by ? by->cert : cert, by ? by->key : key);
    write_cert(cert, dir, name);
    FILE *file = create(dir, name, "key");
    CHECK(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    CHECK(fclose(file) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void cert_lock(const char *dir, const char *of, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.key", dir, of);
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    CHECK(key && fclose(file) == 0);
    snprintf(path, sizeof(path), "%s/%s.pem", dir, of);
    file = fopen(path, "re");
    X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
    CHECK(cert && fclose(file) == 0);
    file = create(dir, name, "pem");
    CHECK(PEM_write_X509(file, cert));
    CHECK(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL));
    CHECK(fclose(file) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
}
