/* The kernels that read digits many at a time, in three twins: scalar (any machine), AVX2, AVX-512.
 *
 * What must stay true: the twins give the same answer on every input, whether they take it or not; a twin that is not
 * sure says no and the general path decides. None reads beyond the bytes it was given, in front or behind: windows
 * end at a byte that was seen, tails are loaded overlapping or through a copy. */
#include "digits.h"

const uint64_t ae_powers[AE_POWERS] = {1U,
                                       10U,
                                       100U,
                                       1000U,
                                       10000U,
                                       100000U,
                                       1000000U,
                                       10000000U,
                                       100000000U,
                                       1000000000U,
                                       10000000000U,
                                       100000000000U,
                                       1000000000000U,
                                       10000000000000U,
                                       100000000000000U,
                                       1000000000000000U,
                                       10000000000000000U,
                                       100000000000000000U,
                                       1000000000000000000U};

/* ---- scalar */

/* Bytes of x less bytes of y, each mod 256. */
static inline uint64_t minus(uint64_t x, uint64_t y)
{
    const uint64_t high = 0x8080808080808080U;
    return ((x | high) - (y & ~high)) ^ ((x ^ ~y) & high);
}

/* Bit 7 of a byte that is > its limit (limits < 128) is set, of some byte whenever any is. */
static inline uint64_t above(uint64_t x, uint64_t limit)
{
    return (x | (x + (0x7f7f7f7f7f7f7f7fU - limit))) & 0x8080808080808080U;
}

static int flat_scalar(const ae_layout_t *l, const uint8_t *data, uint64_t *values)
{
    uint64_t wrong = 0;
    uint32_t last = l->bytes - 8U;
    for (uint32_t i = 0; i < last; i += 8)
        wrong |= above(minus(ae_load8(data + i), ae_load8(l->base + i)), ae_load8(l->span + i));
    wrong |= above(minus(ae_load8(data + last), ae_load8(l->base + last)), ae_load8(l->span + last));
    if (wrong)
        return 0;
    for (uint32_t k = 0; k < AE_LAYOUT_FIELDS; k++) {
        uint64_t whole = 0, part = 0;
        const uint8_t *from = data + l->from[k];
        (void)ae_number(from, l->whole[k], &whole);
        if (l->part[k])
            (void)ae_number(from + l->whole[k] + 1, l->part[k], &part);
        values[k] = (whole * ae_powers[l->part[k]] + part) * ae_powers[l->ten[k]];
    }
    return 1;
}

/* One number of a level; 0 when it is not as planned. */
static int planned(const ae_level_plan_t *plan, uint32_t half, const uint8_t *from, const uint8_t *quote, int64_t *out)
{
    uint32_t width = (uint32_t)(quote - from), places = plan->places[half], exp = plan->exp[half];
    if (width < plan->least[half] || width > plan->most[half])
        return 0;
    uint32_t digits = places ? width - places - 1 : width;
    uint64_t whole, part;
    if ((places && from[digits] != '.') || !ae_number(from, digits, &whole) || !ae_number(quote - places, places, &part))
        return 0;
    if (places > exp) {
        uint64_t beyond = ae_powers[places - exp];
        if (part % beyond)
            return 0;
        part /= beyond;
    } else {
        part *= ae_powers[exp - places];
    }
    *out = (int64_t)(whole * ae_powers[exp] + part);
    return 1;
}

static const uint8_t *quote_after(const uint8_t *p, const uint8_t *end)
{
    for (const uint8_t *limit = end - p > 17 ? p + 17 : end; p < limit; p++)
        if (*p == '"')
            return p;
    return NULL;
}

