/* One frame -> records: JSON of any key order, decimal text -> int64 + exponent, never rounded.
 *
 * Every object of interest is scanned once into spans by key; only then is it judged. So nothing is written to `out`
 * of a refused frame that anybody would use, and no key order, unknown key or white space matters. */
#include "ae_internal.h"

enum { AE_T_NONE, AE_T_STRING, AE_T_NUMBER, AE_T_OBJECT, AE_T_ARRAY, AE_T_WORD };

typedef struct span {
    const uint8_t *at; /* strings: without quotes */
    uint32_t bytes;
    uint32_t type;
} span_t;

/* Members of one object: one-letter keys by letter, the few longer ones by name. */
typedef struct members {
    span_t letter[128];
    span_t pu, ap, stream, data;
} members_t;

typedef struct scan {
    const uint8_t *end;
    uint32_t reason;
} scan_t;

typedef struct event {
    const ae_symtab_t *tab;
    ae_tick_t *out;
    uint32_t out_max;
    ae_parsed_t *parsed;
    span_t stream;
    members_t m;
    members_t inner;
} event_t;

static const uint8_t *skip_space(const scan_t *s, const uint8_t *p)
{
    while (p < s->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static const uint8_t *fail(scan_t *s, uint32_t reason)
{
    if (!s->reason)
        s->reason = reason;
    return NULL;
}

/* p behind the opening quote; returns behind the closing one. Escapes never come here (refused for the whole frame). */
static const uint8_t *scan_string(scan_t *s, const uint8_t *p, span_t *out)
{
    const uint8_t *from = p;
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

static const uint8_t *digits(const scan_t *s, const uint8_t *p)
{
    while (p < s->end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static const uint8_t *scan_number(scan_t *s, const uint8_t *p, span_t *out)
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

static const uint8_t *scan_word(scan_t *s, const uint8_t *p, span_t *out)
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

static const uint8_t *scan_members(scan_t *s, const uint8_t *p, uint32_t depth, members_t *out);

static const uint8_t *scan_value(scan_t *s, const uint8_t *p, uint32_t depth, span_t *out)
{
    p = skip_space(s, p);
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
    out->at = p;
    out->type = *p == '{' ? AE_T_OBJECT : AE_T_ARRAY;
    if (*p == '{') {
        p = scan_members(s, p, depth + 1, NULL);
    } else {
        span_t item;
        p = skip_space(s, p + 1);
        if (p < s->end && *p == ']') {
            p++;
        } else {
            for (;;) {
                p = scan_value(s, p, depth + 1, &item);
                if (!p)
                    return NULL;
                p = skip_space(s, p);
                if (p >= s->end || (*p != ',' && *p != ']'))
                    return fail(s, AE_REASON_BAD_JSON);
                if (*p++ == ']')
                    break;
            }
        }
    }
    if (p)
        out->bytes = (uint32_t)(p - out->at);
    return p;
}

static int is(const span_t *span, const char *text)
{
    size_t n = strlen(text);
    return span->type == AE_T_STRING && span->bytes == n && memcmp(span->at, text, n) == 0;
}

static void keep(members_t *out, const span_t *key, const span_t *value)
{
    if (key->bytes == 1 && key->at[0] < 128)
        out->letter[key->at[0]] = *value;
    else if (is(key, "pu"))
        out->pu = *value;
    else if (is(key, "ap"))
        out->ap = *value;
    else if (is(key, "data"))
        out->data = *value;
    else if (is(key, "stream"))
        out->stream = *value;
}

/* p at the opening brace; returns behind the closing one; `out` may be NULL (only validate). Of a repeated key the
 * last one stays. */
static const uint8_t *scan_members(scan_t *s, const uint8_t *p, uint32_t depth, members_t *out)
{
    p = skip_space(s, p + 1);
    if (p < s->end && *p == '}')
        return p + 1;
    for (;;) {
        span_t key, value;
        p = skip_space(s, p);
        if (p >= s->end || *p != '"')
            return fail(s, AE_REASON_BAD_JSON);
        p = scan_string(s, p + 1, &key);
        if (!p)
            return NULL;
        p = skip_space(s, p);
        if (p >= s->end || *p != ':')
            return fail(s, AE_REASON_BAD_JSON);
        p = scan_value(s, p + 1, depth, &value);
        if (!p)
            return NULL;
        if (out)
            keep(out, &key, &value);
        p = skip_space(s, p);
        if (p >= s->end || (*p != ',' && *p != '}'))
            return fail(s, AE_REASON_BAD_JSON);
        if (*p++ == '}')
            return p;
    }
}

/* ---- numbers: each returns 0 or a reason */

static uint32_t to_int(const span_t *v, int64_t *out)
{
    if (v->type == AE_T_NONE)
        return AE_REASON_MISSING_FIELD;
    if (v->type != AE_T_NUMBER && v->type != AE_T_STRING)
        return AE_REASON_BAD_INTEGER;
    const uint8_t *p = v->at, *end = v->at + v->bytes;
    int negative = p < end && *p == '-';
    p += negative;
    if (p == end)
        return AE_REASON_BAD_INTEGER;
    uint64_t value = 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return AE_REASON_BAD_INTEGER;
        if (__builtin_mul_overflow(value, 10U, &value) || __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value) ||
            value > INT64_MAX)
            return AE_REASON_OVERFLOW;
    }
    *out = negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

typedef struct decimal {
    int64_t m;
    uint32_t e;
} decimal_t;

/* Plain decimal text, trailing zeros of the places trimmed. */
static uint32_t to_decimal(const span_t *v, decimal_t *out)
{
    if (v->type == AE_T_NONE)
        return AE_REASON_MISSING_FIELD;
    if (v->type != AE_T_NUMBER && v->type != AE_T_STRING)
        return AE_REASON_BAD_NUMBER;
    const uint8_t *p = v->at, *end = v->at + v->bytes;
    int negative = p < end && *p == '-';
    p += negative;
    const uint8_t *point = NULL;
    for (const uint8_t *q = p; q < end; q++) {
        if (*q == '.' && !point)
            point = q;
        else if (*q < '0' || *q > '9')
            return AE_REASON_BAD_NUMBER;
    }
    if (p == end || p == point || (point && point + 1 == end))
        return AE_REASON_BAD_NUMBER;
    if (point) {
        while (end[-1] == '0')
            end--;
        if (end == point + 1)
            end = point;
    }
    uint32_t places = point && end > point ? (uint32_t)(end - point - 1) : 0;
    if (places > AE_EXP_MAX)
        return AE_REASON_EXPONENT;
    uint64_t value = 0;
    for (; p < end; p++) {
        if (*p == '.')
            continue;
        if (__builtin_mul_overflow(value, 10U, &value) || __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value) ||
            value > INT64_MAX)
            return AE_REASON_OVERFLOW;
    }
    out->m = negative ? -(int64_t)value : (int64_t)value;
    out->e = places;
    return 0;
}

static uint32_t raise_to(decimal_t *d, uint32_t e)
{
    for (; d->e < e; d->e++)
        if (__builtin_mul_overflow(d->m, (int64_t)10, &d->m) || d->m == INT64_MIN)
            return AE_REASON_OVERFLOW;
    return 0;
}

/* Decimals to mantissas at one shared exponent: the largest of `exp` and what each needs. */
static uint32_t to_mantissas(const span_t *const *from, uint32_t count, uint8_t *exp, int64_t *const *to)
{
    decimal_t d[4];
    uint32_t e = *exp, reason;
    for (uint32_t i = 0; i < count; i++) {
        if ((reason = to_decimal(from[i], &d[i])))
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

static uint32_t one_mantissa(const span_t *from, uint8_t *exp, int64_t *to)
{
    const span_t *const spans[] = {from};
    int64_t *const places[] = {to};
    return to_mantissas(spans, 1, exp, places);
}

static uint32_t two_mantissas(const span_t *f0, const span_t *f1, uint8_t *exp, int64_t *t0, int64_t *t1)
{
    const span_t *const spans[] = {f0, f1};
    int64_t *const places[] = {t0, t1};
    return to_mantissas(spans, 2, exp, places);
}

static uint32_t to_ns(const span_t *v, int64_t *out)
{
    int64_t ms;
    uint32_t reason = to_int(v, &ms);
    if (!reason && __builtin_mul_overflow(ms, (int64_t)1000000, out))
        reason = AE_REASON_OVERFLOW;
    return reason;
}

/* ---- events: each fills ev->out and returns the number of records, or 0 with parsed->reason */

static uint32_t base(event_t *ev, const span_t *symbol, uint32_t kind)
{
    if (symbol->type != AE_T_STRING)
        return symbol->type == AE_T_NONE ? AE_REASON_MISSING_FIELD : AE_REASON_BAD_VALUE;
    int index = ae_symtab_find(ev->tab, symbol->at, symbol->bytes);
    if (index < 0)
        return AE_REASON_UNKNOWN_SYMBOL;
    ae_tick_t *t = ev->out;
    memset(t, 0, sizeof *t);
    ev->parsed->symbol = (uint32_t)index;
    t->symbol = (uint16_t)index;
    t->kind = (uint8_t)kind;
    t->px_exp = ev->tab->symbols[index].px_exp;
    t->qty_exp = ev->tab->symbols[index].qty_exp;
    return 0;
}

static uint32_t stamp(event_t *ev, int with_t)
{
    const span_t *t = &ev->m.letter['T'];
    return to_ns(with_t && t->type != AE_T_NONE ? t : &ev->m.letter['E'], &ev->out->exch_ns);
}

static uint32_t side_of(const span_t *maker, int64_t *out)
{
    if (maker->type == AE_T_NONE)
        return AE_REASON_MISSING_FIELD;
    if (maker->type != AE_T_WORD || maker->bytes < 4 || maker->at[0] == 'n')
        return AE_REASON_BAD_VALUE;
    *out = maker->at[0] == 't' ? -1 : 1; /* the buyer was the maker: the aggressor sold */
    return 0;
}

static uint32_t book_ticker(event_t *ev)
{
    const span_t *v = ev->m.letter;
    ae_tick_t *t = ev->out;
    uint32_t reason = to_int(&v['u'], &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 1);
    if (!reason)
        reason = two_mantissas(&v['b'], &v['a'], &t->px_exp, &t->a, &t->c);
    return reason ? reason : two_mantissas(&v['B'], &v['A'], &t->qty_exp, &t->b, &t->d);
}

static uint32_t trade(event_t *ev, int aggregate)
{
    const span_t *v = ev->m.letter;
    ae_tick_t *t = ev->out;
    if (!aggregate && v['X'].type != AE_T_NONE && !is(&v['X'], "MARKET")) {
        if (!is(&v['X'], "RPI"))
            return AE_REASON_NOT_MARKET_TRADE;
        t->flags |= AE_FLAG_RPI;
    }
    uint32_t reason = to_int(&v[aggregate ? 'a' : 't'], &t->c);
    ev->parsed->order_key = t->c;
    if (!reason)
        reason = stamp(ev, 1);
    if (!reason)
        reason = side_of(&v['m'], &t->d);
    if (!reason)
        reason = one_mantissa(&v['p'], &t->px_exp, &t->a);
    return reason ? reason : one_mantissa(&v['q'], &t->qty_exp, &t->b);
}

static uint32_t mark(event_t *ev)
{
    const span_t *v = ev->m.letter;
    ae_tick_t *t = ev->out;
    uint32_t reason = to_int(&v['E'], &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 0); /* T is the next funding time here */
    if (!reason)
        reason = to_int(&v['T'], &t->d);
    if (!reason)
        reason = two_mantissas(&v['p'], &v['i'], &t->px_exp, &t->a, &t->b);
    if (!reason && is(&v['r'], "")) {
        t->flags |= AE_FLAG_NO_FUNDING;
        return 0;
    }
    return reason ? reason : one_mantissa(&v['r'], &t->qty_exp, &t->c);
}

static uint32_t candle(event_t *ev, const span_t *v, const char *keys)
{
    ae_tick_t *t = ev->out;
    ae_tick_t *second = t + 1;
    *second = *t;
    t->flags |= AE_FLAG_BEGIN;
    second->flags |= AE_FLAG_END;
    const span_t *const from[] = {&v['o'], &v['h'], &v['l'], &v['c']};
    int order = keys[0] == 'T'; /* 24hrTicker: last, open, high, low */
    int64_t *const kline[] = {&t->a, &t->b, &t->c, &t->d};
    int64_t *const ticker[] = {&t->b, &t->c, &t->d, &t->a};
    uint32_t reason = to_mantissas(from, 4, &t->px_exp, order ? ticker : kline);
    if (!reason)
        reason = one_mantissa(&v['v'], &second->qty_exp, &second->a);
    if (!reason)
        reason = one_mantissa(&v['q'], &second->px_exp, &second->b);
    if (!reason)
        reason = to_int(&v['n'], &second->c);
    return reason ? reason : to_int(&v[(uint8_t)keys[1]], &second->d);
}

static uint32_t kline(event_t *ev)
{
    static const char *const names[AE_INTERVALS] = {"", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h",
                                                    "12h", "1d", "3d", "1w", "1M", "1s"};
    const span_t *v = ev->inner.letter;
    ae_tick_t *t = ev->out;
    uint32_t reason = to_int(&ev->m.letter['E'], &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 0);
    if (reason)
        return reason;
    uint16_t interval = 1;
    while (interval < AE_INTERVALS && !is(&v['i'], names[interval]))
        interval++;
    if (interval == AE_INTERVALS)
        return AE_REASON_UNKNOWN_INTERVAL;
    ev->parsed->interval = interval;
    t->aux = interval;
    if (v['x'].type != AE_T_WORD || v['x'].at[0] == 'n')
        return AE_REASON_BAD_VALUE;
    if (v['x'].at[0] == 't')
        t->flags |= AE_FLAG_CLOSED;
    return candle(ev, v, "kt");
}

static uint32_t ticker(event_t *ev)
{
    uint32_t reason = to_int(&ev->m.letter['E'], &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 0);
    return reason ? reason : candle(ev, ev->m.letter, "TO");
}

static uint32_t force_order(event_t *ev)
{
    const members_t *o = &ev->inner;
    ae_tick_t *t = ev->out;
    uint32_t reason = to_int(&ev->m.letter['E'], &ev->parsed->order_key);
    if (!reason)
        reason = to_ns(o->letter['T'].type ? &o->letter['T'] : &ev->m.letter['E'], &t->exch_ns);
    if (reason)
        return reason;
    if (!is(&o->letter['S'], "BUY") && !is(&o->letter['S'], "SELL"))
        return AE_REASON_BAD_VALUE;
    t->d = is(&o->letter['S'], "BUY") ? 1 : -1;
    reason = two_mantissas(&o->ap, &o->letter['p'], &t->px_exp, &t->a, &t->c);
    return reason ? reason : one_mantissa(&o->letter['z'], &t->qty_exp, &t->b);
}

/* [["px","qty"],...] (already validated) -> level records from ev->out[*count]. */
static uint32_t side_levels(event_t *ev, const span_t *list, int64_t side, uint32_t *count)
{
    if (list->type != AE_T_ARRAY)
        return list->type == AE_T_NONE ? AE_REASON_MISSING_FIELD : AE_REASON_BAD_LEVELS;
    scan_t s = {list->at + list->bytes, 0};
    const uint8_t *p = skip_space(&s, list->at + 1);
    while (*p != ']') {
        if (*p == ',')
            p = skip_space(&s, p + 1);
        if (*p != '[')
            return AE_REASON_BAD_LEVELS;
        span_t pair[2] = {{0}, {0}}, rest;
        uint32_t n = 0;
        p = skip_space(&s, p + 1);
        while (*p != ']') {
            if (*p == ',')
                p++;
            p = scan_value(&s, p, 0, n < 2 ? &pair[n] : &rest);
            if (!p)
                return AE_REASON_BAD_JSON;
            p = skip_space(&s, p);
            n++;
        }
        p = skip_space(&s, p + 1);
        if (n < 2)
            return AE_REASON_BAD_LEVELS;
        if (*count >= ev->out_max || *count > AE_LEVELS_MAX)
            return AE_REASON_TOO_MANY_LEVELS;
        ae_tick_t *t = &ev->out[(*count)++];
        *t = ev->out[0];
        t->flags = 0;
        t->c = side;
        t->d = ev->out[0].b;
        t->a = t->b = 0;
        t->px_exp = ev->tab->symbols[t->symbol].px_exp;
        t->qty_exp = ev->tab->symbols[t->symbol].qty_exp;
        uint32_t reason = one_mantissa(&pair[0], &t->px_exp, &t->a);
        if (!reason)
            reason = one_mantissa(&pair[1], &t->qty_exp, &t->b);
        if (!reason && t->b < 0)
            reason = AE_REASON_BAD_NUMBER;
        if (reason)
            return reason;
    }
    return 0;
}

static uint32_t depth(event_t *ev, uint32_t *count)
{
    const span_t *v = ev->m.letter;
    ae_tick_t *t = ev->out;
    uint32_t reason = to_int(&v['U'], &t->a);
    if (!reason)
        reason = to_int(&v['u'], &t->b);
    if (!reason)
        reason = to_int(&ev->m.pu, &t->c);
    if (!reason)
        reason = stamp(ev, 1);
    ev->parsed->order_key = t->b;
    t->flags = AE_FLAG_BEGIN;
    if (!reason)
        reason = side_levels(ev, &v['b'], 0, count);
    if (!reason)
        reason = side_levels(ev, &v['a'], 1, count);
    t->d = *count - 1;
    ev->out[*count - 1].flags |= AE_FLAG_END;
    return reason;
}

/* "<symbol>@depth5|10|20" with or without "@<speed>": a partial book. */
static int is_partial(const span_t *stream)
{
    if (stream->type != AE_T_STRING)
        return 0;
    const uint8_t *at = memchr(stream->at, '@', stream->bytes);
    if (!at)
        return 0;
    size_t n = (size_t)(stream->at + stream->bytes - at);
    return n > 6 && memcmp(at, "@depth", 6) == 0 && at[6] >= '0' && at[6] <= '9';
}

static uint32_t inner_object(event_t *ev, uint8_t key)
{
    const span_t *v = &ev->m.letter[key];
    if (v->type != AE_T_OBJECT)
        return v->type == AE_T_NONE ? AE_REASON_MISSING_FIELD : AE_REASON_BAD_VALUE;
    scan_t s = {v->at + v->bytes, 0};
    memset(&ev->inner, 0, sizeof ev->inner);
    return scan_members(&s, v->at, 2, &ev->inner) ? 0 : s.reason;
}

static uint32_t kind_of(const event_t *ev)
{
    static const struct { const char *name; uint32_t kind; } kinds[] = {
        {"bookTicker", AE_KIND_BOOK_TICKER}, {"trade", AE_KIND_TRADE}, {"aggTrade", AE_KIND_AGG_TRADE},
        {"depthUpdate", AE_KIND_DEPTH}, {"markPriceUpdate", AE_KIND_MARK}, {"kline", AE_KIND_KLINE},
        {"forceOrder", AE_KIND_FORCE_ORDER}, {"24hrTicker", AE_KIND_TICKER_24H}};
    for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (is(&ev->m.letter['e'], kinds[i].name))
            return kinds[i].kind == AE_KIND_DEPTH && is_partial(&ev->stream) ? AE_KIND_DEPTH_SNAPSHOT : kinds[i].kind;
    return 0;
}

static uint32_t fill(event_t *ev, uint32_t kind, uint32_t *count)
{
    uint32_t reason = 0;
    if (kind == AE_KIND_FORCE_ORDER || kind == AE_KIND_KLINE)
        reason = inner_object(ev, kind == AE_KIND_KLINE ? 'k' : 'o');
    const span_t *symbol = kind == AE_KIND_FORCE_ORDER ? &ev->inner.letter['s'] : &ev->m.letter['s'];
    if (!reason)
        reason = base(ev, symbol, kind);
    if (reason)
        return reason;
    *count = kind == AE_KIND_KLINE || kind == AE_KIND_TICKER_24H ? 2 : 1;
    switch (kind) {
    case AE_KIND_BOOK_TICKER: return book_ticker(ev);
    case AE_KIND_TRADE: return trade(ev, 0);
    case AE_KIND_AGG_TRADE: return trade(ev, 1);
    case AE_KIND_MARK: return mark(ev);
    case AE_KIND_KLINE: return kline(ev);
    case AE_KIND_FORCE_ORDER: return force_order(ev);
    case AE_KIND_TICKER_24H: return ticker(ev);
    default: return depth(ev, count);
    }
}

/* Read one frame's payload. `out` has room for out_max >= 2 records; recv_ns and seq are left 0. Returns the number of
 * records, 0 with parsed->kind 0 for what is no market event, or AE_BAD with parsed->reason (refused or dropped; kind
 * is set when known). Any thread; allocates: no; worst case: linear in bytes, twice. */
int ae_tick_parse(const uint8_t *data, uint32_t bytes, const ae_symtab_t *tab, ae_tick_t *out, uint32_t out_max,
                  ae_parsed_t *parsed)
{
    memset(parsed, 0, sizeof *parsed);
    event_t ev;
    memset(&ev.m, 0, sizeof ev.m);
    ev.tab = tab;
    ev.out = out;
    ev.out_max = out_max;
    ev.parsed = parsed;
    ev.stream.type = AE_T_NONE;
    scan_t s = {data + bytes, 0};
    if (bytes && memchr(data, '\\', bytes))
        return 0; /* market events hold no escapes; what does is given out as text */
    const uint8_t *p = skip_space(&s, data);
    if (p >= s.end || *p != '{') {
        parsed->reason = AE_REASON_BAD_JSON;
        return AE_BAD;
    }
    p = scan_members(&s, p, 1, &ev.m);
    if (!p || skip_space(&s, p) != s.end) {
        parsed->reason = s.reason ? s.reason : AE_REASON_BAD_JSON;
        return AE_BAD;
    }
    if (ev.m.stream.type == AE_T_STRING && ev.m.data.type == AE_T_OBJECT) {
        span_t body = ev.m.data;
        ev.stream = ev.m.stream;
        memset(&ev.m, 0, sizeof ev.m);
        if (!scan_members(&s, body.at, 2, &ev.m)) {
            parsed->reason = s.reason;
            return AE_BAD;
        }
    }
    parsed->kind = kind_of(&ev);
    if (!parsed->kind)
        return 0;
    uint32_t count = 0;
    parsed->reason = fill(&ev, parsed->kind, &count);
    return parsed->reason ? AE_BAD : (int)count;
}
