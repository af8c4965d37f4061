/* Laws of conn.c and tls.c, with a TLS server in memory whose bytes arrive cut anywhere, spoilt, or not at all.
 *
 * 1 whatever the cuts, text arrives as it was written, both ways, plain, TLS 1.2 and 1.3, across key updates
 * 2 a message refused for want of room leaves no byte of itself; all others arrive whole and in order
 * 3 a spoilt byte, a foreign record, an early end are errors with a line; what came before them is read first
 * 4 random bytes instead of a server end the handshake, never the program
 * 5 AE_MORE only after the socket itself had nothing; pending tells what no poll announces, an end once */
#define _GNU_SOURCE
#include "ae_internal.h"

#include "tls_peer.h"

static uint64_t luck = 88172645463325252u;

static uint32_t draw(uint32_t below)
{
    luck ^= luck << 13;
    luck ^= luck >> 7;
    luck ^= luck << 17;
    return (uint32_t)((luck >> 11) % below);
}

static ae_conn_t *fresh(int fd, ae_tls_t *tls, const char *host, int expected)
{
    ae_conn_t *conn = aligned_alloc(64, (ae_conn_bytes() + 63) / 64 * 64);
    NEED(conn && ae_conn_init(conn, fd, tls, host) == expected);
    return conn;
}

static void drop(ae_conn_t *conn)
{
    ae_conn_close(conn);
    ae_conn_close(conn);
    NEED(ae_conn_fd(conn) == -1 && ae_conn_error(conn)[0] && !strchr(ae_conn_error(conn), '\n'));
    free(conn);
}

/* Both sides until the handshake is done, `cut` bytes at most at a time. 0 or AE_BAD. */
static int shake(ae_conn_t *conn, tls_peer_t *peer, uint32_t cut)
{
    for (;;) {
        int want = ae_conn_handshake(conn);
        if (want == AE_BAD)
            return AE_BAD;
        if (!peer->ssl)
            return want;
        peer_hear(peer, 1 + draw(cut));
        SSL_do_handshake(peer->ssl);
        if (want == 0 && SSL_is_init_finished(peer->ssl))
            return 0;
        peer_speak(peer, 1 + draw(cut));
    }
}

static void say(tls_peer_t *peer, const uint8_t *data, uint32_t bytes)
{
    if (peer->ssl) {
        NEED(SSL_write(peer->ssl, data, (int)bytes) == (int)bytes);
        return;
    }
    NEED(write(peer->fd, data, bytes) == (ssize_t)bytes);
}

static int hear(tls_peer_t *peer, uint8_t *to, uint32_t room, uint32_t cut)
{
    if (!peer->ssl) {
        ssize_t got = read(peer->fd, to, room);
        return got > 0 ? (int)got : 0;
    }
    peer_hear(peer, cut);
    int got = SSL_read(peer->ssl, to, (int)room);
    return got > 0 ? got : 0;
}

/* Law 1 and 5. */
static void traffic(SSL_CTX *context, ae_tls_t *tls, uint32_t cut, int rounds)
{
    enum { MOST = 40000 };
    static uint8_t sent[MOST], got[MOST];
    int fd;
    tls_peer_t peer = peer_open(context, &fd, 0);
    ae_conn_t *conn = fresh(fd, tls, "localhost", 0);
    NEED(shake(conn, &peer, cut) == 0);
    for (int round = 0; round < rounds; round++) {
        uint32_t bytes = 1 + draw(draw(4) ? 400 : MOST);
        for (uint32_t i = 0; i < bytes; i++)
            sent[i] = (uint8_t)draw(256);
        if (peer.ssl && SSL_version(peer.ssl) == TLS1_3_VERSION && draw(4) == 0)
            NEED(SSL_key_update(peer.ssl, draw(2) ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED));
        say(&peer, sent, bytes);
        for (uint32_t have = 0; have < bytes;) {
            if (peer.ssl)
                peer_speak(&peer, 1 + draw(cut));
            int64_t stamp = 0;
            uint32_t room = 1 + draw(bytes - have);
            int n = ae_conn_read(conn, got + have, room, &stamp);
            NEED(n > 0 || n == AE_MORE);
            NEED(n == AE_MORE ? ae_conn_pending(conn) == 0 : stamp > 0 && n <= (int)room);
            have += n > 0 ? (uint32_t)n : 0;
        }
        NEED(memcmp(sent, got, bytes) == 0);
        int left = ae_conn_write(conn, sent, bytes);
        NEED(left == 0 || left == AE_MORE);
        for (uint32_t have = 0; have < bytes;) {
            NEED(ae_conn_flush(conn) != AE_BAD);
            have += (uint32_t)hear(&peer, got + have, bytes - have, 1 + draw(cut));
        }
        NEED(memcmp(sent, got, bytes) == 0 && ae_conn_unsent(conn) == 0);
    }
    drop(conn);
    peer_close(&peer);
}

