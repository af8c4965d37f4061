/* SHA-256 and HMAC over it, made for a signer that knows its key and most of its text ahead.
 *
 * Problem: a signature is the longest computation between a decision and the wire, and a library's one-shot HMAC hashes
 * the key twice and walks cold tables each time. Here only the compression of 64-byte blocks is offered, on a state the
 * caller keeps: what is known ahead is hashed ahead, once.
 * What must stay true: the two twins (SHA instructions, plain C) give the same state for every block; no globals; which
 * twin runs is the caller's argument, found once by ae_sha256_simd(). */
#define _GNU_SOURCE
#include "ae_internal.h"

#if defined(__x86_64__) && !defined(AE_NO_SIMD)
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] __attribute__((aligned(64))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

/* One round: the names move on by one from call to call, so that no word is moved. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                                               \
    do {                                                                                                               \
        uint32_t one_ = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (g ^ (e & (f ^ g))) + K[i] + w[i];              \
        d += one_;                                                                                                     \
        h = one_ + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) | (c & (a | b)));                               \
    } while (0)

/* The plain twin: any machine. */
static void blocks_plain(uint32_t *state, const uint8_t *data, uint32_t blocks)
{
    for (; blocks; blocks--, data += 64) {
        uint32_t w[64], a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (unsigned i = 0; i < 16; i++) {
            memcpy(&w[i], data + i * 4, 4);
            w[i] = __builtin_bswap32(w[i]);
        }
        for (unsigned i = 16; i < 64; i++) {
            uint32_t x = w[i - 15], y = w[i - 2];
            w[i] = w[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ x >> 3) + w[i - 7] + (turn(y, 17) ^ turn(y, 19) ^ y >> 10);
        }
        for (unsigned i = 0; i < 64; i += 8) {
            ROUND(a, b, c, d, e, f, g, h, i);
            ROUND(h, a, b, c, d, e, f, g, i + 1);
            ROUND(g, h, a, b, c, d, e, f, i + 2);
            ROUND(f, g, h, a, b, c, d, e, i + 3);
            ROUND(e, f, g, h, a, b, c, d, i + 4);
            ROUND(d, e, f, g, h, a, b, c, i + 5);
            ROUND(c, d, e, f, g, h, a, b, i + 6);
            ROUND(b, c, d, e, f, g, h, a, i + 7);
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(__x86_64__) && !defined(AE_NO_SIMD)
#define SHA __attribute__((target("sha,sse4.1")))

/* Four rounds with the message words in m; k points to their constants. */
#define FOUR(m, k)                                                                                                     \
    do {                                                                                                               \
        __m128i sum_ = _mm_add_epi32(m, _mm_load_si128((const __m128i *)(const void *)(k)));                           \
        cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum_);                                                                \
        abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum_, 0x0E));                                       \
    } while (0)
/* The next four message words take the place of the oldest, a; b, c, d follow it. */
#define NEXT(a, b, c, d)                                                                                               \
    a = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4)), d)
#define SIXTEEN(k)                                                                                                     \
    do {                                                                                                               \
        NEXT(m0, m1, m2, m3);                                                                                          \
        FOUR(m0, (k));                                                                                                 \
        NEXT(m1, m2, m3, m0);                                                                                          \
        FOUR(m1, (k) + 4);                                                                                             \
        NEXT(m2, m3, m0, m1);                                                                                          \
        FOUR(m2, (k) + 8);                                                                                             \
        NEXT(m3, m0, m1, m2);                                                                                          \
        FOUR(m3, (k) + 12);                                                                                            \
    } while (0)

/* The twin on SHA instructions, which want the state as abef and cdgh. With `outer`, one more block follows on that state:
 * the HMAC's, made of the words reached so far without leaving the registers. */
SHA static void run_simd(const uint32_t *state, const uint8_t *data, uint32_t blocks, const uint32_t *outer, uint32_t *out)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i *from = (const __m128i *)(const void *)data;
    __m128i abcd = _mm_loadu_si128((const __m128i *)(const void *)state);
    __m128i efgh = _mm_loadu_si128((const __m128i *)(const void *)state + 1), m0, m1, m2, m3;
    __m128i front = _mm_shuffle_epi32(abcd, 0xB1), back = _mm_shuffle_epi32(efgh, 0x1B);
    __m128i abef = _mm_alignr_epi8(front, back, 8), cdgh = _mm_blend_epi16(back, front, 0xF0);
    for (;;) {
        if (blocks) {
            m0 = _mm_shuffle_epi8(_mm_loadu_si128(from), swap);
            m1 = _mm_shuffle_epi8(_mm_loadu_si128(from + 1), swap);
            m2 = _mm_shuffle_epi8(_mm_loadu_si128(from + 2), swap);
            m3 = _mm_shuffle_epi8(_mm_loadu_si128(from + 3), swap);
            from += 4;
            blocks--;
        } else {
            front = _mm_shuffle_epi32(abef, 0x1B);
            back = _mm_shuffle_epi32(cdgh, 0xB1);
            m0 = _mm_blend_epi16(front, back, 0xF0);
            m1 = _mm_alignr_epi8(back, front, 8);
            if (!outer)
                break;
            m2 = _mm_set_epi32(0, 0, 0, INT32_MIN);
            m3 = _mm_set_epi32(96 * 8, 0, 0, 0);
            front = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)outer), 0xB1);
            back = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)outer + 1), 0x1B);
            abef = _mm_alignr_epi8(front, back, 8);
            cdgh = _mm_blend_epi16(back, front, 0xF0);
            outer = NULL;
        }
        front = abef;
        back = cdgh;
        FOUR(m0, K);
        FOUR(m1, K + 4);
        FOUR(m2, K + 8);
        FOUR(m3, K + 12);
        SIXTEEN(K + 16);
        SIXTEEN(K + 32);
        SIXTEEN(K + 48);
        abef = _mm_add_epi32(abef, front);
        cdgh = _mm_add_epi32(cdgh, back);
    }
    _mm_storeu_si128((__m128i *)(void *)out, m0);
    _mm_storeu_si128((__m128i *)(void *)out + 1, m1);
}
#endif

