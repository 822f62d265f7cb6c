/* SPDX-License-Identifier: MIT */
/* Certificates for tests: an authority, what it signs, and what nobody should accept. */
#ifndef PAWL_TESTS_REDIS_CERTS_H
#define PAWL_TESTS_REDIS_CERTS_H

#define DAY 86400L

typedef struct authority authority;

/* Writes DIR/NAME.pem, for who is to trust it, and beside it a link by which a directory is read.
 */
authority *authority_new(const char *dir, const char *name);
void authority_free(authority *a);

/*
 * Writes DIR/NAME.pem and DIR/NAME.key, valid from so many seconds from now until so many. names
 * as in openssl's subjectAltName: "DNS:localhost,IP:127.0.0.1". by NULL: signed by itself.
 */
void cert_write(const authority *by, const char *dir, const char *name, const char *names,
                long from, long until);

/* DIR/NAME.pem: the certificate of DIR/OF.pem and its key, by a passphrase. */
void cert_lock(const char *dir, const char *of, const char *name);
#endif
