/* Text of one number -> integer, or mantissa and exponent. Exact or refused, never rounded. */
#include "levels.h"

typedef struct decimal {
    int64_t m;
    uint32_t e;
} decimal_t;

/* More than 18 digits: still exact, but looked at one by one. A point is passed over. */
static uint32_t many_digits(const uint8_t *p, const uint8_t *end, uint32_t not_a_digit, uint64_t *out)
{
    uint64_t value = 0;
    for (; p < end; p++) {
        if (*p == '.')
            continue;
        if (*p < '0' || *p > '9')
            return not_a_digit;
        if (__builtin_mul_overflow(value, 10U, &value) || __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value) ||
            value > INT64_MAX)
            return AE_REASON_OVERFLOW;
    }
    *out = value;
    return 0;
}

/* A whole number, quoted or not. */
uint32_t ae_to_int(const ae_span_t *v, int64_t *out)
{
    if (v->type == AE_T_NONE)
        return AE_REASON_MISSING_FIELD;
    if (v->type != AE_T_NUMBER && v->type != AE_T_STRING)
        return AE_REASON_BAD_INTEGER;
    const uint8_t *p = v->at, *end = v->at + v->bytes;
    int negative = p < end && *p == '-';
    p += negative;
    uint64_t value = 0;
    uint32_t reason = p == end ? AE_REASON_BAD_INTEGER : 0;
    if (!reason && end - p <= 18)
        reason = ae_number(p, (uint32_t)(end - p), &value) ? 0 : AE_REASON_BAD_INTEGER;
    else if (!reason)
        reason = memchr(p, '.', (size_t)(end - p)) ? AE_REASON_BAD_INTEGER
                                                   : many_digits(p, end, AE_REASON_BAD_INTEGER, &value);
    *out = negative ? -(int64_t)value : (int64_t)value;
    return reason;
}

/* Plain decimal text, trailing zeros trimmed of the places beyond `exp`. */
static uint32_t to_decimal(const ae_span_t *v, uint32_t exp, decimal_t *out)
{
    if (v->type == AE_T_NONE)
        return AE_REASON_MISSING_FIELD;
    if (v->type != AE_T_NUMBER && v->type != AE_T_STRING)
        return AE_REASON_BAD_NUMBER;
    const uint8_t *p = v->at, *end = v->at + v->bytes;
    int negative = p < end && *p == '-';
    p += negative;
    uint64_t value = 0;
    const uint8_t *point = p;
    for (; point < end && *point >= '0' && *point <= '9'; point++)
        value = value * 10 + (uint64_t)(*point - '0'); /* wraps beyond 19 digits: then it is not used */
    if (point == p || point + 1 == end || (point < end && *point != '.'))
        return AE_REASON_BAD_NUMBER;
    const uint8_t *places = point < end ? point + 1 : end;
    while (end - places > (int64_t)exp && end[-1] == '0')
        end--;
    out->e = (uint32_t)(end - places);
    uint32_t strange = 0;
    if (out->e + (uint32_t)(point - p) <= 18) {
        for (const uint8_t *q = places; q < end; q++) {
            strange |= *q < '0' || *q > '9';
            value = value * 10 + (uint64_t)(*q - '0');
        }
    } else {
        if (memchr(places, '.', out->e))
            return AE_REASON_BAD_NUMBER;
        if (out->e > AE_EXP_MAX)
            return AE_REASON_EXPONENT;
        uint32_t reason = many_digits(p, out->e ? end : point, AE_REASON_BAD_NUMBER, &value);
        if (reason)
            return reason;
    }
    if (strange)
        return AE_REASON_BAD_NUMBER;
    out->m = negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

static uint32_t raise_to(decimal_t *d, uint32_t e)
{
    if (__builtin_mul_overflow(d->m, (int64_t)ae_powers[e - d->e], &d->m) || d->m == INT64_MIN)
        return AE_REASON_OVERFLOW;
    d->e = e;
    return 0;
}

/* At most four decimals to mantissas at one shared exponent: the largest of *exp and what each needs. */
uint32_t ae_to_mantissas(const ae_span_t *const *from, uint32_t count, uint8_t *exp, int64_t *const *to)
{
    decimal_t d[4];
    uint32_t e = *exp, reason;
    for (uint32_t i = 0; i < count; i++) {
        if ((reason = to_decimal(from[i], *exp, &d[i])))
            return reason;
        if (d[i].e > e)
            e = d[i].e;
    }
    for (uint32_t i = 0; i < count; i++) {
        if ((reason = raise_to(&d[i], e)))
            return reason;
        *to[i] = d[i].m;
    }
    *exp = (uint8_t)e;
    return 0;
}
