/* Shared by conn.c (sockets, buffers) and tls.c (trust, sessions, what a refused certificate is called). */
#ifndef AE_CONN_H
#define AE_CONN_H

#include "ae_internal.h"

#include <openssl/ssl.h>

enum { AE_HOST_BYTES = 256, AE_ERROR_BYTES = 320 };

/* What tls.c knows of one connection; it is the SSL object's app data, so it must not move while the object lives. */
typedef struct ae_tls_peer {
    ae_tls_t *tls;
    char host[AE_HOST_BYTES];
    char refused[AE_ERROR_BYTES]; /* why the certificate was refused; empty when it was not */
} ae_tls_peer_t;

/* A client's SSL object for `peer` (host and tls set): name to verify, SNI, a kept session. Allocates. NULL: the host
 * name cannot be used. Any thread. */
SSL *ae_tls_client(ae_tls_peer_t *peer);

/* The newest line of OpenSSL's error queue as text in `to`; empties the queue. */
void ae_tls_reason(char *to, size_t room);

#endif
