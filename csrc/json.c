/* JSON as the venue sends it: one object is scanned once into a flat table of keys and where their values lie.
 *
 * Key order, white space and unknown keys are the venue's to change (PROTOCOL 0.1), so nothing here depends on
 * them. Nested values are checked for form and skipped. What must stay true: no byte beyond `end` is read; a
 * message that is not JSON is refused whole; of a key that stands twice the last counts. */
#include "ae_internal.h"

#include <string.h>

#define DEPTH_MAX 16

const uint8_t *ae_json_space(const uint8_t *p, const uint8_t *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) p++;
    return p;
}

static int is_hex(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* `p` at the backslash; behind the escape, or NULL */
static const uint8_t *skip_escape(const uint8_t *p, const uint8_t *end) {
    if (end - p < 2) return NULL;
    if (p[1] != 'u') return memchr("\"\\/bfnrt", p[1], 8) != NULL ? p + 2 : NULL;
    if (end - p < 6) return NULL;
    for (int i = 2; i < 6; i++)
        if (!is_hex(p[i])) return NULL;
    return p + 6;
}

/* `p` at the opening quote; behind the closing one, or NULL */
const uint8_t *ae_json_string(const uint8_t *p, const uint8_t *end, ae_field *out) {
    const uint8_t *start = ++p;
    out->escaped = 0;
    while (p < end && *p != '"') {
        if (*p < 0x20) return NULL;
        if (*p == '\\') {
            out->escaped = 1;
            p = skip_escape(p, end);
            if (p == NULL) return NULL;
        } else {
            p++;
        }
    }
    if (p >= end) return NULL;
    out->at = start;
    out->bytes = (uint32_t)(p - start);
    out->type = AE_T_STRING;
    return p + 1;
}

static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end) {
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

/* number by JSON's own grammar; behind it, or NULL */
static const uint8_t *skip_number(const uint8_t *p, const uint8_t *end) {
    if (p < end && *p == '-') p++;
    const uint8_t *whole = p;
    p = skip_digits(p, end);
    if (p == whole || (*whole == '0' && p - whole > 1)) return NULL;
    if (p < end && *p == '.') {
        const uint8_t *places = ++p;
        p = skip_digits(p, end);
        if (p == places) return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        const uint8_t *power = p;
        p = skip_digits(p, end);
        if (p == power) return NULL;
    }
    return p;
}

static const uint8_t *skip_word(const uint8_t *p, const uint8_t *end) {
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0) return p + n;
    }
    return NULL;
}

static const uint8_t *skip_scalar(const uint8_t *p, const uint8_t *end, ae_field *out) {
    if (p >= end) return NULL;
    if (*p == '"') return ae_json_string(p, end, out);
    const uint8_t *start = p;
    out->type = *p == '-' || (*p >= '0' && *p <= '9') ? AE_T_NUMBER : AE_T_WORD;
    p = out->type == AE_T_NUMBER ? skip_number(p, end) : skip_word(p, end);
    out->at = start;
    if (p != NULL) out->bytes = (uint32_t)(p - start);
    out->escaped = 0;
    return p;
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end, int depth, ae_field *out);

/* `p` at '{' or '['; behind the matching bracket, or NULL */
static const uint8_t *skip_nested(const uint8_t *p, const uint8_t *end, int depth) {
    uint8_t close = *p == '{' ? '}' : ']';
    ae_field ignored;
    if (depth == 0) return NULL;
    p = ae_json_space(p + 1, end);
    if (p < end && *p == close) return p + 1;
    while (p < end) {
        if (close == '}') {
            if (*p != '"' || (p = ae_json_string(p, end, &ignored)) == NULL) return NULL;
            p = ae_json_space(p, end);
            if (p >= end || *p++ != ':') return NULL;
            p = ae_json_space(p, end);
        }
        if ((p = skip_value(p, end, depth - 1, &ignored)) == NULL) return NULL;
        p = ae_json_space(p, end);
        if (p >= end) return NULL;
        if (*p == close) return p + 1;
        if (*p != ',') return NULL;
        p = ae_json_space(p + 1, end);
    }
    return NULL;
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end, int depth, ae_field *out) {
    if (p >= end) return NULL;
    if (*p != '{' && *p != '[') return skip_scalar(p, end, out);
    out->type = *p == '{' ? AE_T_OBJECT : AE_T_ARRAY;
    out->at = p;
    out->escaped = 0;
    p = skip_nested(p, end, depth);
    if (p != NULL) out->bytes = (uint32_t)(p - out->at);
    return p;
}