static uint32_t levels_scalar(const ae_level_plan_t *plan, const uint8_t *p, const uint8_t *end, const ae_tick_t *like,
                              ae_tick_t *out, uint32_t room, const uint8_t **stop)
{
    uint32_t count = 0;
    *stop = p;
    while (count < room && end - p > 4 && p[0] == '[' && p[1] == '"') {
        const uint8_t *px_end = quote_after(p + 2, end);
        if (!px_end || end - px_end < 4 || px_end[1] != ',' || px_end[2] != '"')
            break;
        const uint8_t *qty_end = quote_after(px_end + 3, end);
        if (!qty_end || end - qty_end < 4 || qty_end[1] != ']')
            break;
        int64_t px, qty;
        if (!planned(plan, 0, p + 2, px_end, &px) || !planned(plan, 1, px_end + 3, qty_end, &qty))
            break;
        out[count] = *like;
        out[count].a = px;
        out[count++].b = qty;
        *stop = qty_end + 2;
        p = qty_end + 3;
        if (qty_end[2] != ',')
            break;
    }
    return count;
}

static const ae_digits_t scalar = {"scalar", flat_scalar, levels_scalar};

#if defined(__x86_64__) && !defined(AE_NO_SIMD)
#include <immintrin.h>

#define AE_AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt,lzcnt")))
#define AE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,avx2,bmi,bmi2,popcnt,lzcnt")))
#define AE_SPAN_BYTES 1024 /* marked at a time; about 45 levels */

/* Sixteen digits in each half to their values, in the low 64 bits of each half. */
AE_AVX2 static inline __m256i join_digits(__m256i digits)
{
    __m256i two = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010a));
    __m256i four = _mm256_madd_epi16(two, _mm256_set1_epi32(0x00010064));
    __m256i packed = _mm256_packus_epi32(four, four);
    __m256i eight = _mm256_madd_epi16(packed, _mm256_set1_epi32(0x00012710));
    return _mm256_add_epi64(_mm256_mul_epu32(eight, _mm256_set1_epi64x(100000000)), _mm256_srli_epi64(eight, 32));
}

AE_AVX2 static inline __m256i two_windows(const uint8_t *low, const uint8_t *high)
{
    __m128i first = _mm_loadu_si128((const __m128i *)(const void *)low);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(first), _mm_loadu_si128((const __m128i *)(const void *)high),
                                   1);
}

AE_AVX2 static inline __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

AE_AVX2 static inline void two_numbers(const ae_layout_t *l, const uint8_t *data, uint32_t k, uint64_t *values)
{
    __m256i window = two_windows(data + l->at[k], data + l->at[k + 1]);
    window = _mm256_sub_epi8(window, _mm256_set1_epi8('0'));
    __m256i value = join_digits(_mm256_shuffle_epi8(window, load32(l->shuffle[k])));
    value = _mm256_permute4x64_epi64(value, 0x08);
    _mm_storeu_si128((__m128i *)(void *)(values + k), _mm256_castsi256_si128(value));
}

AE_AVX2 static int flat_avx2(const ae_layout_t *l, const uint8_t *data, uint64_t *values)
{
    __m256i wrong = _mm256_setzero_si256();
    uint32_t last = l->bytes - 32U;
    for (uint32_t i = 0; i < last; i += 32)
        wrong = _mm256_or_si256(
            wrong, _mm256_subs_epu8(_mm256_sub_epi8(load32(data + i), load32(l->base + i)), load32(l->span + i)));
    wrong = _mm256_or_si256(
        wrong, _mm256_subs_epu8(_mm256_sub_epi8(load32(data + last), load32(l->base + last)), load32(l->span + last)));
    if (!_mm256_testz_si256(wrong, wrong))
        return 0;
    two_numbers(l, data, 0, values);
    two_numbers(l, data, 2, values);
    two_numbers(l, data, 4, values);
    return 1;
}

