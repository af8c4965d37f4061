/* JSON of any key order -> spans by key: one look at each byte, sixteen bytes at a time where the machine can.
 *
 * What must stay true: a span is given only for text that is whole and valid up to there; nothing beyond `end` is
 * read; escapes never come here (refused for the whole frame before). */
#include "scan.h"

#if defined(__SSE2__) && !defined(AE_NO_SIMD)
#define AE_SSE2 1
#include <emmintrin.h>
#endif

static const uint8_t *fail(ae_scan_t *s, uint32_t reason)
{
    if (!s->reason)
        s->reason = reason;
    return NULL;
}

/* No members. */
void ae_members_clear(ae_members_t *m)
{
    memset(m->index, 0, sizeof m->index);
    m->count = 0;
    m->list[0] = (ae_span_t){0};
}

/* p behind the opening quote; returns behind the closing one. */
static const uint8_t *scan_string(ae_scan_t *s, const uint8_t *p, ae_span_t *out)
{
    const uint8_t *from = p;
#ifdef AE_SSE2
    const __m128i quote = _mm_set1_epi8('"'), control = _mm_set1_epi8(0x1f);
    for (; s->end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(_mm_min_epu8(v, control), v));
        uint32_t mask = (uint32_t)_mm_movemask_epi8(hit);
        if (mask) {
            p += __builtin_ctz(mask);
            break;
        }
    }
#endif
    while (p < s->end && *p != '"') {
        if (*p < 0x20)
            return fail(s, AE_REASON_BAD_JSON);
        p++;
    }
    if (p >= s->end)
        return fail(s, AE_REASON_BAD_JSON);
    out->at = from;
    out->bytes = (uint32_t)(p - from);
    out->type = AE_T_STRING;
    return p + 1;
}

static inline const uint8_t *digits(const ae_scan_t *s, const uint8_t *p)
{
#ifdef AE_SSE2
    if (s->end - p >= 16) {
        __m128i v = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8('0'));
        __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(9)), v);
        uint32_t other = ~(uint32_t)_mm_movemask_epi8(digit) & 0xffff;
        if (other)
            return p + __builtin_ctz(other);
        p += 16;
    }
#endif
    while (p < s->end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static const uint8_t *scan_number(ae_scan_t *s, const uint8_t *p, ae_span_t *out)
{
    const uint8_t *from = p;
    if (*p == '-')
        p++;
    const uint8_t *whole = p;
    p = digits(s, p);
    if (p == whole || (*whole == '0' && p - whole > 1))
        return fail(s, AE_REASON_BAD_JSON);
    if (p < s->end && *p == '.') {
        const uint8_t *places = ++p;
        p = digits(s, p);
        if (p == places)
            return fail(s, AE_REASON_BAD_JSON);
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < s->end && (*p == '+' || *p == '-'))
            p++;
        const uint8_t *power = p;
        p = digits(s, p);
        if (p == power)
            return fail(s, AE_REASON_BAD_JSON);
    }
    out->at = from;
    out->bytes = (uint32_t)(p - from);
    out->type = AE_T_NUMBER;
    return p;
}

static const uint8_t *scan_word(ae_scan_t *s, const uint8_t *p, ae_span_t *out)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(s->end - p) >= n && memcmp(p, words[i], n) == 0) {
            out->at = p;
            out->bytes = (uint32_t)n;
            out->type = AE_T_WORD;
            return p + n;
        }
    }
    return fail(s, AE_REASON_BAD_JSON);
}

static const uint8_t *scan_array(ae_scan_t *s, const uint8_t *p, uint32_t depth)
{
    ae_span_t item;
    p = ae_skip_space(p + 1, s->end);
    if (p < s->end && *p == ']')
        return p + 1;
    for (;;) {
        p = ae_scan_value(s, p, depth + 1, &item);
        if (!p)
            return NULL;
        p = ae_skip_space(p, s->end);
        if (p >= s->end || (*p != ',' && *p != ']'))
            return fail(s, AE_REASON_BAD_JSON);
        if (*p++ == ']')
            return p;
    }
}