/* Whether this machine has SHA instructions: 1 or 0. Any thread; allocates: no. */
int ae_sha256_simd(void)
{
#if defined(__x86_64__) && !defined(AE_NO_SIMD)
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
#else
    return 0;
#endif
}

/* Compress `blocks` times 64 bytes into state (8 words; fresh: ae_sha256_start). simd: with SHA instructions, only where
 * ae_sha256_simd() says 1. Any thread, each with its own state; allocates: no; work: blocks. */
void ae_sha256_blocks(uint32_t *state, const uint8_t *data, uint32_t blocks, int simd)
{
#if defined(__x86_64__) && !defined(AE_NO_SIMD)
    if (simd) {
        run_simd(state, data, blocks, NULL, state);
        return;
    }
#else
    (void)simd;
#endif
    blocks_plain(state, data, blocks);
}

/* The state before the first block. */
void ae_sha256_start(uint32_t *state)
{
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(state, first, sizeof first);
}

/* Write a state as the 32 bytes of a digest. */
void ae_sha256_digest(const uint32_t *state, uint8_t *out)
{
    for (unsigned i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(state[i]);
        memcpy(out + i * 4, &word, 4);
    }
}

/* Write the padding behind `bytes` of text, the end of a text of `total`. Returns how many blocks it makes. */
static uint32_t pad(uint8_t *text, uint32_t bytes, uint64_t total)
{
    uint32_t blocks = (bytes + 8) / 64 + 1;
    uint64_t bits = __builtin_bswap64(total * 8);
    memset(text + bytes, 0, 64); /* the length begins at most 64 bytes on */
    text[bytes] = 0x80;
    memcpy(text + blocks * 64 - 8, &bits, 8);
    return blocks;
}

/* Pad the last `bytes` of a text of `total` bytes (of the text before it, total - bytes is a multiple of 64) and
 * compress them. `text` needs room for 72 more bytes, which are overwritten. Returns the blocks compressed. */
uint32_t ae_sha256_finish(uint32_t *state, uint8_t *text, uint32_t bytes, uint64_t total, int simd)
{
    uint32_t blocks = pad(text, bytes, total);
    ae_sha256_blocks(state, text, blocks, simd);
    return blocks;
}

/* The end of an HMAC: as ae_sha256_finish on a copy of `inner`, then its digest under `outer`. mac: 8 words, the first
 * digit of the text form in the highest bits of the first. Allocates: no; work: the text's blocks and one. */
void ae_hmac_finish(const uint32_t *inner, const uint32_t *outer, uint8_t *text, uint32_t bytes, uint64_t total,
                    uint32_t *mac, int simd)
{
    uint32_t blocks = pad(text, bytes, total);
#if defined(__x86_64__) && !defined(AE_NO_SIMD)
    if (simd) {
        run_simd(inner, text, blocks, outer, mac);
        return;
    }
#endif
    uint32_t state[8];
    uint8_t block[64] = {[32] = 0x80, [62] = 3}; /* 32 bytes behind one of 64: 768 bits */
    memcpy(state, inner, sizeof state);
    ae_sha256_blocks(state, text, blocks, simd);
    ae_sha256_digest(state, block);
    memcpy(mac, outer, sizeof state);
    ae_sha256_blocks(mac, block, 1, simd);
}

/* The states after the two key blocks of HMAC (RFC 2104): inner for the text, outer for the inner digest. The key itself
 * is not kept: these 64 bytes sign like it. Any length of key. */
void ae_hmac_start(const uint8_t *key, uint32_t bytes, uint32_t *inner, uint32_t *outer, int simd)
{
    uint8_t block[64] = {0}, keyed[64], tail[136];
    if (bytes > 64) {
        uint32_t hashed[8];
        ae_sha256_start(hashed);
        ae_sha256_blocks(hashed, key, bytes / 64, simd);
        memcpy(tail, key + bytes / 64 * 64, bytes % 64);
        ae_sha256_finish(hashed, tail, bytes % 64, bytes, simd);
        ae_sha256_digest(hashed, block);
    } else {
        memcpy(block, key, bytes);
    }
    for (unsigned i = 0; i < 64; i++)
        keyed[i] = block[i] ^ 0x36;
    ae_sha256_start(inner);
    ae_sha256_blocks(inner, keyed, 1, simd);
    for (unsigned i = 0; i < 64; i++)
        keyed[i] = block[i] ^ 0x5c;
    ae_sha256_start(outer);
    ae_sha256_blocks(outer, keyed, 1, simd);
    explicit_bzero(block, sizeof block);
    explicit_bzero(keyed, sizeof keyed);
    explicit_bzero(tail, sizeof tail);
}