/* Law 2: every word tells its message and place, so a missing, doubled, torn or overtaken one shows. */
static void full(SSL_CTX *context, ae_tls_t *tls)
{
    enum { WORDS = 15000, TRIES = 3000 };
    static uint32_t message[WORDS], got[WORDS], words[TRIES];
    int fd, small = 8192;
    tls_peer_t peer = peer_open(context, &fd, 8192);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    ae_conn_t *conn = fresh(fd, tls, "localhost", 0);
    NEED(shake(conn, &peer, 100000) == 0);
    uint32_t refused = 0, at = 0, have = 0;
    for (uint32_t n = 0; n < TRIES; n++) {
        uint32_t size = 1 + draw(draw(20) ? WORDS / 10 : WORDS);
        for (uint32_t i = 0; i < size; i++)
            message[i] = n << 16 | i;
        int result = ae_conn_write(conn, (uint8_t *)message, size * 4);
        words[n] = result == AE_BAD ? 0 : size;
        refused += result == AE_BAD;
        NEED(result != AE_BAD || strstr(ae_conn_error(conn), "send buffer full"));
        NEED(result != AE_MORE || ae_conn_unsent(conn) > 0);
        for (uint32_t turns = n + 1 == TRIES ? UINT32_MAX : draw(200) ? 0 : draw(2) ? 200 : 5000; turns && at <= n; turns--) {
            if (n + 1 == TRIES || draw(3))
                NEED(ae_conn_flush(conn) != AE_BAD);
            while (at <= n && have == words[at] * 4) { /* complete, or refused */
                for (uint32_t i = 0; i < words[at]; i++)
                    NEED(got[i] == (at << 16 | i));
                have = 0;
                at++;
            }
            if (at <= n)
                have += (uint32_t)hear(&peer, (uint8_t *)got + have, words[at] * 4 - have, 65536);
        }
    }
    NEED(refused > 100 && at == TRIES && have == 0 && ae_conn_unsent(conn) == 0);
    drop(conn);
    peer_close(&peer);
}

/* Law 5: records that came in one segment are announced by pending alone, to the last byte. */
static void announced(SSL_CTX *context, ae_tls_t *tls)
{
    int fd;
    tls_peer_t peer = peer_open(context, &fd, 0);
    ae_conn_t *conn = fresh(fd, tls, "localhost", 0);
    NEED(shake(conn, &peer, 100000) == 0);
    uint8_t text[64], got[3 * 64];
    memset(text, 't', sizeof text);
    for (int i = 0; i < 3; i++)
        say(&peer, text, sizeof text);
    peer_speak(&peer, 65536);
    int64_t stamp;
    int have = AE_MORE;
    while (have == AE_MORE)
        have = ae_conn_read(conn, got, 8, &stamp);
    while (ae_conn_pending(conn) > 0) {
        int n = ae_conn_read(conn, got + have, 8, &stamp);
        NEED(n > 0);
        have += n;
    }
    NEED(have == sizeof got && ae_conn_read(conn, got, 10, &stamp) == AE_MORE);
    drop(conn);
    peer_close(&peer);
}