/* One value at p (white space before it allowed) inside `depth` brackets; returns behind it, NULL with s->reason. */
const uint8_t *ae_scan_value(ae_scan_t *s, const uint8_t *p, uint32_t depth, ae_span_t *out)
{
    p = ae_skip_space(p, s->end);
    if (p >= s->end)
        return fail(s, AE_REASON_BAD_JSON);
    if (*p == '"')
        return scan_string(s, p + 1, out);
    if (*p == '-' || (*p >= '0' && *p <= '9'))
        return scan_number(s, p, out);
    if (*p != '{' && *p != '[')
        return scan_word(s, p, out);
    if (depth >= AE_JSON_DEPTH)
        return fail(s, AE_REASON_TOO_DEEP);
    const uint8_t *from = p;
    uint32_t type = *p == '{' ? AE_T_OBJECT : AE_T_ARRAY;
    p = *p == '{' ? ae_scan_object(s, p, depth + 1, NULL, NULL) : scan_array(s, p, depth);
    if (p)
        *out = (ae_span_t){from, (uint32_t)(p - from), type};
    return p;
}

/* Where the member of this key is kept; 0: nobody asks for it. */
static uint32_t code_of(const ae_span_t *key)
{
    const uint8_t *k = key->at;
    switch (key->bytes) {
    case 1: return k[0] < 128 ? k[0] : 0;
    case 2: return k[1] != (k[0] == 'p' ? 'u' : 'p') ? 0 : k[0] == 'p' ? AE_KEY_PU : k[0] == 'a' ? AE_KEY_AP : 0;
    case 4: return memcmp(k, "data", 4) == 0 ? AE_KEY_DATA : 0;
    case 6: return memcmp(k, "stream", 6) == 0 ? AE_KEY_STREAM : 0;
    default: return 0;
    }
}

/* The key at p (at its quote) and its colon; returns behind the colon. */
static inline const uint8_t *scan_key(ae_scan_t *s, const uint8_t *p, ae_span_t *key)
{
    if (s->end - p >= 4 && p[0] == '"' && p[2] == '"' && p[3] == ':' && p[1] >= ' ' && p[1] != '"') {
        *key = (ae_span_t){p + 1, 1, AE_T_STRING};
        return p + 4;
    }
    p = ae_skip_space(p, s->end);
    if (p >= s->end || *p != '"')
        return fail(s, AE_REASON_BAD_JSON);
    p = scan_string(s, p + 1, key);
    if (!p)
        return NULL;
    p = ae_skip_space(p, s->end);
    if (p >= s->end || *p != ':')
        return fail(s, AE_REASON_BAD_JSON);
    return p + 1;
}

/* One `"key":value` at p (white space allowed); returns behind the value, NULL with s->reason. */
const uint8_t *ae_scan_pair(ae_scan_t *s, const uint8_t *p, uint32_t depth, ae_span_t *key, ae_span_t *value)
{
    p = scan_key(s, p, key);
    return p ? ae_scan_value(s, p, depth, value) : NULL;
}

/* p at the opening brace; returns behind the closing one. `out` (cleared by the caller) may be NULL: only validate.
 * `data`, when given, receives the members of the object under the key "data" on the way. Of a repeated key the last
 * one stays. */
const uint8_t *ae_scan_object(ae_scan_t *s, const uint8_t *p, uint32_t depth, ae_members_t *out, ae_members_t *data)
{
    p = ae_skip_space(p + 1, s->end);
    if (p < s->end && *p == '}')
        return p + 1;
    for (;;) {
        ae_span_t key, ignored, *value = &ignored; /* scanned in place: a copy would wait for its parts */
        p = scan_key(s, p, &key);
        if (!p)
            return NULL;
        uint32_t code = out ? code_of(&key) : 0;
        if (code) {
            if (!out->index[code])
                out->index[code] = (uint8_t)++out->count;
            value = &out->list[out->index[code]];
        }
        const uint8_t *from = p;
        if (data && code == AE_KEY_DATA)
            p = from = ae_skip_space(p, s->end);
        if (data && code == AE_KEY_DATA && p < s->end && *p == '{') {
            ae_members_clear(data);
            p = ae_scan_object(s, p, depth + 1, data, NULL);
            if (!p)
                return NULL;
            *value = (ae_span_t){from, (uint32_t)(p - from), AE_T_OBJECT};
        } else {
            p = ae_scan_value(s, p, depth, value);
            if (!p)
                return NULL;
        }
        p = ae_skip_space(p, s->end);
        if (p >= s->end || (*p != ',' && *p != '}'))
            return fail(s, AE_REASON_BAD_JSON);
        if (*p++ == '}')
            return p;
    }
}
