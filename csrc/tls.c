/* TLS as a client: whom to trust, which versions and ciphers, sessions kept for resumption, refusals in one line.
 *
 * Problem: a certificate that is refused must say why (wrong host, expired, self-signed, unknown authority are four
 * different calls to four different people), and OpenSSL says it in a callback, a code and an error queue.
 * What must stay true: verification is on and cannot be switched off; a session is resumed only for the host name it
 * was made with; a TLS 1.3 ticket is used once. */
#define _GNU_SOURCE
#include "ae_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { AE_SESSIONS = 16 };

struct ae_tls {
    SSL_CTX *context;
    pthread_mutex_t lock; /* of the sessions: feed's thread and Python's may share the context */
    uint32_t next;
    SSL_SESSION *session[AE_SESSIONS];
    char host[AE_SESSIONS][AE_HOST_BYTES];
};

/* AES-128-GCM first: one block cipher pass is all the hot path pays for. TLS 1.2 only with forward secrecy. */
static const char *const SUITES_13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char *const SUITES_12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                     "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                     "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const unsigned char ALPN[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

void ae_tls_reason(char *to, size_t room)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    snprintf(to, room, "%s", text ? text : "no reason given");
    ERR_clear_error();
}

/* Append printable ASCII of a foreign text; anything else becomes '?', so that a certificate cannot forge log lines. */
static void append(char *to, size_t room, const char *text, size_t bytes)
{
    size_t at = strlen(to);
    for (size_t i = 0; i < bytes && at + 1 < room; i++)
        to[at++] = (text[i] >= ' ' && text[i] <= '~') ? text[i] : '?';
    to[at] = 0;
}

/* The names a certificate is for, comma-separated; its subject's common name where it has none. */
static void names_of(X509 *cert, char *to, size_t room)
{
    to[0] = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char address[INET6_ADDRSTRLEN] = "";
        const char *text = address;
        size_t bytes;
        if (name->type == GEN_DNS) {
            text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
            bytes = (size_t)ASN1_STRING_length(name->d.dNSName);
        } else if (name->type == GEN_IPADD) {
            int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
            if (family == AF_INET6 && ASN1_STRING_length(name->d.iPAddress) != 16)
                continue;
            inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), address, sizeof address);
            bytes = strlen(address);
        } else {
            continue;
        }
        if (to[0])
            append(to, room, ", ", 2);
        append(to, room, text, bytes);
    }
    GENERAL_NAMES_free(names);
    if (!to[0]) {
        char common[128] = "nobody";
        X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, common, sizeof common);
        append(to, room, common, strlen(common));
    }
}

static void date_of(const ASN1_TIME *when, char *to, size_t room)
{
    BIO *memory = BIO_new(BIO_s_mem());
    int got = memory && ASN1_TIME_print(memory, when) ? BIO_read(memory, to, (int)room - 1) : 0;
    to[got > 0 ? got : 0] = 0;
    BIO_free(memory);
}

