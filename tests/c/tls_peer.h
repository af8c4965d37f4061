/* A TLS server in memory at one end of a loopback connection, for checks, budgets and benchmarks of conn.c.
 *
 * The key and certificate (for localhost, its own authority) are made at the start; the client is told to
 * trust it by a file that is gone again. The test moves the bytes, so it can cut or spoil them at will. */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include "ae_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEED(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                                         \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

typedef struct tls_peer {
    SSL *ssl;
    BIO *in;
    BIO *out;
    int fd;
} tls_peer_t;

/* A server's context with a fresh certificate for localhost; *tls: a client's settings that trust it alone. */
static SSL_CTX *peer_context(ae_tls_t **tls)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    NEED(key && cert);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509V3_CTX how;
    X509V3_set_ctx(&how, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &how, NID_subject_alt_name, "DNS:localhost");
    NEED(names && X509_add_ext(cert, names, -1));
    X509_EXTENSION_free(names);
    NEED(X509_sign(cert, key, EVP_sha256()));
    char path[] = "/tmp/ae_peer_XX" "XX" "XX", error[256];
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    NEED(file && PEM_write_X509(file, cert));
    fclose(file);
    *tls = ae_tls_new(path, error, sizeof error);
    unlink(path);
    NEED(*tls);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    NEED(context && SSL_CTX_use_certificate(context, cert) == 1 && SSL_CTX_use_PrivateKey(context, key) == 1);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"peer", 4);
    X509_free(cert);
    EVP_PKEY_free(key);
    return context;
}

/* A server at one end of a new connection; *client_fd is the other end. context NULL: plain. window: bytes of its
 * receive buffer, 0 as usual. */
static tls_peer_t peer_open(SSL_CTX *context, int *client_fd, int window)
{
    tls_peer_t peer = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof at;
    int door = socket(AF_INET, SOCK_STREAM, 0);
    *client_fd = socket(AF_INET, SOCK_STREAM, 0);
    NEED(!window || setsockopt(door, SOL_SOCKET, SO_RCVBUF, &window, sizeof window) == 0);
    NEED(bind(door, (struct sockaddr *)&at, sizeof at) == 0 && listen(door, 1) == 0);
    NEED(getsockname(door, (struct sockaddr *)&at, &bytes) == 0);
    NEED(connect(*client_fd, (struct sockaddr *)&at, sizeof at) == 0);
    peer.fd = accept(door, NULL, NULL);
    close(door);
    int yes = 1;
    NEED(setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) == 0);
    NEED(fcntl(peer.fd, F_SETFL, O_NONBLOCK) == 0);
    if (context) {
        peer.ssl = SSL_new(context);
        peer.in = BIO_new(BIO_s_mem());
        peer.out = BIO_new(BIO_s_mem());
        NEED(peer.ssl && peer.in && peer.out);
        SSL_set_bio(peer.ssl, peer.in, peer.out);
        SSL_set_accept_state(peer.ssl);
    }
    return peer;
}

/* Bytes from the socket into the server, at most `most`. 0 nothing there. */
static size_t peer_hear(tls_peer_t *peer, size_t most)
{
    static uint8_t room[65536];
    ssize_t got = read(peer->fd, room, most < sizeof room ? most : sizeof room);
    if (got <= 0)
        return 0;
    NEED(BIO_write(peer->in, room, (int)got) == (int)got);
    return (size_t)got;
}

/* Bytes from the server onto the socket, at most `most`. 0 nothing to say, or no room. */
static size_t peer_speak(tls_peer_t *peer, size_t most)
{
    char *data;
    long have = BIO_get_mem_data(peer->out, &data);
    size_t n = (size_t)have < most ? (size_t)have : most;
    ssize_t sent = n ? write(peer->fd, data, n) : 0;
    if (sent <= 0)
        return 0;
    static uint8_t gone[65536];
    for (size_t left = (size_t)sent; left;) {
        int got = BIO_read(peer->out, gone, (int)(left < sizeof gone ? left : sizeof gone));
        NEED(got > 0);
        left -= (size_t)got;
    }
    return (size_t)sent;
}

static void peer_close(tls_peer_t *peer)
{
    SSL_free(peer->ssl);
    if (peer->fd >= 0)
        close(peer->fd);
    peer->ssl = NULL;
    peer->fd = -1;
}

#endif
