/* SPDX-License-Identifier: MIT */
/*
 * The transport by OpenSSL. Its bytes go through a BIO of ours, because OpenSSL's own would raise
 * SIGPIPE and would not tell an end of the socket from an end that TLS has said.
 *
 * Law 4: a record that has left only in part cannot be read by the server, but OpenSSL does not
 * say how much of it has. So a whole record counts as gone before it is written (`ahead`).
 */
#define _GNU_SOURCE
#include "redis_tls_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const pawl__redis_transport transport;

/* ---- The socket, as OpenSSL sees it ------------------------------------------------------- */

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

static int socket_write(BIO *bio, const char *data, int len)
{
    pawl__redis_tls *tls = BIO_get_data(bio);
    ssize_t n;
    BIO_clear_retry_flags(bio);
    do n = send(tls->carrier.fd, data, (size_t)len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) return (int)n;
    if (is_for_later(errno))
        BIO_set_retry_write(bio);
    else
        tls->socket_error = errno;
    return -1;
}

static int socket_read(BIO *bio, char *buffer, int room)
{
    pawl__redis_tls *tls = BIO_get_data(bio);
    ssize_t n;
    BIO_clear_retry_flags(bio);
    do n = recv(tls->carrier.fd, buffer, (size_t)room, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) return (int)n;
    if (n == 0)
        tls->ended = true;
    else if (is_for_later(errno))
        BIO_set_retry_read(bio);
    else
        tls->socket_error = errno;
    return n == 0 ? 0 : -1;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
    const pawl__redis_tls *tls = BIO_get_data(bio);
    (void)number, (void)pointer;
    if (command == BIO_CTRL_EOF) return tls->ended;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method; /* NULL: no memory for it */
static pthread_once_t socket_method_once = PTHREAD_ONCE_INIT;

/* One for the process: OpenSSL has 127 numbers of methods, and never takes one back. */
static void make_socket_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pawl's socket");
    if (!method) return;
    (void)BIO_meth_set_write(method, socket_write);
    (void)BIO_meth_set_read(method, socket_read);
    (void)BIO_meth_set_ctrl(method, socket_control);
    socket_method = method;
}

/* ---- Settings ------------------------------------------------------------------------------ */

/* A server sends sessions after the handshake, perhaps several. The latest one is kept. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const pawl__redis_tls *tls = SSL_get_app_data(ssl);
    SSL_SESSION_free(tls->settings->session);
    tls->settings->session = session;
    return 1; /* it is ours */
}

/* Keeps the certificate that was not accepted: the reason is told later. */
static int verified(int ok, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    pawl__redis_tls *tls = SSL_get_app_data(ssl);
    X509 *cert = X509_STORE_CTX_get_current_cert(chain);
    if (ok || tls->refused || !cert) return ok;
    (void)X509_up_ref(cert);
    tls->refused = cert;
    return ok;
}

/* Nobody is there to type a passphrase. */
static int no_passphrase(char *buffer, int room, int writing, void *ctx)
{
    (void)buffer, (void)room, (void)writing, (void)ctx;
    return -1;
}

/* Why a file cannot be used, as the system or OpenSSL says it. */
static bool cannot_use(const char *what, const char *file, char *message, size_t room)
{
    unsigned long code = ERR_peek_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    if (ERR_GET_REASON(code) == ERR_R_INTERRUPTED_OR_CANCELLED) /* by no_passphrase */
        reason = "it wants a passphrase, and there is nobody to ask; give a key without one";
    snprintf(message, room, "%s%.150s cannot be used: %s", what, file,
             reason ? reason : "unknown trouble");
    ERR_clear_error();
    return false;
}

static bool load_ca(SSL_CTX *context, const char *ca, char *message, size_t room)
{
    struct stat status;
    ERR_clear_error();
    if (!ca) {
        if (SSL_CTX_set_default_verify_paths(context)) return true;
        return cannot_use("the system's certificates", "", message, room);
    }
    bool directory = stat(ca, &status) == 0 && S_ISDIR(status.st_mode);
    if (directory ? SSL_CTX_load_verify_dir(context, ca) : SSL_CTX_load_verify_file(context, ca))
        return true;
    return cannot_use("tls_ca=", ca, message, room);
}

