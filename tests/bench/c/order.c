/* Intent to signed frame against the compression of the blocks it hashes, taking turns.
 *
 * usage: order ROUNDS    prints a line per round: signed ns, logged-on ns, ns of the same blocks before and after. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TURNS = 4000, BLOCKS = 5 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static ae_encoder_t *e;
static uint8_t frame[AE_ORDER_FRAME_BYTES], data[64 * BLOCKS];
static volatile uint32_t sink;

static double orders(void)
{
    int64_t start = now_ns();
    for (int i = 0; i < TURNS; i++) {
        ae_intent_t intent = {.symbol = (uint16_t)(i % 4), .side = i & 1 ? 1 : -1, .type = 1, .tif = 1,
                              .px = 6700010 + i, .qty = 12 + i};
        sink += (uint32_t)ae_encoder_place(e, &intent, 1795000000123 + i, frame);
        ae_encoder_next(e);
    }
    return (double)(now_ns() - start) / TURNS;
}

static double blocks(void)
{
    uint32_t state[8];
    int simd = ae_sha256_simd();
    ae_sha256_start(state);
    int64_t start = now_ns();
    for (int i = 0; i < TURNS; i++)
        ae_sha256_blocks(state, data, BLOCKS, simd);
    sink += state[0];
    return (double)(now_ns() - start) / TURNS;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20;
    uint8_t key[64];
    memset(key, 'k', sizeof key);
    e = aligned_alloc(4096, (ae_encoder_bytes() + 4095) / 4096 * 4096);
    if (!e || ae_encoder_init(e, key, 64, key, 64, 5000, 1795000000) != 0)
        return 1;
    for (uint32_t slot = 0; slot < 4; slot++)
        if (ae_encoder_slot(e, slot, (const uint8_t *)"BTCUSDT", 7, 2, 3) != 0)
            return 1;
    for (int i = 0; i < rounds; i++) {
        double before = blocks();
        ae_encoder_logon(e, 0);
        double with_key = orders();
        ae_encoder_logon(e, 1);
        double plain = orders();
        printf("%.1f %.1f %.1f %.1f\n", with_key, plain, before, blocks());
    }
    return 0;
}