const uint8_t *ae_json_object(const uint8_t *p, const uint8_t *end, ae_object *out, uint32_t *reason) {
    *reason = AE_R_NOT_JSON;
    out->count = 0;
    if (p >= end || *p != '{') return NULL;
    p = ae_json_space(p + 1, end);
    if (p < end && *p == '}') return p + 1;
    while (p < end && *p == '"') {
        ae_field key, *f = &out->field[out->count];
        if (out->count == AE_KEYS_MAX) {
            *reason = AE_R_TOO_MANY_KEYS;
            return NULL;
        }
        if ((p = ae_json_string(p, end, &key)) == NULL) return NULL;
        p = ae_json_space(p, end);
        if (p >= end || *p != ':') return NULL;
        p = skip_value(ae_json_space(p + 1, end), end, DEPTH_MAX, f);
        if (p == NULL) return NULL;
        f->key = key.at;
        f->key_bytes = key.bytes;
        out->count++;
        p = ae_json_space(p, end);
        if (p < end && *p == '}') return p + 1;
        if (p >= end || *p != ',') return NULL;
        p = ae_json_space(p + 1, end);
    }
    return NULL;
}

const ae_field *ae_json_get(const ae_object *o, const char *key) {
    size_t n = strlen(key);
    for (uint32_t i = o->count; i-- > 0;) {
        const ae_field *f = &o->field[i];
        if (f->key_bytes == n && memcmp(f->key, key, n) == 0) return f;
    }
    return NULL;
}

uint32_t ae_json_decimal(const ae_field *f, ae_dec *out) {
    if (f == NULL) return AE_R_MISSING;
    if (f->type != AE_T_STRING && f->type != AE_T_NUMBER) return AE_R_BAD_DECIMAL;
    const uint8_t *p = f->at, *end = f->at + f->bytes;
    int negative = p < end && *p == '-';
    p += negative;
    const uint8_t *point = memchr(p, '.', (size_t)(end - p));
    const uint8_t *last = end;
    if (point == p || point == end - 1 || p == end) return AE_R_BAD_DECIMAL;
    if (point != NULL) {
        while (last[-1] == '0') last--;
        if (last - 1 == point) last = point;
    }
    uint64_t m = 0;
    for (const uint8_t *q = p; q < end; q++) {
        if (q == point) continue;
        if (*q < '0' || *q > '9') return AE_R_BAD_DECIMAL;
        if (q < last && (__builtin_mul_overflow(m, 10u, &m) || __builtin_add_overflow(m, (uint64_t)(*q - '0'), &m)))
            return AE_R_DECIMAL_RANGE;
    }
    if (m > INT64_MAX) return AE_R_DECIMAL_RANGE;
    out->m = negative ? -(int64_t)m : (int64_t)m;
    out->e = point != NULL && last > point ? (uint32_t)(last - point - 1) : 0;
    return out->e > 18 ? AE_R_DECIMAL_RANGE : AE_OK;
}

uint32_t ae_json_integer(const ae_field *f, int64_t *out) {
    if (f == NULL) return AE_R_MISSING;
    if (f->type != AE_T_NUMBER) return AE_R_BAD_INTEGER;
    const uint8_t *p = f->at, *end = f->at + f->bytes;
    int negative = *p == '-';
    uint64_t m = 0;
    for (p += negative; p < end; p++) {
        if (*p < '0' || *p > '9') return AE_R_BAD_INTEGER;
        if (__builtin_mul_overflow(m, 10u, &m) || __builtin_add_overflow(m, (uint64_t)(*p - '0'), &m))
            return AE_R_BAD_INTEGER;
    }
    if (m > INT64_MAX) return AE_R_BAD_INTEGER;
    *out = negative ? -(int64_t)m : (int64_t)m;
    return AE_OK;
}

/* `d` at exponent `exp` >= d.e; 0, or AE_BAD when it leaves int64 */
int ae_scale(ae_dec d, uint32_t exp, int64_t *out) {
    int64_t m = d.m;
    for (uint32_t e = d.e; e < exp; e++)
        if (__builtin_mul_overflow(m, (int64_t)10, &m)) return AE_BAD;
    *out = m;
    return 0;
}