/* Sliding window: 16 - width bytes that are not of the number, then width that are. */
static const uint8_t outside[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

typedef uint32_t (*mark_t)(const uint8_t *p, const uint8_t *end, uint16_t *quotes);

/* Levels by the places of their quotes, which `mark` finds for about a thousand bytes ahead: so that no level waits
 * for the end of the one before it. */
AE_AVX2 static inline uint32_t levels_marked(const ae_level_plan_t *plan, const uint8_t *p, const uint8_t *end,
                                             const ae_tick_t *like, ae_tick_t *out, uint32_t room,
                                             const uint8_t **stop, mark_t mark)
{
    uint16_t quotes[AE_SPAN_BYTES + 64];
    const __m256i base = load32(plan->base), span = load32(plan->span), shuffle = load32(plan->shuffle);
    const __m256i head = load32((const uint8_t *)like), tail = load32((const uint8_t *)like + 32);
    const uint32_t px_least = plan->least[0], px_room = (uint32_t)plan->most[0] - plan->least[0];
    const uint32_t qty_least = plan->least[1], qty_room = (uint32_t)plan->most[1] - plan->least[1];
    uint32_t count = 0;
    *stop = p;
    if (p >= end || *p != '[')
        return 0;
    for (;;) {
        uint32_t marked = mark(p, end, quotes);
        uint32_t open = 1, i = 0;
        for (; i + 4 <= marked && count < room; i += 4) {
            uint32_t px_end = quotes[i + 1], qty_end = quotes[i + 3];
            uint32_t px_width = px_end - open - 1, qty_width = qty_end - px_end - 3;
            const uint8_t *close = p + qty_end;
            /* quotes[i] is at `open`: were it later, it would stand where the price's digits are looked for */
            if (px_width - px_least > px_room || qty_width - qty_least > qty_room ||
                end - close < 4)
                return count;
            uint32_t middle, after;
            memcpy(&middle, p + px_end, 4);
            memcpy(&after, close, 4);
            if ((middle & 0xffffff) != 0x222c22 || (after & 0xffff) != 0x5d22) /* `","` and `"]` */
                return count;
            __m256i window = two_windows(p + px_end - 16, close - 16);
            __m256i other = two_windows(outside + px_width, outside + qty_width);
            __m256i digits = _mm256_sub_epi8(window, base);
            __m256i wrong = _mm256_subs_epu8(digits, _mm256_max_epu8(span, other));
            if (!_mm256_testz_si256(wrong, wrong))
                return count;
            __m256i value = join_digits(_mm256_shuffle_epi8(_mm256_andnot_si256(other, digits), shuffle));
            value = _mm256_blend_epi32(_mm256_permute4x64_epi64(value, 0x08), tail, 0xf0);
            uint8_t *to = (uint8_t *)&out[count++];
            _mm256_storeu_si256((__m256i *)(void *)to, head);
            _mm256_storeu_si256((__m256i *)(void *)(to + 32), value);
            *stop = close + 2;
            if (after != 0x5b2c5d22) /* `"],[` */
                return count;
            open = qty_end + 4;
        }
        if (!i || count == room)
            return count;
        p += open - 1;
    }
}

/* Twelve quotes in 64 bytes is usual: sixteen places are written whether they are used or not, without a branch. */
AE_AVX2 static inline uint32_t put_marks(uint64_t bits, uint32_t at, uint16_t *to)
{
    uint32_t n = (uint32_t)__builtin_popcountll(bits);
#pragma GCC unroll 16
    for (uint32_t i = 0; i < 16; i++, bits = _blsr_u64(bits))
        to[i] = (uint16_t)(at + (uint32_t)_tzcnt_u64(bits));
    for (uint32_t i = 16; i < n; i++, bits = _blsr_u64(bits))
        to[i] = (uint16_t)(at + (uint32_t)_tzcnt_u64(bits));
    return n;
}

AE_AVX2 static inline uint64_t quotes_of(const uint8_t *p)
{
    const __m256i quote = _mm256_set1_epi8('"');
    uint32_t low = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(load32(p), quote));
    uint32_t high = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(load32(p + 32), quote));
    return (uint64_t)high << 32 | low;
}

