/* A connection: TCP, or TLS over TCP; plain bytes in and out, never blocking, the kernel's receive stamps with them.
 *
 *   read   socket -> recvmsg -> raw (TLS only, whole records) -> SSL_read -> caller
 *   write  caller -> SSL_write -> send, and what the socket does not take -> out -> ae_conn_flush
 *
 * Problem: a library that reads the socket itself hides the receive stamp, asks the kernel for five bytes of a record
 * header, and leaves a sender with half a message. So OpenSSL reads and writes memory here (a BIO of our own): one
 * recvmsg takes all that is there, with its stamp; OpenSSL is asked only when a whole record lies ready; a message is
 * either taken whole, its rest kept in a bounded buffer, or refused whole.
 * What must stay true: nothing here allocates after the handshake; after AE_BAD of a write of at most 16 KiB not one
 * byte of it was given to the socket; bytes leave in the order they were written.
 * One thread at a time uses a connection: whoever shares it holds a lock. */
#define _GNU_SOURCE
#include "ae_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    RECORD_HEAD = 5,
    RECORD_MAX = 16384 + 256, /* longest body TLS permits */
    RAW_ROOM = 131072,        /* several full records, so that one recvmsg takes a burst */
    OUT_ROOM = 262144,        /* what the socket did not take yet */
    OUT_RESERVE = 8192,       /* of it, kept for what TLS itself has to say */
    RECORD_EXTRA = 64         /* more than a record is longer than its text */
};

struct ae_conn {
    int32_t fd;
    uint8_t open;  /* handshake done */
    uint8_t ended; /* the peer closed its side */
    uint8_t gone;  /* broken for good; error says why */
    uint8_t stamps;
    SSL *ssl;
    uint32_t raw_at;
    uint32_t raw_end;
    uint32_t record_left; /* bytes of the record at raw_at that OpenSSL has not fetched yet */
    uint32_t out_at;
    uint32_t out_end;
    uint32_t told; /* a read has told of the end */
    int64_t raw_ns; /* stamp of the newest byte in raw */
    ae_tls_peer_t peer;
    char about[128];
    char error[AE_ERROR_BYTES + AE_HOST_BYTES];
    uint8_t raw[RAW_ROOM];
    uint8_t out[OUT_ROOM];
};

/* Memory of one connection in bytes; the caller gives it, aligned to 16, and may lock it. */
uint64_t ae_conn_bytes(void)
{
    return sizeof(ae_conn_t);
}

/* Keep one line of why, with the host in front. */
__attribute__((format(printf, 2, 3))) static void say(ae_conn_t *conn, const char *form, ...)
{
    int at = snprintf(conn->error, sizeof conn->error, "%s%s", conn->peer.host, conn->peer.host[0] ? ": " : "");
    va_list args;
    va_start(args, form);
    vsnprintf(conn->error + at, sizeof conn->error - (size_t)at, form, args);
    va_end(args);
}

static int broken(ae_conn_t *conn, const char *doing, int code)
{
    conn->gone = 1;
    say(conn, "%s: %s", doing, strerror(code));
    return AE_BAD;
}

/* ---- the socket */

/* One recvmsg into `to`. > 0 bytes with *stamp_ns, else AE_MORE, AE_END, AE_BAD. */
static int take(ae_conn_t *conn, uint8_t *to, uint32_t room, int64_t *stamp_ns)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
    } control;
    struct iovec part = {to, room};
    struct msghdr message = {0};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = conn->stamps ? sizeof control : 0;
    ssize_t got;
    do {
        got = recvmsg(conn->fd, &message, 0);
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        conn->ended = 1;
        say(conn, "closed by the peer");
        return AE_END;
    }
    if (got < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? AE_MORE : broken(conn, "receive", errno);
    struct timespec when;
    const struct cmsghdr *head = conn->stamps ? CMSG_FIRSTHDR(&message) : NULL;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_TIMESTAMPNS)
        memcpy(&when, CMSG_DATA(head), sizeof when);
    else
        clock_gettime(CLOCK_REALTIME, &when);
    *stamp_ns = (int64_t)when.tv_sec * 1000000000 + when.tv_nsec;
    return (int)got;
}