static bool load_ours(SSL_CTX *context, const pawl__redis_tls_wish *wish, char *message,
                      size_t room)
{
    const char *key = wish->key ? wish->key : wish->cert;
    ERR_clear_error();
    if (!wish->cert) return true;
    if (!SSL_CTX_use_certificate_chain_file(context, wish->cert))
        return cannot_use("tls_cert=", wish->cert, message, room);
    if (!SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM))
        return cannot_use("tls_key=", key, message, room);
    return true;
}

static void close_settings(void *settings)
{
    pawl__redis_tls_settings *s = settings;
    if (!s) return;
    SSL_SESSION_free(s->session);
    SSL_CTX_free(s->context);
    free(s->name);
    free(s);
}

static bool fill_context(SSL_CTX *context, const pawl__redis_tls_wish *wish, char *message,
                         size_t room)
{
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(context,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_verify(context, wish->unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       wish->unverified ? NULL : verified);
    if (!wish->unverified && !load_ca(context, wish->ca, message, room)) return false;
    return load_ours(context, wish, message, room);
}

static bool is_address(const char *name)
{
    unsigned char scratch[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, name, scratch) == 1 || inet_pton(AF_INET6, name, scratch) == 1;
}

static void *open_settings(const pawl__redis_tls_wish *wish, char *reterr_message, size_t room)
{
    /* OpenSSL's exit handler would run before ours, which still releases locks. */
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    pawl__redis_tls_settings *s = calloc(1, sizeof *s);
    snprintf(reterr_message, room, "out of memory");
    if (!s) return NULL;
    s->name = strdup(wish->name);
    s->name_is_address = is_address(wish->name);
    s->unverified = wish->unverified;
    s->has_cert = wish->cert != NULL;
    (void)pthread_once(&socket_method_once, make_socket_method);
    s->context = SSL_CTX_new(TLS_client_method());
    if (s->name && socket_method && s->context &&
        fill_context(s->context, wish, reterr_message, room))
        return s;
    close_settings(s);
    ERR_clear_error();
    return NULL;
}

/* ---- A connection --------------------------------------------------------------------------- */

static pawl__redis_tls *tls_of(pawl__redis_carrier *carrier)
{
    return (pawl__redis_tls *)carrier; /* its first member */
}

static bool expect_name(SSL *ssl, const pawl__redis_tls_settings *settings)
{
    if (settings->name_is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), settings->name) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, settings->name) == 1 &&
           SSL_set_tlsext_host_name(ssl, settings->name) == 1;
}

static bool prepare(pawl__redis_tls *tls)
{
    pawl__redis_tls_settings *settings = tls->settings;
    tls->ssl = SSL_new(settings->context);
    BIO *bio = tls->ssl ? BIO_new(socket_method) : NULL;
    if (!bio) return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_connect_state(tls->ssl);
    if (settings->session && SSL_SESSION_is_resumable(settings->session))
        (void)SSL_set_session(tls->ssl, settings->session);
    return expect_name(tls->ssl, settings);
}

static pawl__redis_carrier *tls_open(int fd, void *settings)
{
    pawl__redis_tls *tls = calloc(1, sizeof *tls);
    if (!tls) return NULL;
    tls->carrier = (pawl__redis_carrier){.transport = &transport, .fd = fd};
    tls->settings = settings;
    if (prepare(tls)) return &tls->carrier;
    ERR_clear_error();
    SSL_free(tls->ssl);
    free(tls);
    return NULL;
}

static bool reach(pawl__redis_carrier *carrier)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(carrier->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) error = errno;
    carrier->reached = error == 0;
    if (carrier->reached) return true;
    carrier->err = PAWL_ERR_UNAVAILABLE;
    snprintf(carrier->trouble, sizeof carrier->trouble, "cannot connect: %s", strerror(error));
    return false;
}

/* The status after a call that did not succeed. */
static pawl__redis_carried wait_or_explain(pawl__redis_tls *tls, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    tls->carrier.want = error == SSL_ERROR_WANT_WRITE ? EV_WRITE : EV_READ;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return PAWL__REDIS_CARRY_WAIT;
    if (error == SSL_ERROR_ZERO_RETURN && tls->ready) return PAWL__REDIS_CARRY_END;
    return pawl__redis_tls_explain(tls);
}