/* Laws 3 and 5: `spoil` 0 a flipped bit, 1 a foreign record, 2 a length no record has, 3 an end in mid-record, 4 a goodbye. */
static void ends(SSL_CTX *context, ae_tls_t *tls, int spoil)
{
    int fd;
    tls_peer_t peer = peer_open(context, &fd, 0);
    ae_conn_t *conn = fresh(fd, tls, "localhost", 0);
    NEED(shake(conn, &peer, 1000) == 0);
    uint8_t text[64] = "whole", got[64];
    say(&peer, text, 5);
    while (peer_speak(&peer, 65536))
        ;
    if (spoil < 4)
        say(&peer, text, 60);
    else
        SSL_shutdown(peer.ssl);
    char *data;
    long bytes = BIO_get_mem_data(peer.out, &data);
    if (spoil == 0)
        data[20] ^= 1;
    else if (spoil == 1)
        data[0] = 99;
    else if (spoil == 2)
        data[3] = data[4] = (char)0xff;
    NEED(write(peer.fd, data, (size_t)(spoil == 3 ? bytes - 9 : bytes)) > 0);
    if (spoil == 3) {
        close(peer.fd);
        peer.fd = -1;
    }
    int64_t stamp;
    uint32_t have = 0;
    int n;
    while ((n = ae_conn_read(conn, got + have, 64 - have, &stamp)) > 0 || n == AE_MORE) {
        have += n > 0 ? (uint32_t)n : 0;
        NEED(n == AE_MORE || (ae_conn_pending(conn) > 0) == (spoil != 3)); /* half a record: the socket must be asked */
    }
    NEED(have == 5 && memcmp(got, "whole", 5) == 0);
    NEED(n == (spoil < 3 ? AE_BAD : AE_END) && strstr(ae_conn_error(conn), "localhost: "));
    NEED(ae_conn_read(conn, got, 64, &stamp) == n && ae_conn_pending(conn) == 0);
    drop(conn);
    peer_close(&peer);
}

/* Law 4. */
static void garbage(ae_tls_t *tls, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        int fd;
        tls_peer_t peer = peer_open(NULL, &fd, 0);
        ae_conn_t *conn = fresh(fd, tls, "localhost", 0);
        int want = ae_conn_handshake(conn);
        uint8_t noise[600];
        for (uint32_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)draw(256);
        if (draw(2)) { /* the look of a record */
            memcpy(noise, (uint8_t[]){22, 3, 3, 0, (uint8_t)draw(200), 2, 0, 0, (uint8_t)draw(100), 3, 3}, 11);
        }
        for (uint32_t at = 0; at < sizeof noise && want != AE_BAD;) {
            uint32_t n = 1 + draw((uint32_t)sizeof noise - at);
            NEED(write(peer.fd, noise + at, n) == (ssize_t)n);
            at += n;
            want = ae_conn_handshake(conn);
        }
        close(peer.fd);
        peer.fd = -1;
        while (want != AE_BAD && want != 0)
            want = ae_conn_handshake(conn);
        NEED(want == AE_BAD && ae_conn_handshake(conn) == AE_BAD && ae_conn_error(conn)[0]);
        drop(conn);
    }
}

/* The names that cannot be verified, and errors without a file. */
static void refusals(ae_tls_t *tls)
{
    char error[256], long_name[300];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    NEED(!ae_tls_new("no-such-file.pem", error, sizeof error) && strstr(error, "No such file"));
    const char *names[] = {"", NULL, long_name};
    for (int i = 0; i < 3; i++)
        drop(fresh(socket(AF_UNIX, SOCK_STREAM, 0), tls, names[i], AE_BAD));
    drop(fresh(-1, NULL, "x", AE_BAD));
    ae_tls_free(NULL);
}

int main(void)
{
    ae_tls_t *tls;
    SSL_CTX *context = peer_context(&tls);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        NEED(SSL_CTX_set_min_proto_version(context, version) && SSL_CTX_set_max_proto_version(context, version));
        for (uint32_t cut = 7; cut < 100000; cut *= 13)
            traffic(context, tls, cut, cut < 20 ? 20 : 150);
        full(context, tls);
        announced(context, tls);
        for (int spoil = 0; spoil < 5; spoil++)
            ends(context, tls, spoil);
    }
    traffic(NULL, NULL, 1000, 300);
    full(NULL, NULL);
    garbage(tls, 1000);
    refusals(tls);
    ae_tls_free(tls);
    SSL_CTX_free(context);
    return 0;
}
