/* JSON text -> spans: what scan.c gives to tick.c, levels.c and predict.c. */
#ifndef AE_SCAN_H
#define AE_SCAN_H

#include "ae_internal.h"

enum ae_span_type {
    AE_T_NONE, AE_T_STRING, AE_T_NUMBER, AE_T_OBJECT, AE_T_ARRAY, AE_T_WORD
};

typedef struct ae_span {
    const uint8_t *at; /* strings: without quotes */
    uint32_t bytes;
    uint32_t type;
} ae_span_t;

typedef struct ae_scan {
    const uint8_t *end;
    uint32_t reason;
} ae_scan_t;

/* Longer keys that mean something stand where no one-letter key can: below the blank. */
enum ae_long_key { AE_KEY_PU = 1, AE_KEY_AP = 2, AE_KEY_STREAM = 3, AE_KEY_DATA = 4 };

#define AE_MEMBERS 129

/* Members of one object by key: one-letter keys by letter, the longer ones by ae_long_key. list[0] is "not there". */
typedef struct ae_members {
    uint8_t index[128];
    uint32_t count;
    ae_span_t list[AE_MEMBERS];
} ae_members_t;

static inline const ae_span_t *ae_member(const ae_members_t *m, uint8_t key)
{
    return &m->list[m->index[key]];
}

static inline const uint8_t *ae_skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static inline int ae_span_is(const ae_span_t *span, const char *text)
{
    size_t n = strlen(text);
    return span->type == AE_T_STRING && span->bytes == n && memcmp(span->at, text, n) == 0;
}

void ae_members_clear(ae_members_t *m);
const uint8_t *ae_scan_value(ae_scan_t *s, const uint8_t *p, uint32_t depth, ae_span_t *out);
const uint8_t *ae_scan_pair(ae_scan_t *s, const uint8_t *p, uint32_t depth, ae_span_t *key, ae_span_t *value);
const uint8_t *ae_scan_object(ae_scan_t *s, const uint8_t *p, uint32_t depth, ae_members_t *out, ae_members_t *data);

#endif