static pawl__redis_carried tls_connect(pawl__redis_carrier *carrier)
{
    pawl__redis_tls *tls = tls_of(carrier);
    if (!carrier->reached && !reach(carrier)) return PAWL__REDIS_CARRY_FAILED;
    ERR_clear_error();
    int result = SSL_connect(tls->ssl);
    if (result != 1) return wait_or_explain(tls, result);
    tls->ready = true;
    /* From here on a record is one read, not its head and then the rest. Not before: what came
     * right behind the handshake would be in OpenSSL, where no socket tells of it. */
    SSL_set_read_ahead(tls->ssl, 1);
    return PAWL__REDIS_CARRIED;
}

/*
 * A record at a time, until OpenSSL holds nothing: of that the socket does not know. What the
 * socket has it will say again, so it is not asked: nearly always it would have nothing.
 */
static pawl__redis_carried tls_read(pawl__redis_carrier *carrier, char *buffer, size_t room,
                                    size_t *ret_count)
{
    pawl__redis_tls *tls = tls_of(carrier);
    *ret_count = 0;
    while (*ret_count < room) {
        size_t n = 0;
        ERR_clear_error();
        int result = SSL_read_ex(tls->ssl, buffer + *ret_count, room - *ret_count, &n);
        if (result != 1) return wait_or_explain(tls, result);
        *ret_count += n;
        if (!SSL_has_pending(tls->ssl)) break; /* nor a part of a record */
    }
    return PAWL__REDIS_CARRIED;
}

static pawl__redis_carried tls_write(pawl__redis_carrier *carrier, const char *data, size_t len,
                                     size_t *ret_count)
{
    pawl__redis_tls *tls = tls_of(carrier);
    ERR_clear_error();
    int result = SSL_write_ex(tls->ssl, data, len, ret_count);
    return result == 1 ? PAWL__REDIS_CARRIED : wait_or_explain(tls, result);
}

static void tls_describe(const pawl__redis_carrier *carrier, char *ret_text, size_t room)
{
    const pawl__redis_tls *tls = (const pawl__redis_tls *)carrier;
    snprintf(ret_text, room, "%s, %s%s", SSL_get_version(tls->ssl), SSL_get_cipher_name(tls->ssl),
             SSL_session_reused(tls->ssl) ? ", a resumed session" : "");
}

static bool tls_cert_left(const pawl__redis_carrier *carrier, int64_t *ret_left_s)
{
    const pawl__redis_tls *tls = (const pawl__redis_tls *)carrier;
    X509 *cert = SSL_get1_peer_certificate(tls->ssl);
    int days = 0, seconds = 0;
    bool known = cert && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) == 1;
    X509_free(cert);
    ERR_clear_error();
    *ret_left_s = (int64_t)days * 86400 + seconds;
    return known;
}

static void tls_close(pawl__redis_carrier *carrier, bool forget)
{
    pawl__redis_tls *tls = tls_of(carrier);
    ERR_clear_error();
    if (!forget && tls->ready && !tls->ended && !tls->socket_error) (void)SSL_shutdown(tls->ssl);
    /* Keeps the session of a connection that was cut, so that the next handshake is quicker. */
    SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(tls->ssl);
    X509_free(tls->refused);
    ERR_clear_error();
    if (!forget) (void)shutdown(carrier->fd, SHUT_WR);
    close(carrier->fd);
    free(tls);
}

static const pawl__redis_transport transport = {.ahead = PAWL__REDIS_TLS_RECORD,
                                                .open = tls_open,
                                                .connect = tls_connect,
                                                .read = tls_read,
                                                .write = tls_write,
                                                .describe = tls_describe,
                                                .cert_left = tls_cert_left,
                                                .close = tls_close};

PAWL_API extern const pawl__redis_tls_ops pawl_redis_tls_entry;
const pawl__redis_tls_ops pawl_redis_tls_entry = {.abi = PAWL__REDIS_TLS_ABI,
                                                  .transport = &transport,
                                                  .open = open_settings,
                                                  .close = close_settings};
