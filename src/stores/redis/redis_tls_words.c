/* SPDX-License-Identifier: MIT */
/* What each failure means, in a sentence that says what to do. */
#define _GNU_SOURCE
#include "redis_tls_inside.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAMES_MAX 160 /* bytes of the names in a certificate that a sentence quotes */

__attribute__((format(printf, 3, 4))) static pawl__redis_carried
say(pawl__redis_tls *tls, pawl_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tls->carrier.err = err;
    vsnprintf(tls->carrier.trouble, sizeof tls->carrier.trouble, format, args);
    va_end(args);
    return PAWL__REDIS_CARRY_FAILED;
}

/* ---- The server's certificate ---------------------------------------------------------------- */

static void show_time(const ASN1_TIME *time, char *ret_text, size_t room)
{
    struct tm when;
    if (!time || !ASN1_TIME_to_tm(time, &when) ||
        strftime(ret_text, room, "%Y-%m-%d %H:%M:%S UTC", &when) == 0)
        snprintf(ret_text, room, "a time that cannot be read");
}

/* A host's name or an address; "" if it is neither. */
static void show_name(const GENERAL_NAME *entry, char *ret_text, size_t room)
{
    if (entry->type == GEN_DNS) {
        const ASN1_STRING *name = entry->d.dNSName;
        snprintf(ret_text, room, "%.*s", ASN1_STRING_length(name),
                 (const char *)ASN1_STRING_get0_data(name));
    } else if (entry->type == GEN_IPADD) {
        const ASN1_STRING *address = entry->d.iPAddress;
        int family = ASN1_STRING_length(address) == 16 ? AF_INET6 : AF_INET;
        if (family == AF_INET6 || ASN1_STRING_length(address) == 4)
            (void)inet_ntop(family, ASN1_STRING_get0_data(address), ret_text, (socklen_t)room);
    }
}

/* The names of hosts and addresses that it is for: "a, b". */
static void show_names(X509 *cert, char *ret_text, size_t room)
{
    size_t n = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    ret_text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && n < room; i++) {
        char name[NAMES_MAX] = "";
        show_name(sk_GENERAL_NAME_value(names, i), name, sizeof name);
        if (name[0]) n += (size_t)snprintf(ret_text + n, room - n, "%s%s", n ? ", " : "", name);
    }
    GENERAL_NAMES_free(names);
    if (!ret_text[0]) snprintf(ret_text, room, "something else");
}

static pawl__redis_carried explain_name(pawl__redis_tls *tls, X509 *cert)
{
    char names[NAMES_MAX];
    show_names(cert, names, sizeof names);
    return say(tls, PAWL_ERR_TLS,
               "the server's certificate is for %s, not for %.60s; connect by that name, or say "
               "which one to expect (tls_name=)",
               names, tls->settings->name);
}

static pawl__redis_carried explain_cert(pawl__redis_tls *tls, long verdict)
{
    X509 *cert = tls->refused;
    char when[40] = "";
    switch (verdict) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        show_time(cert ? X509_get0_notAfter(cert) : NULL, when, sizeof when);
        return say(tls, PAWL_ERR_TLS,
                   "the server's certificate, or one that signed it, has expired (%s); renew it",
                   when);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        show_time(cert ? X509_get0_notBefore(cert) : NULL, when, sizeof when);
        return say(
            tls, PAWL_ERR_TLS,
            "the server's certificate is not yet valid (from %s on); is this machine's clock "
            "right?",
            when);
    case X509_V_ERR_OUT_OF_MEM:
        return say(tls, PAWL_ERR_UNAVAILABLE, "out of memory");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        if (cert) return explain_name(tls, cert);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return say(tls, PAWL_ERR_TLS,
                   "the server's certificate is signed by itself; if it is the right one, name it "
                   "with tls_ca=");
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return say(tls, PAWL_ERR_TLS,
                   "the server's certificate was signed by an authority that is not known here; "
                   "name that authority's certificate with tls_ca=");
    default:
        break;
    }
    return say(tls, PAWL_ERR_TLS, "the server's certificate is refused: %s",
               X509_verify_cert_error_string(verdict));
}

/* ---- What the server said ---------------------------------------------------------------------
 */

static pawl__redis_carried explain_refusal(pawl__redis_tls *tls, int reason, const char *words)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_HTTP_REQUEST:
        if (tls->ready) break;
        return say(tls, PAWL_ERR_TLS,
                   "what listens there does not speak TLS; give its TLS port, or write redis:// "
                   "instead of rediss://");
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return say(tls, PAWL_ERR_TLS,
                   "the server wants a client certificate; give one with tls_cert= and tls_key=");
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        if (tls->settings->has_cert) break;
        return say(tls, PAWL_ERR_TLS,
                   "the server ended the handshake; perhaps it wants a client certificate "
                   "(tls_cert=, tls_key=)");
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
        return say(tls, PAWL_ERR_TLS, "the server refused our client certificate (tls_cert=): %s",
                   words);
    case SSL_R_TLSV1_ALERT_INTERNAL_ERROR:
    case SSL_R_TLSV1_ALERT_USER_CANCELLED:
        return say(tls, PAWL_ERR_UNAVAILABLE, "the server gave up the TLS handshake: %s", words);
    case ERR_R_MALLOC_FAILURE:
        return say(tls, PAWL_ERR_UNAVAILABLE, "out of memory");
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
        return say(tls, PAWL_ERR_TLS,
                   "the server and pawl have no version of TLS in common; pawl speaks 1.2 and 1.3");
    default:
        break;
    }
    return say(tls, tls->ready ? PAWL_ERR_UNAVAILABLE : PAWL_ERR_TLS, "TLS failed: %s", words);
}

static pawl__redis_carried explain_end(pawl__redis_tls *tls)
{
    if (tls->ready)
        return say(tls, PAWL_ERR_UNAVAILABLE,
                   "the connection was cut: it ended without the word by which TLS ends");
    return say(tls, PAWL_ERR_UNAVAILABLE,
               "the server closed the connection during the TLS handshake; is this its TLS port?");
}

/* The end of the connection by close_notify, which is no error to OpenSSL. */
static bool has_ended(const pawl__redis_tls *tls)
{
    return SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN;
}

/* An alert of the server says more than the end of the connection after it. */
static pawl__redis_carried explain(pawl__redis_tls *tls)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    const char *words = ERR_reason_error_string(code);
    long verdict = SSL_get_verify_result(tls->ssl);
    bool said = code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL &&
                reason != SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (code != 0 && reason == ERR_R_MALLOC_FAILURE) return explain_refusal(tls, reason, "");
    if (!tls->ready && !tls->settings->unverified && verdict != X509_V_OK)
        return explain_cert(tls, verdict);
    if (said) return explain_refusal(tls, reason, words ? words : "unknown trouble");
    if (tls->socket_error)
        return say(tls, PAWL_ERR_UNAVAILABLE, "the connection broke: %s",
                   strerror(tls->socket_error));
    if (tls->ended || has_ended(tls)) return explain_end(tls);
    return explain_refusal(tls, reason, words ? words : "unknown trouble");
}

pawl__redis_carried pawl__redis_tls_explain(pawl__redis_tls *tls)
{
    pawl__redis_carried failed = explain(tls);
    ERR_clear_error(); /* the error queue belongs to the thread: the program may read it */
    return failed;
}