AE_AVX2 static uint32_t mark_avx2(const uint8_t *p, const uint8_t *end, uint16_t *quotes)
{
    uint32_t n = 0, at = 0, bytes = end - p < AE_SPAN_BYTES ? (uint32_t)(end - p) : AE_SPAN_BYTES;
    for (; bytes - at >= 64; at += 64)
        n += put_marks(quotes_of(p + at), at, quotes + n);
    if (bytes > at) {
        uint8_t rest[64] = {0};
        memcpy(rest, p + at, bytes - at);
        n += put_marks(quotes_of(rest), at, quotes + n);
    }
    return n;
}

AE_AVX2 static uint32_t levels_avx2(const ae_level_plan_t *plan, const uint8_t *p, const uint8_t *end,
                                    const ae_tick_t *like, ae_tick_t *out, uint32_t room, const uint8_t **stop)
{
    return levels_marked(plan, p, end, like, out, room, stop, mark_avx2);
}

static const ae_digits_t avx2 = {"avx2", flat_avx2, levels_avx2};

AE_AVX512 static inline __mmask64 strange(const ae_layout_t *l, const uint8_t *data, uint32_t at)
{
    __m512i x = _mm512_sub_epi8(_mm512_loadu_si512(data + at), _mm512_loadu_si512(l->base + at));
    return _mm512_cmpgt_epu8_mask(x, _mm512_loadu_si512(l->span + at));
}

AE_AVX512 static int flat_avx512(const ae_layout_t *l, const uint8_t *data, uint64_t *values)
{
    uint32_t last = l->bytes - 64U;
    __mmask64 wrong = strange(l, data, last);
    for (uint32_t i = 0; i < last; i += 64)
        wrong |= strange(l, data, i);
    if (wrong)
        return 0;
    two_numbers(l, data, 0, values);
    two_numbers(l, data, 2, values);
    two_numbers(l, data, 4, values);
    return 1;
}

AE_AVX512 static uint32_t mark_avx512(const uint8_t *p, const uint8_t *end, uint16_t *quotes)
{
    static const uint8_t iota[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                     16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                     32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                     48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    const __m512i places = _mm512_loadu_si512(iota), quote = _mm512_set1_epi8('"');
    uint32_t n = 0, bytes = end - p < AE_SPAN_BYTES ? (uint32_t)(end - p) : AE_SPAN_BYTES;
    for (uint32_t at = 0; at < bytes; at += 64) {
        uint64_t here = bytes - at >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << (bytes - at)) - 1;
        uint64_t bits = _mm512_cmpeq_epi8_mask(_mm512_maskz_loadu_epi8(here, p + at), quote);
        __m512i found = _mm512_maskz_compress_epi8(bits, places);
        __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(found));
        _mm512_storeu_si512(quotes + n, _mm512_add_epi16(low, _mm512_set1_epi16((int16_t)at)));
        uint32_t more = (uint32_t)__builtin_popcountll(bits);
        if (more > 32)
            return n; /* that many quotes are no levels */
        n += more;
    }
    return n;
}

AE_AVX512 static uint32_t levels_avx512(const ae_level_plan_t *plan, const uint8_t *p, const uint8_t *end,
                                        const ae_tick_t *like, ae_tick_t *out, uint32_t room, const uint8_t **stop)
{
    return levels_marked(plan, p, end, like, out, room, stop, mark_avx512);
}

static const ae_digits_t avx512 = {"avx512", flat_avx512, levels_avx512};
#endif

const ae_digits_t *ae_digits_for(uint32_t kind)
{
    (void)kind;
#if defined(__x86_64__) && !defined(AE_NO_SIMD)
    int first = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                __builtin_cpu_supports("popcnt");
    int second = first && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512vbmi2");
    if (second && (kind == AE_DIGITS_BEST || kind == AE_DIGITS_AVX512))
        return &avx512;
    if (first && kind != AE_DIGITS_SCALAR)
        return &avx2;
#endif
    return &scalar;
}
