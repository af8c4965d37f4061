/* Digits eight and more at a time: SWAR for single numbers, and the kernels of predict.c and levels.c in twins
 * (scalar, AVX2, AVX-512) chosen once at run time. */
#ifndef AE_DIGITS_H
#define AE_DIGITS_H

#include "ae_internal.h"

#define AE_LAYOUT_BYTES 256
#define AE_LAYOUT_LEAST 64
#define AE_LAYOUT_FIELDS 6
#define AE_POWERS 19

extern const uint64_t ae_powers[AE_POWERS];

/* What a frame (or the head of a depth frame) looks like, byte for byte: byte i is right when
 * (uint8_t)(data[i] - base[i]) <= span[i], so a literal has span 0, a digit base '0' span 9, a first digit that must
 * not be 0 base '1' span 8. Number k: sixteen bytes from at[k], shuffled into sixteen digits (0x80: a zero); or, said in
 * another way, whole[k] digits from from[k] on, a point and part[k] digits, times ten to the power of ten[k]. */
typedef struct ae_layout {
    uint8_t base[AE_LAYOUT_BYTES];
    uint8_t span[AE_LAYOUT_BYTES];
    uint8_t shuffle[AE_LAYOUT_FIELDS][16];
    uint16_t at[AE_LAYOUT_FIELDS];
    uint16_t bytes;
    uint8_t from[AE_LAYOUT_FIELDS];
    uint8_t whole[AE_LAYOUT_FIELDS];
    uint8_t part[AE_LAYOUT_FIELDS];
    uint8_t ten[AE_LAYOUT_FIELDS];
    uint16_t reserved;
} ae_layout_t;

/* What the levels of one depth frame look like: price in the low, quantity in the high half, both flush right in a
 * window of sixteen bytes before the closing quote. least, most: bytes of each that may be taken. */
typedef struct ae_level_plan {
    uint8_t base[32];
    uint8_t span[32];
    uint8_t shuffle[32];
    uint8_t least[2];
    uint8_t most[2];
    uint8_t places[2];
    uint8_t exp[2];
    uint8_t ready;
    uint8_t reserved[23];
} ae_level_plan_t;

/* One implementation of the kernels; all give the same results.
 * flat: does data[0 .. layout->bytes) look so? Then its numbers into values (all AE_LAYOUT_FIELDS), and 1; else 0.
 * levels: `["px","qty"]` after `["px","qty"]` from p (at a '['), parted by bare commas, into out[i].a and .b, the rest
 *   of a record from `like`, until one looks different, the list ends or `room` records are filled. Returns how many;
 *   *stop is behind the last ']' taken (p when none). At least sixteen bytes before p must be readable. */
typedef struct ae_digits {
    const char *name;
    int (*flat)(const ae_layout_t *layout, const uint8_t *data, uint64_t *values);
    uint32_t (*levels)(const ae_level_plan_t *plan, const uint8_t *p, const uint8_t *end, const ae_tick_t *like,
                       ae_tick_t *out, uint32_t room, const uint8_t **stop);
} ae_digits_t;

/* The kernels of one kind (AE_DIGITS_*), or the best below it that this machine can. */
const ae_digits_t *ae_digits_for(uint32_t kind);

static inline uint64_t ae_load8(const uint8_t *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* Eight digit values, first one in the lowest byte, to a number. */
static inline uint64_t ae_eight(uint64_t w)
{
    w = w * 10 + (w >> 8);
    return ((w & 0x000000ff000000ffU) * 0x000f424000000064U + (w >> 16 & 0x000000ff000000ffU) * 0x0000271000000001U) >>
           32;
}

/* Whether eight bytes less '0' each are all digits (w is the difference). */
static inline int ae_are_digits(uint64_t w)
{
    return !((w | (w + 0x7676767676767676U)) & 0x8080808080808080U);
}

/* Exactly n <= 18 digits at p to a number; 0 when one is no digit (n = 0 gives 0 digits of value 0, and 1). */
static inline int ae_number(const uint8_t *p, uint32_t n, uint64_t *out)
{
    uint64_t value = 0;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w = ae_load8(p) ^ 0x3030303030303030U;
        if (!ae_are_digits(w))
            return 0;
        value = value * 100000000 + ae_eight(w);
    }
    for (; n; n--, p++) {
        uint32_t digit = (uint32_t)*p - '0';
        if (digit > 9)
            return 0;
        value = value * 10 + digit;
    }
    *out = value;
    return 1;
}

#endif
