/* What the programs of the path bench share: clock, pinning, one connection plain or TLS, WebSocket frames.
 *
 * Problem: the limit and the measured program must meet the same sockets, or the ratio compares sockets. So both ends
 * of every pair use these functions, and nothing in them differs between the two but whether the caller sleeps.
 * What must stay true: a send is one send per frame; a receive never waits unless `block` says so; times are
 * CLOCK_MONOTONIC ns of one machine, taken by the caller.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct wire {
    int fd;
    SSL *ssl; /* NULL: plain */
} wire_t;

/* Monotonic ns. */
static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Keep this process on one processor; below 0 leaves it free. */
static inline void pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        perror("pin");
}

static inline void die(const char *what)
{
    perror(what);
    exit(1);
}

static inline void set_blocking(int fd, int block)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, block ? flags & ~O_NONBLOCK : flags | O_NONBLOCK))
        die("fcntl");
}

/* What a connection that ended left behind, SSL_get_error would take for an error of the next one. */
static inline void forget_errors(void)
{
    if (ERR_peek_error())
        ERR_clear_error();
}

/* Up to `room` bytes. > 0 bytes, 0 nothing now (only when the socket does not block), -1 gone. */
static inline int wire_recv(wire_t *w, uint8_t *to, size_t room)
{
    if (w->ssl) {
        forget_errors();
        int got = SSL_read(w->ssl, to, (int)room);
        if (got > 0)
            return got;
        int why = SSL_get_error(w->ssl, got);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    ssize_t got = recv(w->fd, to, room, 0);
    if (got > 0)
        return (int)got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

/* All of `n` bytes, spinning while the socket is full. 0, or -1 gone. */
static inline int wire_send(wire_t *w, const uint8_t *data, size_t n)
{
    while (n) {
        ssize_t sent;
        if (w->ssl) {
            forget_errors();
            int got = SSL_write(w->ssl, data, (int)n);
            int why = got > 0 ? 0 : SSL_get_error(w->ssl, got);
            if (got <= 0 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                return -1;
            sent = got > 0 ? got : 0;
        } else {
            sent = send(w->fd, data, n, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != EINTR)
                return -1;
            sent = sent < 0 ? 0 : sent;
        }
        data += sent;
        n -= (size_t)sent;
    }
    return 0;
}

/* Head of a text frame of `n` payload bytes into `to` (room 8); `masked` sets the bit and a mask of zeros, so that the
 * payload goes as it is. Bytes written. */
static inline size_t frame_head(uint8_t *to, size_t n, int opcode, int masked)
{
    size_t at = 0;
    to[at++] = (uint8_t)(0x80 | opcode);
    uint8_t bit = masked ? 0x80 : 0;
    if (n < 126) {
        to[at++] = (uint8_t)(bit | n);
    } else {
        to[at++] = (uint8_t)(bit | 126);
        to[at++] = (uint8_t)(n >> 8);
        to[at++] = (uint8_t)n;
    }
    if (masked) {
        memset(to + at, 0, 4);
        at += 4;
    }
    return at;
}

/* Find the next frame in `data` (server or client side, at most 64 KB): payload unmasked in place. Bytes of the whole
 * frame, 0 when more are needed. */
static inline size_t frame_next(uint8_t *data, size_t n, int *opcode, uint8_t **payload, size_t *size)
{
    if (n < 2)
        return 0;
    size_t at = 2, length = data[1] & 0x7f;
    if (length == 126) {
        if (n < 4)
            return 0;
        length = (size_t)data[2] << 8 | data[3];
        at = 4;
    } else if (length == 127) {
        fprintf(stderr, "frame over 64 KB\n");
        exit(1);
    }
    uint8_t mask[4] = {0};
    if (data[1] & 0x80) {
        if (n < at + 4)
            return 0;
        memcpy(mask, data + at, 4);
        at += 4;
    }
    if (n < at + length)
        return 0;
    *opcode = data[0] & 0xf;
    *payload = data + at;
    *size = length;
    if (mask[0] | mask[1] | mask[2] | mask[3])
        for (size_t i = 0; i < length; i++)
            data[at + i] ^= mask[i & 3];
    return at + length;
}

#endif
