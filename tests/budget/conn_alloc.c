/* Allocations of a connection after its handshake: every malloc of the process is counted, ours (called from this
 * program's own text, where conn.c is linked in) apart from those of the libraries it calls.
 *
 * usage: conn_alloc plain|tls MESSAGES   prints "ours N libraries N messages M filled F" (F: times the send buffer was
 * full). With -DAE_MUTANT_ALLOC one allocation in a hundred messages is planted, which the test has to see. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include "../c/tls_peer.h"

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *old, size_t bytes);

extern char __executable_start, etext;

static int counting;
static uint64_t ours, libraries;

static void note(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (at >= (uintptr_t)&__executable_start && at < (uintptr_t)&etext)
        ours += (uint64_t)counting;
    else
        libraries += (uint64_t)counting;
}

__attribute__((noinline)) void *malloc(size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_malloc(bytes);
}

__attribute__((noinline)) void *calloc(size_t count, size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_calloc(count, bytes);
}

__attribute__((noinline)) void *realloc(void *old, size_t bytes)
{
    note(__builtin_return_address(0));
    return __libc_realloc(old, bytes);
}

static ae_conn_t *conn;
static tls_peer_t peer;
#ifdef AE_MUTANT_ALLOC
static void *planted;
#endif
static uint8_t text[700], room[65536];

/* The server's turn is not counted. */
static void answer(int messages)
{
    counting = 0;
    for (int i = 0; i < messages; i++) {
        if (peer.ssl)
            NEED(SSL_write(peer.ssl, text, sizeof text) == sizeof text);
        else
            NEED(write(peer.fd, text, sizeof text) == sizeof text);
    }
    while (peer.ssl && peer_speak(&peer, 65536))
        ;
    counting = 1;
}

static uint32_t heard(void)
{
    counting = 0;
    uint32_t total = 0;
    for (;;) {
        if (peer.ssl)
            peer_hear(&peer, 65536);
        ssize_t got = peer.ssl ? SSL_read(peer.ssl, room, sizeof room) : read(peer.fd, room, sizeof room);
        if (got <= 0)
            break;
        total += (uint32_t)got;
    }
    counting = 1;
    return total;
}

int main(int argc, char **argv)
{
    int secure = argc > 1 && strcmp(argv[1], "tls") == 0, messages = argc > 2 ? atoi(argv[2]) : 10000, fd;
    ae_tls_t *tls;
    SSL_CTX *context = peer_context(&tls);
    peer = peer_open(secure ? context : NULL, &fd, 8192);
    conn = aligned_alloc(64, (ae_conn_bytes() + 63) / 64 * 64);
    NEED(conn && ae_conn_init(conn, fd, secure ? tls : NULL, "localhost") == 0);
    int want;
    while ((want = ae_conn_handshake(conn)) != 0 || (secure && !SSL_is_init_finished(peer.ssl))) {
        NEED(want != AE_BAD);
        peer_hear(&peer, 65536);
        SSL_do_handshake(peer.ssl);
        peer_speak(&peer, 65536);
    }
    int64_t stamp;
    answer(1); /* with it come the session tickets, which are kept: the last thing that may allocate */
    counting = 0;
    while (ae_conn_read(conn, room, sizeof room, &stamp) <= 0)
        ;
    counting = 1;
    int filled = 0;
    for (int sent = 0; sent < messages; sent++) {
        if (sent % 2 == 0) {
            answer(2);
            for (int have = 0; have < 2 * (int)sizeof text;) {
                int got = ae_conn_read(conn, room, 500, &stamp);
                NEED(got > 0 || got == AE_MORE);
                have += got > 0 ? got : 0;
            }
        }
        int kept = ae_conn_write(conn, text, sizeof text);
        if (kept == AE_BAD) {
            filled++;
            while (ae_conn_flush(conn) == AE_MORE)
                heard();
            NEED(ae_conn_write(conn, text, sizeof text) != AE_BAD);
        }
#ifdef AE_MUTANT_ALLOC
        if (sent % 100 == 0)
            *(void *volatile *)&planted = malloc(32);
#endif
    }
    counting = 0;
    printf("ours %llu libraries %llu messages %d filled %d\n", (unsigned long long)ours, (unsigned long long)libraries,
           messages, filled);
    peer_close(&peer);
    return 0;
}