/* One send of what is kept. 0 nothing is left, AE_MORE, AE_BAD (of this call nothing was sent). */
static int push(ae_conn_t *conn)
{
    if (conn->out_at == conn->out_end)
        return 0;
    ssize_t sent;
    do {
        sent = send(conn->fd, conn->out + conn->out_at, conn->out_end - conn->out_at, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? AE_MORE : broken(conn, "send", errno);
    conn->out_at += (uint32_t)sent;
    if (conn->out_at < conn->out_end)
        return AE_MORE;
    conn->out_at = conn->out_end = 0;
    return 0;
}

static uint32_t out_free(const ae_conn_t *conn)
{
    return OUT_ROOM - (conn->out_end - conn->out_at);
}

/* Bytes to the socket, in order; what it does not take is kept (the caller made sure of the room). 0 or AE_BAD. */
static int put(ae_conn_t *conn, const uint8_t *data, uint32_t bytes)
{
    if (push(conn) == AE_BAD)
        return AE_BAD;
    if (conn->out_at == conn->out_end) {
        ssize_t sent;
        do {
            sent = send(conn->fd, data, bytes, MSG_NOSIGNAL);
        } while (sent < 0 && errno == EINTR);
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
            return broken(conn, "send", errno);
        uint32_t done = sent > 0 ? (uint32_t)sent : 0;
        data += done;
        bytes -= done;
    }
    if (bytes > OUT_ROOM - conn->out_end) {
        memmove(conn->out, conn->out + conn->out_at, conn->out_end - conn->out_at);
        conn->out_end -= conn->out_at;
        conn->out_at = 0;
    }
    memcpy(conn->out + conn->out_end, data, bytes);
    conn->out_end += bytes;
    return 0;
}

/* ---- TLS records in memory */

/* Bytes of the record at raw_at when all of it is there, else 0. A length no TLS has counts as there: to be refused. */
static uint32_t whole_record(const ae_conn_t *conn)
{
    const uint8_t *at = conn->raw + conn->raw_at;
    uint32_t have = conn->raw_end - conn->raw_at;
    if (have < RECORD_HEAD)
        return 0;
    uint32_t body = (uint32_t)at[3] << 8 | at[4];
    return body > RECORD_MAX || have >= RECORD_HEAD + body ? RECORD_HEAD + body : 0;
}

/* Ask the socket until a whole record is there. 1 it is, else AE_MORE, AE_END, AE_BAD. */
static int fill(ae_conn_t *conn)
{
    while (!whole_record(conn)) {
        uint32_t rest = conn->raw_end - conn->raw_at;
        memmove(conn->raw, conn->raw + conn->raw_at, rest); /* the head of one record at most */
        conn->raw_at = 0;
        conn->raw_end = rest;
        int got = take(conn, conn->raw + rest, RAW_ROOM - rest, &conn->raw_ns);
        if (got < 0)
            return got;
        conn->raw_end += (uint32_t)got;
    }
    return 1;
}

/* OpenSSL fetches bytes: only of whole records, and it asks the socket only during the handshake. */
static int bio_read(BIO *bio, char *to, size_t room, size_t *got)
{
    ae_conn_t *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *got = 0;
    if (conn->record_left == 0) {
        if (!conn->open && fill(conn) < 0 && (conn->gone || conn->ended))
            return 0;
        conn->record_left = whole_record(conn);
    }
    uint32_t have = conn->raw_end - conn->raw_at;
    uint32_t n = conn->record_left < have ? conn->record_left : have;
    if (n > room)
        n = (uint32_t)room;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, conn->raw + conn->raw_at, n);
    conn->raw_at += n;
    conn->record_left -= n;
    *got = n;
    return 1;
}

/* OpenSSL gives bytes: all are taken, so it never holds half a record. */
static int bio_write(BIO *bio, const char *data, size_t bytes, size_t *taken)
{
    ae_conn_t *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *taken = 0;
    if (conn->gone)
        return 0;
    if (bytes > out_free(conn)) {
        conn->gone = 1;
        say(conn, "send buffer full");
        return 0;
    }
    if (put(conn, (const uint8_t *)data, (uint32_t)bytes) < 0)
        return 0;
    *taken = bytes;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method; /* made once, before the first connection's thread could race: see bio_method */

/* The one BIO kind. Two threads that come first at the same time both make one; one of them is kept. */
static const BIO_METHOD *bio_method(void)
{
    BIO_METHOD *made = __atomic_load_n(&method, __ATOMIC_ACQUIRE); /* pairs with the exchange below */
    if (made)
        return made;
    made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "aegis conn");
    if (!made)
        return NULL;
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_ctrl(made, bio_ctrl);
    BIO_METHOD *before = NULL;
    /* release: publishes the finished method to the acquire above */
    if (!__atomic_compare_exchange_n(&method, &before, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        BIO_meth_free(made);
        return before;
    }
    return made;
}

/* Why OpenSSL failed, as one line; the connection is over. */
static int refused(ae_conn_t *conn, const char *doing)
{
    char reason[128];
    ae_tls_reason(reason, sizeof reason);
    if (conn->peer.refused[0])
        say(conn, "tls: %s", conn->peer.refused);
    else if (conn->ended)
        say(conn, "tls: the peer closed during %s", doing);
    else if (!conn->gone && strcmp(reason, "wrong version number") == 0)
        say(conn, "tls: the peer does not speak TLS");
    else if (!conn->gone)
        say(conn, "tls: %s failed: %s", doing, reason);
    conn->gone = 1;
    return AE_BAD;
}

/* ---- the face */

/* Take over a connected (or connecting) socket.
 *
 * conn: ae_conn_bytes() of memory that does not move. fd: closed by ae_conn_close. tls: NULL for plain TCP; must
 * outlive the connection. host: name to verify and ask for (TLS), and in error lines; at most 255 bytes. Sets
 * O_NONBLOCK, TCP_NODELAY, receive stamps. Allocates (OpenSSL's object) with TLS. 0, or AE_BAD with ae_conn_error; the
 * socket is the connection's in either case. */
int ae_conn_init(ae_conn_t *conn, int fd, ae_tls_t *tls, const char *host)
{
    memset(conn, 0, offsetof(ae_conn_t, raw));
    conn->fd = fd;
    conn->peer.tls = tls;
    size_t bytes = host ? strlen(host) : 0;
    int fits = bytes < AE_HOST_BYTES;
    memcpy(conn->peer.host, host ? host : "", fits ? bytes : 0);
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return broken(conn, "socket", errno);
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* a pair of local sockets has no such thing */
    conn->stamps = setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) == 0;
    if (!tls)
        return 0;
    const BIO_METHOD *kind = bio_method();
    BIO *bio = fits && kind ? BIO_new(kind) : NULL;
    conn->ssl = bio ? ae_tls_client(&conn->peer) : NULL;
    if (!conn->ssl) {
        BIO_free(bio);
        conn->gone = 1;
        say(conn, "tls: not a host name that can be verified");
        return AE_BAD;
    }
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    SSL_set_bio(conn->ssl, bio, bio);
    return 0;
}

/* Let receive calls spin in the driver for up to `us` microseconds. 0, or AE_BAD where the kernel does not permit it
 * (raising it asks for CAP_NET_ADMIN); the connection goes on either way. */
int ae_conn_busy_poll(ae_conn_t *conn, uint32_t us)
{
    int value = us > 1000000 ? 1000000 : (int)us;
    return setsockopt(conn->fd, SOL_SOCKET, SO_BUSY_POLL, &value, sizeof value) == 0 ? 0 : AE_BAD;
}

/* One step of the opening; call again when the socket is ready as told. 0 done (plain: at once), AE_WANT_READ,
 * AE_WANT_WRITE, AE_BAD. Allocates with TLS. */
int ae_conn_handshake(ae_conn_t *conn)
{
    if (conn->gone)
        return AE_BAD;
    if (!conn->ssl) {
        conn->open = 1;
        return 0;
    }
    if (!conn->open) {
        ERR_clear_error();
        int done = SSL_do_handshake(conn->ssl);
        if (done == 1) {
            conn->open = 1;
            snprintf(conn->about, sizeof conn->about, "%s %s%s", SSL_get_version(conn->ssl),
                     SSL_get_cipher_name(conn->ssl), SSL_session_reused(conn->ssl) ? " resumed" : "");
        } else if (conn->gone || conn->ended || SSL_get_error(conn->ssl, done) != SSL_ERROR_WANT_READ) {
            return refused(conn, "the handshake");
        }
    }
    int left = push(conn);
    if (left == AE_BAD)
        return AE_BAD;
    return left == AE_MORE ? AE_WANT_WRITE : conn->open ? 0 : AE_WANT_READ;
}

static int read_tls(ae_conn_t *conn, uint8_t *to, uint32_t room, int64_t *stamp_ns)
{
    uint32_t total = 0;
    if (ERR_peek_error()) /* of others in this thread: SSL_get_error below would take it for ours */
        ERR_clear_error();
    while (total < room) {
        if (SSL_pending(conn->ssl) == 0 && !whole_record(conn)) {
            if (total)
                break;
            int more = fill(conn);
            if (more < 0)
                return more;
        }
        int got = SSL_read(conn->ssl, to + total, (int)(room - total < INT32_MAX ? room - total : INT32_MAX));
        if (got > 0) {
            total += (uint32_t)got;
            continue;
        }
        if (!conn->gone && SSL_get_shutdown(conn->ssl) & SSL_RECEIVED_SHUTDOWN) {
            conn->ended = 1;
            say(conn, "closed by the peer");
            if (total)
                break;
            return AE_END;
        }
        if (conn->gone || SSL_get_error(conn->ssl, got) != SSL_ERROR_WANT_READ) {
            refused(conn, "receiving");
            if (total)
                break;
            return AE_BAD;
        }
    }
    *stamp_ns = conn->raw_ns;
    return (int)total;
}

static int read_any(ae_conn_t *conn, uint8_t *to, uint32_t room, int64_t *stamp_ns)
{
    if (conn->gone || !conn->open)
        return AE_BAD;
    if (room == 0)
        return AE_MORE;
    if (room > INT32_MAX)
        room = INT32_MAX;
    if (!conn->ssl)
        return take(conn, to, room, stamp_ns);
    if (conn->ended && SSL_get_shutdown(conn->ssl) & SSL_RECEIVED_SHUTDOWN)
        return AE_END;
    return read_tls(conn, to, room, stamp_ns);
}

/* Bytes that have come, as much as fits: one recvmsg (plain), or all whole records at hand (TLS).
 *
 * stamp_ns: wall ns at which the kernel received the newest of them (the clock where it has no stamps). AE_MORE means
 * that the socket itself was asked and had nothing, so an edge-triggered caller reads until then. Allocates: no.
 * > 0 bytes, AE_MORE nothing now, AE_END the peer closed, AE_BAD. */
int ae_conn_read(ae_conn_t *conn, uint8_t *to, uint32_t room, int64_t *stamp_ns)
{
    int got = read_any(conn, to, room, stamp_ns);
    if (got == AE_END || got == AE_BAD)
        conn->told = 1;
    return got;
}

/* Write a whole message.
 *
 * 0 all of it is with the kernel, AE_MORE it was taken and a rest waits for ae_conn_flush, AE_BAD nothing of it was
 * sent (at most 16 KiB; of a longer one over TLS a part may have been): the connection is gone, or its buffer has no
 * room, and ae_conn_error says which. Allocates: no. */
int ae_conn_write(ae_conn_t *conn, const uint8_t *data, uint32_t bytes)
{
    if (conn->gone || !conn->open)
        return AE_BAD;
    if (bytes == 0)
        return push(conn);
    uint64_t need = bytes;
    if (conn->ssl)
        need += OUT_RESERVE + ((uint64_t)bytes / 16384 + 1) * RECORD_EXTRA;
    if (need > out_free(conn) && (push(conn) == AE_BAD || need > out_free(conn))) {
        if (!conn->gone)
            say(conn, "send buffer full: %u bytes wait", conn->out_end - conn->out_at);
        return AE_BAD;
    }
    if (!conn->ssl) {
        if (put(conn, data, bytes) < 0)
            return AE_BAD;
    } else if (SSL_write(conn->ssl, data, (int)bytes) != (int)bytes) {
        return refused(conn, "sending");
    }
    return conn->out_at == conn->out_end ? 0 : AE_MORE;
}

/* Send what is kept. 0 nothing is left, AE_MORE, AE_BAD. Allocates: no. */
int ae_conn_flush(ae_conn_t *conn)
{
    return conn->gone ? AE_BAD : push(conn);
}

/* Bytes that a read would give without asking the socket, which no poll announces (TLS: text, or the length of the next
 * whole record); 1 when the next read would tell of an end that came with the bytes before it and was not told yet; 0
 * with plain TCP. */
int ae_conn_pending(const ae_conn_t *conn)
{
    if (!conn->ssl || !conn->open || conn->told)
        return 0;
    if (conn->gone || conn->ended)
        return 1;
    int text = SSL_pending(conn->ssl);
    return text > 0 ? text : (int)whole_record(conn);
}

/* Bytes kept for ae_conn_flush: while > 0 the owner waits for the socket to be writable. */
int ae_conn_unsent(const ae_conn_t *conn)
{
    return (int)(conn->out_end - conn->out_at);
}

/* The socket's descriptor; -1 after close. */
int ae_conn_fd(const ae_conn_t *conn)
{
    return conn->fd;
}

/* Why the last call said AE_BAD or AE_END: one line, starting with the host. "" before that. */
const char *ae_conn_error(const ae_conn_t *conn)
{
    return conn->error;
}

/* Version, cipher and whether a session was resumed, e.g. "TLSv1.3 TLS_AES_128_GCM_SHA256 resumed"; "" without TLS. */
const char *ae_conn_about(const ae_conn_t *conn)
{
    return conn->about;
}

/* Say goodbye as far as the socket takes it, free OpenSSL's object, close the socket. May be called twice. */
void ae_conn_close(ae_conn_t *conn)
{
    if (conn->ssl) {
        if (conn->open && !conn->gone)
            SSL_shutdown(conn->ssl);
        SSL_free(conn->ssl);
        ERR_clear_error();
        conn->ssl = NULL;
    }
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    conn->open = 0;
    conn->gone = 1;
    if (!conn->error[0])
        say(conn, "closed by us");
}