/* OpenSSL's verdict on one certificate of the chain; a refusal is put into words and stands. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    if (ok)
        return 1;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    ae_tls_peer_t *peer = ssl ? SSL_get_app_data(ssl) : NULL;
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    if (!peer || peer->refused[0])
        return 0;
    char detail[160] = "";
    int code = X509_STORE_CTX_get_error(store);
    const char *what = X509_verify_cert_error_string(code);
    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        what = "wrong host name: the certificate is for ";
        if (cert)
            names_of(cert, detail, sizeof detail);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        what = "the certificate expired on ";
        if (cert)
            date_of(X509_get0_notAfter(cert), detail, sizeof detail);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        what = "the certificate is not valid before ";
        if (cert)
            date_of(X509_get0_notBefore(cert), detail, sizeof detail);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        what = "the certificate is self-signed";
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        what = "the certificate's authority is not trusted";
        break;
    default:
        break;
    }
    snprintf(peer->refused, sizeof peer->refused, "%s%s", what, detail);
    return 0;
}

/* A server gave a session: the newest of a host replaces its older one. 1: the reference is ours now. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const ae_tls_peer_t *peer = SSL_get_app_data(ssl);
    ae_tls_t *tls = peer->tls;
    pthread_mutex_lock(&tls->lock);
    uint32_t at = AE_SESSIONS;
    for (uint32_t i = 0; i < AE_SESSIONS; i++)
        if (tls->host[i][0] && strcmp(tls->host[i], peer->host) == 0)
            at = i;
    if (at == AE_SESSIONS) {
        at = tls->next++ % AE_SESSIONS;
        memcpy(tls->host[at], peer->host, AE_HOST_BYTES);
    }
    SSL_SESSION *old = tls->session[at];
    tls->session[at] = session;
    pthread_mutex_unlock(&tls->lock);
    SSL_SESSION_free(old);
    return 1;
}

static void resume(SSL *ssl, const ae_tls_peer_t *peer)
{
    ae_tls_t *tls = peer->tls;
    pthread_mutex_lock(&tls->lock);
    for (uint32_t i = 0; i < AE_SESSIONS; i++) {
        SSL_SESSION *session = tls->session[i];
        if (!session || strcmp(tls->host[i], peer->host) != 0)
            continue;
        SSL_set_session(ssl, session);
        if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
            tls->session[i] = NULL;
            SSL_SESSION_free(session);
        }
    }
    pthread_mutex_unlock(&tls->lock);
}

SSL *ae_tls_client(ae_tls_peer_t *peer)
{
    unsigned char address[16];
    int numeric = inet_pton(AF_INET, peer->host, address) == 1 || inet_pton(AF_INET6, peer->host, address) == 1;
    SSL *ssl = peer->host[0] ? SSL_new(peer->tls->context) : NULL;
    if (!ssl)
        return NULL;
    SSL_set_app_data(ssl, peer);
    SSL_set_connect_state(ssl);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    int named = numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), peer->host)
                        : SSL_set1_host(ssl, peer->host) && SSL_set_tlsext_host_name(ssl, peer->host);
    if (!named) {
        SSL_free(ssl);
        return NULL;
    }
    resume(ssl, peer);
    return ssl;
}

/* A client's TLS settings: TLS 1.3, or 1.2 with forward secrecy; AES-128-GCM first; verification on.
 *
 * ca_file: PEM file of the authorities to trust, NULL or "" for the system's. error: `room` bytes for one line.
 * Allocates; once per process. NULL with `error` set. Free with ae_tls_free after its last connection. */
ae_tls_t *ae_tls_new(const char *ca_file, char *error, uint32_t room)
{
    ae_tls_t *tls = calloc(1, sizeof *tls);
    SSL_CTX *context = tls ? SSL_CTX_new(TLS_client_method()) : NULL;
    if (!tls || !context) {
        free(tls);
        ae_tls_reason(error, room);
        return NULL;
    }
    tls->context = context;
    pthread_mutex_init(&tls->lock, NULL);
    int own = ca_file && ca_file[0];
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verify);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    int ready = SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) && SSL_CTX_set_ciphersuites(context, SUITES_13) &&
                SSL_CTX_set_cipher_list(context, SUITES_12) && !SSL_CTX_set_alpn_protos(context, ALPN, sizeof ALPN);
    errno = 0;
    int trusted = own ? SSL_CTX_load_verify_locations(context, ca_file, NULL) : SSL_CTX_set_default_verify_paths(context);
    if (ready && trusted)
        return tls;
    char why[128];
    int missing = own && errno;
    snprintf(why, sizeof why, "%s", missing ? strerror(errno) : "");
    if (!missing)
        ae_tls_reason(why, sizeof why);
    ERR_clear_error();
    snprintf(error, room, "tls: authorities %s cannot be used: %s", own ? ca_file : "of this system", why);
    ae_tls_free(tls);
    return NULL;
}

/* Give up the settings and the kept sessions. NULL is fine. */
void ae_tls_free(ae_tls_t *tls)
{
    if (!tls)
        return;
    for (uint32_t i = 0; i < AE_SESSIONS; i++)
        SSL_SESSION_free(tls->session[i]);
    SSL_CTX_free(tls->context);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}
