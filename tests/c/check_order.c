/* Laws of sha256.c and order.c: published vectors on both twins, twins equal on random blocks, and no byte outside the
 * frame's room for the longest order there can be, nor for random ones. Says nothing and ends with 0 when they hold. */
#include "ae_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "check_order: line %d: %s\n", __LINE__, #what);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

static uint64_t drawn = 88172645463325252u;
static uint64_t draw(void)
{
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    return drawn ^= drawn << 17;
}

static void hex(const uint8_t *bytes, unsigned count, char *out)
{
    for (unsigned i = 0; i < count; i++)
        snprintf(out + i * 2, 3, "%02x", bytes[i]);
}

/* FIPS 180-4 and RFC 4231 (case 1, 2 and 6), in that order. */
static void vectors(int simd)
{
    static const char *const texts[3] = {"", "abc", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"};
    static const char *const digests[3] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                                           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                                           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"};
    uint32_t state[8], inner[8], outer[8];
    uint8_t room[256], digest[32], key[131];
    char text[65];
    for (unsigned i = 0; i < 3; i++) {
        uint32_t bytes = (uint32_t)strlen(texts[i]);
        memcpy(room, texts[i], bytes);
        ae_sha256_start(state);
        ae_sha256_finish(state, room, bytes, bytes, simd);
        ae_sha256_digest(state, digest);
        hex(digest, 32, text);
        CHECK(strcmp(text, digests[i]) == 0);
    }
    static const struct {
        int fill, key_bytes;
        const char *text, *mac;
    } macs[3] = {
        {0x0b, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0, 4, "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {0xaa, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (unsigned i = 0; i < 3; i++) {
        uint32_t bytes = (uint32_t)strlen(macs[i].text);
        memset(key, macs[i].fill, sizeof key);
        if (i == 1)
            memcpy(key, "Jefe", 4);
        memcpy(room, macs[i].text, bytes);
        ae_hmac_start(key, (uint32_t)macs[i].key_bytes, inner, outer, simd);
        ae_sha256_finish(inner, room, bytes, 64 + bytes, simd);
        ae_sha256_digest(inner, room);
        ae_sha256_finish(outer, room, 32, 96, simd);
        ae_sha256_digest(outer, digest);
        hex(digest, 32, text);
        CHECK(strcmp(text, macs[i].mac) == 0);
    }
}

static void twins(void)
{
    uint8_t data[64 * 9 + 1];
    for (unsigned round = 0; round < 3000; round++) {
        uint32_t plain[8], simd[8], blocks = (uint32_t)(draw() % 9);
        for (unsigned i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)draw();
        for (unsigned i = 0; i < 8; i++)
            plain[i] = simd[i] = (uint32_t)draw();
        ae_sha256_blocks(plain, data + round % 2, blocks, 0);
        ae_sha256_blocks(simd, data + round % 2, blocks, 1);
        CHECK(memcmp(plain, simd, sizeof plain) == 0);
    }
}

/* The frame's room is a heap block of exactly the promised size: one byte too far ends the program. */
static void frames(ae_encoder_t *e, uint64_t epoch, uint32_t key_bytes)
{
    uint8_t key[128], *room = malloc(AE_ORDER_FRAME_BYTES);
    char name[48];
    memset(key, 'k', sizeof key);
    memset(name, 'N', sizeof name);
    CHECK(room && ae_encoder_init(e, key, key_bytes, key, 64, 60000, epoch) == 0);
    CHECK(ae_encoder_slot(e, AE_SYMBOLS_MAX - 1, (const uint8_t *)name, 47, 18, 18) == 0);
    CHECK(ae_encoder_slot(e, 0, (const uint8_t *)name, 1, 0, 0) == 0);
    for (unsigned i = 0; i < 40000; i++) {
        ae_intent_t intent = {.symbol = i % 2 ? AE_SYMBOLS_MAX - 1 : 0, .side = i % 3 ? 1 : -1, .tif = (uint8_t)(1 + i % 5),
                              .type = i % 7 ? 1 : 2, .bits = i % 11 == 0, .qty = INT64_MAX, .px = INT64_MAX};
        if (i % 5) {
            intent.qty = 1 + (int64_t)(draw() >> (1 + draw() % 63));
            intent.px = 1 + (int64_t)(draw() >> (1 + draw() % 63));
        }
        if (intent.qty <= 0 || intent.px <= 0)
            continue;
        if (intent.type == 2)
            intent.px = 0;
        if (i % 1000 == 0)
            ae_encoder_logon(e, i / 1000 % 2);
        CHECK(ae_encoder_check(e, &intent) == 0);
        int bytes = ae_encoder_place(e, &intent, i % 2 ? INT64_MAX : 1795000000000, room);
        CHECK(bytes > 126 + 8 && bytes <= AE_ORDER_FRAME_BYTES);
        ae_encoder_next(e);
    }
    ae_encoder_wipe(e);
    free(room);
}

int main(void)
{
    vectors(0);
    if (ae_sha256_simd()) {
        vectors(1);
        twins();
    }
    ae_encoder_t *e = calloc(1, ae_encoder_bytes());
    CHECK(e != NULL);
    frames(e, UINT64_MAX, 120);
    frames(e, 0, 1);
    frames(e, 1795000000, 64);
    free(e);
    return 0;
}
