/* TLS records to tick records through conn.c, against bare AES-128-GCM decryption of the same bytes, taking turns.
 *
 * usage: tls ROUNDS PER_RECORD   prints a line per round: ns a frame from record to tick, ns a frame of the limit just
 * before and just after. `tls ROUNDS 0` prints the limit alone, for measures of other programs.
 * The server is in memory and has encrypted everything before the clock starts; reading the socket is on the clock. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <time.h>

#include "../../c/tls_peer.h"
#include "wire_feed.h"

enum { FRAMES = 192, TURNS = 12, ROOM = 1 << 20, TAG = 16 };

static uint8_t frames[FRAMES][WIRE_FRAME_MAX];
static uint32_t bytes_of[FRAMES];
static uint8_t sealed[FRAMES][WIRE_FRAME_MAX + 64];
static volatile int64_t sink;

/* Time this thread computed: both sides only compute, and others share the machine. */
static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- the limit */

static EVP_CIPHER_CTX *cipher;
static const uint8_t nonce[12] = {1, 2, 3}, head[5] = {23, 3, 3, 1, 0};

static void seal(void)
{
    const uint8_t key[16] = {7};
    EVP_CIPHER_CTX *with = EVP_CIPHER_CTX_new();
    cipher = EVP_CIPHER_CTX_new();
    NEED(EVP_EncryptInit_ex(with, EVP_aes_128_gcm(), NULL, key, nonce));
    NEED(EVP_DecryptInit_ex(cipher, EVP_aes_128_gcm(), NULL, key, nonce));
    for (int i = 0; i < FRAMES; i++) {
        int n;
        NEED(EVP_EncryptInit_ex(with, NULL, NULL, NULL, nonce) && EVP_EncryptUpdate(with, NULL, &n, head, 5));
        NEED(EVP_EncryptUpdate(with, sealed[i], &n, frames[i], (int)bytes_of[i] + 1)); /* and its content type */
        NEED(EVP_EncryptFinal_ex(with, sealed[i] + n, &n));
        NEED(EVP_CIPHER_CTX_ctrl(with, EVP_CTRL_GCM_GET_TAG, TAG, sealed[i] + bytes_of[i] + 1));
    }
    EVP_CIPHER_CTX_free(with);
}

static double limit(void)
{
    static uint8_t open[WIRE_FRAME_MAX + 64];
    int64_t start = now_ns();
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < FRAMES; i++) {
            int n, ok = EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, nonce);
            ok &= EVP_DecryptUpdate(cipher, NULL, &n, head, 5);
            ok &= EVP_DecryptUpdate(cipher, open, &n, sealed[i], (int)bytes_of[i] + 1);
            ok &= EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG, sealed[i] + bytes_of[i] + 1);
            ok &= EVP_DecryptFinal_ex(cipher, open + n, &n);
            NEED(ok);
            sink += open[7];
        }
    return (double)(now_ns() - start) / (TURNS * FRAMES);
}

/* ---- ours */

static ae_conn_t *conn;
static tls_peer_t peer;
static ae_symtab_t symbols;
static ae_predict_t *predict;

static void connect_all(void)
{
    int fd;
    ae_tls_t *tls;
    SSL_CTX *context = peer_context(&tls);
    NEED(SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256"));
    peer = peer_open(context, &fd, 0);
    conn = aligned_alloc(64, (ae_conn_bytes() + 63) / 64 * 64);
    NEED(conn && ae_conn_init(conn, fd, tls, "localhost") == 0);
    while (ae_conn_handshake(conn) != 0 || !SSL_is_init_finished(peer.ssl)) {
        peer_hear(&peer, 65536);
        SSL_do_handshake(peer.ssl);
        peer_speak(&peer, 65536);
    }
    predict = aligned_alloc(64, (ae_predict_bytes() + 63) / 64 * 64);
    NEED(predict);
    ae_predict_init(predict, 0);
    for (uint32_t i = 0; i < WIRE_SYMBOLS; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "COIN%02uUSDT", i);
        NEED(ae_symtab_add(&symbols, (uint8_t *)name, (uint32_t)n, 2, 3) == (int)i);
    }
}

static double ours(uint32_t per_record)
{
    static uint8_t room[ROOM], group[WIRE_FRAME_MAX * 16];
    int64_t spent = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        for (uint32_t i = 0; i < FRAMES; i += per_record) {
            uint32_t n = 0;
            for (uint32_t k = i; k < i + per_record; k++) {
                memcpy(group + n, frames[k], bytes_of[k]);
                n += bytes_of[k];
            }
            NEED(SSL_write(peer.ssl, group, (int)n) == (int)n);
        }
        while (peer_speak(&peer, 65536))
            ;
        NEED(BIO_ctrl_pending(peer.out) == 0);
        int64_t start = now_ns(), stamp;
        uint32_t have = 0, at = 0, parsed = 0;
        while (parsed < FRAMES) {
            int got = ae_conn_read(conn, room + have, ROOM - have, &stamp);
            NEED(got > 0 || got == AE_MORE);
            have += got > 0 ? (uint32_t)got : 0;
            for (;;) {
                ae_ws_frame_t frame;
                uint32_t reason;
                if (ae_ws_parse(room + at, have - at, ROOM, &frame, &reason) <= 0)
                    break;
                if (frame.header_bytes + frame.payload_bytes > have - at)
                    break;
                ae_tick_t tick[2];
                ae_parsed_t what;
                NEED(ae_tick_parse(room + at + frame.header_bytes, frame.payload_bytes, &symbols, predict, tick, 2,
                                   &what) == 1);
                sink += tick[0].a;
                at += frame.header_bytes + frame.payload_bytes;
                parsed++;
            }
        }
        spent += now_ns() - start;
    }
    return (double)spent / (TURNS * FRAMES);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    uint32_t per_record = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
    static wire_t wire;
    wire_init(&wire, 0);
    for (int i = 0; i < FRAMES; i++)
        bytes_of[i] = wire_next(&wire, frames[i]);
    seal();
    if (per_record)
        connect_all();
    for (int i = 0; i < rounds; i++) {
        double before = limit(), mine = per_record ? ours(per_record) : before;
        printf("%.1f %.1f %.1f\n", mine, before, limit());
    }
    return 0;
}
