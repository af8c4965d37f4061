/* One frame -> records: JSON of any key order, decimal text -> int64 + exponent, never rounded.
 *
 * A frame that looks like the ones before it is read by prediction (predict.c). The general path here takes all others:
 * every object of interest is scanned once into spans by key; only then is it judged. So nothing is written to `out`
 * of a refused frame that anybody would use, and no key order, unknown key or white space matters. */
#include "predict.h"

typedef struct event {
    const ae_symtab_t *tab;
    ae_tick_t *out;
    uint32_t out_max;
    ae_parsed_t *parsed;
    const ae_members_t *m;
    const ae_span_t *stream;
    const uint8_t *from;
    const uint8_t *end;
    const ae_digits_t *digits;
    ae_level_plan_t *plan;
    uint32_t depth;
    ae_members_t inner;
} event_t;

static inline const ae_span_t *get(const ae_members_t *m, uint8_t key)
{
    return ae_member(m, key);
}

static uint32_t one_mantissa(const ae_span_t *from, uint8_t *exp, int64_t *to)
{
    const ae_span_t *const spans[] = {from};
    int64_t *const places[] = {to};
    return ae_to_mantissas(spans, 1, exp, places);
}

static uint32_t two_mantissas(const ae_span_t *f0, const ae_span_t *f1, uint8_t *exp, int64_t *t0, int64_t *t1)
{
    const ae_span_t *const spans[] = {f0, f1};
    int64_t *const places[] = {t0, t1};
    return ae_to_mantissas(spans, 2, exp, places);
}

static uint32_t to_ns(const ae_span_t *v, int64_t *out)
{
    int64_t ms;
    uint32_t reason = ae_to_int(v, &ms);
    if (!reason && __builtin_mul_overflow(ms, (int64_t)1000000, out))
        reason = AE_REASON_OVERFLOW;
    return reason;
}

/* ---- events: each fills ev->out and returns the number of records, or 0 with parsed->reason */

static uint32_t base(event_t *ev, const ae_span_t *symbol, uint32_t kind)
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
    const ae_span_t *t = get(ev->m, 'T');
    return to_ns(with_t && t->type != AE_T_NONE ? t : get(ev->m, 'E'), &ev->out->exch_ns);
}

static uint32_t side_of(const ae_span_t *maker, int64_t *out)
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
    const ae_members_t *v = ev->m;
    ae_tick_t *t = ev->out;
    uint32_t reason = ae_to_int(get(v, 'u'), &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 1);
    if (!reason)
        reason = two_mantissas(get(v, 'b'), get(v, 'a'), &t->px_exp, &t->a, &t->c);
    return reason ? reason : two_mantissas(get(v, 'B'), get(v, 'A'), &t->qty_exp, &t->b, &t->d);
}

static uint32_t trade(event_t *ev, int aggregate)
{
    const ae_members_t *v = ev->m;
    ae_tick_t *t = ev->out;
    if (!aggregate && get(v, 'X')->type != AE_T_NONE && !ae_span_is(get(v, 'X'), "MARKET")) {
        if (!ae_span_is(get(v, 'X'), "RPI"))
            return AE_REASON_NOT_MARKET_TRADE;
        t->flags |= AE_FLAG_RPI;
    }
    uint32_t reason = ae_to_int(get(v, aggregate ? 'a' : 't'), &t->c);
    ev->parsed->order_key = t->c;
    if (!reason)
        reason = stamp(ev, 1);
    if (!reason)
        reason = side_of(get(v, 'm'), &t->d);
    if (!reason)
        reason = one_mantissa(get(v, 'p'), &t->px_exp, &t->a);
    return reason ? reason : one_mantissa(get(v, 'q'), &t->qty_exp, &t->b);
}

static uint32_t mark(event_t *ev)
{
    const ae_members_t *v = ev->m;
    ae_tick_t *t = ev->out;
    uint32_t reason = ae_to_int(get(v, 'E'), &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 0); /* T is the next funding time here */
    if (!reason)
        reason = ae_to_int(get(v, 'T'), &t->d);
    if (!reason)
        reason = two_mantissas(get(v, 'p'), get(v, 'i'), &t->px_exp, &t->a, &t->b);
    if (!reason && ae_span_is(get(v, 'r'), "")) {
        t->flags |= AE_FLAG_NO_FUNDING;
        return 0;
    }
    return reason ? reason : one_mantissa(get(v, 'r'), &t->qty_exp, &t->c);
}

static uint32_t candle(event_t *ev, const ae_members_t *v, const char *keys)
{
    ae_tick_t *t = ev->out;
    ae_tick_t *second = t + 1;
    *second = *t;
    t->flags |= AE_FLAG_BEGIN;
    second->flags |= AE_FLAG_END;
    const ae_span_t *const from[] = {get(v, 'o'), get(v, 'h'), get(v, 'l'), get(v, 'c')};
    int order = keys[0] == 'T'; /* 24hrTicker: last, open, high, low */
    int64_t *const kline[] = {&t->a, &t->b, &t->c, &t->d};
    int64_t *const ticker[] = {&t->b, &t->c, &t->d, &t->a};
    uint32_t reason = ae_to_mantissas(from, 4, &t->px_exp, order ? ticker : kline);
    if (!reason)
        reason = one_mantissa(get(v, 'v'), &second->qty_exp, &second->a);
    if (!reason)
        reason = one_mantissa(get(v, 'q'), &second->px_exp, &second->b);
    if (!reason)
        reason = ae_to_int(get(v, 'n'), &second->c);
    return reason ? reason : ae_to_int(get(v, (uint8_t)keys[1]), &second->d);
}

static uint32_t kline(event_t *ev)
{
    static const char *const names[AE_INTERVALS] = {"", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h",
                                                    "12h", "1d", "3d", "1w", "1M", "1s"};
    const ae_members_t *v = &ev->inner;
    ae_tick_t *t = ev->out;
    uint32_t reason = ae_to_int(get(ev->m, 'E'), &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 0);
    if (reason)
        return reason;
    uint16_t interval = 1;
    while (interval < AE_INTERVALS && !ae_span_is(get(v, 'i'), names[interval]))
        interval++;
    if (interval == AE_INTERVALS)
        return AE_REASON_UNKNOWN_INTERVAL;
    ev->parsed->interval = interval;
    t->aux = interval;
    if (get(v, 'x')->type != AE_T_WORD || get(v, 'x')->at[0] == 'n')
        return AE_REASON_BAD_VALUE;
    if (get(v, 'x')->at[0] == 't')
        t->flags |= AE_FLAG_CLOSED;
    return candle(ev, v, "kt");
}

static uint32_t ticker(event_t *ev)
{
    uint32_t reason = ae_to_int(get(ev->m, 'E'), &ev->parsed->order_key);
    if (!reason)
        reason = stamp(ev, 0);
    return reason ? reason : candle(ev, ev->m, "TO");
}

static uint32_t force_order(event_t *ev)
{
    const ae_members_t *o = &ev->inner;
    ae_tick_t *t = ev->out;
    uint32_t reason = ae_to_int(get(ev->m, 'E'), &ev->parsed->order_key);
    if (!reason)
        reason = to_ns(get(o, 'T')->type ? get(o, 'T') : get(ev->m, 'E'), &t->exch_ns);
    if (reason)
        return reason;
    if (!ae_span_is(get(o, 'S'), "BUY") && !ae_span_is(get(o, 'S'), "SELL"))
        return AE_REASON_BAD_VALUE;
    t->d = ae_span_is(get(o, 'S'), "BUY") ? 1 : -1;
    reason = two_mantissas(get(o, AE_KEY_AP), get(o, 'p'), &t->px_exp, &t->a, &t->c);
    return reason ? reason : one_mantissa(get(o, 'z'), &t->qty_exp, &t->b);
}

static uint32_t one_list(ae_levels_t *l, const ae_span_t *list)
{
    if (list->type != AE_T_ARRAY)
        return list->type == AE_T_NONE ? AE_REASON_MISSING_FIELD : AE_REASON_BAD_LEVELS;
    return ae_levels_read(l, list->at, &(const uint8_t *){NULL});
}

static uint32_t depth(event_t *ev, uint32_t *count)
{
    const ae_members_t *v = ev->m;
    ae_tick_t *t = ev->out;
    uint32_t reason = ae_to_int(get(v, 'U'), &t->a);
    if (!reason)
        reason = ae_to_int(get(v, 'u'), &t->b);
    if (!reason)
        reason = ae_to_int(get(v, AE_KEY_PU), &t->c);
    if (!reason)
        reason = stamp(ev, 1);
    ev->parsed->order_key = t->b;
    ae_levels_t l = {.from = ev->from, .end = ev->end, .digits = ev->digits, .plan = ev->plan, .like = *t,
                     .out = ev->out, .out_max = ev->out_max, .count = 1, .depth = ev->depth};
    t->flags = AE_FLAG_BEGIN;
    l.like.a = l.like.b = l.like.c = 0;
    l.like.d = t->b;
    if (!reason)
        reason = one_list(&l, get(v, 'b'));
    l.like.c = 1;
    if (!reason)
        reason = one_list(&l, get(v, 'a'));
    *count = l.count;
    t->d = l.count - 1;
    ev->out[l.count - 1].flags |= AE_FLAG_END;
    return reason;
}

/* "<symbol>@depth5|10|20" with or without "@<speed>": a partial book. */
static int is_partial(const ae_span_t *stream)
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
    const ae_span_t *v = get(ev->m, key);
    if (v->type != AE_T_OBJECT)
        return v->type == AE_T_NONE ? AE_REASON_MISSING_FIELD : AE_REASON_BAD_VALUE;
    ae_scan_t s = {v->at + v->bytes, 0};
    ae_members_clear(&ev->inner);
    return ae_scan_object(&s, v->at, 2, &ev->inner, NULL) ? 0 : s.reason;
}

static uint32_t kind_of(const event_t *ev)
{
    static const struct {
        const char *name;
        uint32_t bytes, kind;
    } kinds[] = {{"bookTicker", 10, AE_KIND_BOOK_TICKER}, {"depthUpdate", 11, AE_KIND_DEPTH},
                 {"aggTrade", 8, AE_KIND_AGG_TRADE},      {"trade", 5, AE_KIND_TRADE},
                 {"kline", 5, AE_KIND_KLINE},             {"markPriceUpdate", 15, AE_KIND_MARK},
                 {"forceOrder", 10, AE_KIND_FORCE_ORDER}, {"24hrTicker", 10, AE_KIND_TICKER_24H}};
    const ae_span_t *e = get(ev->m, 'e');
    for (uint32_t i = 0; e->type == AE_T_STRING && i < sizeof kinds / sizeof kinds[0]; i++)
        if (e->bytes == kinds[i].bytes && memcmp(e->at, kinds[i].name, kinds[i].bytes) == 0)
            return kinds[i].kind == AE_KIND_DEPTH && is_partial(ev->stream) ? AE_KIND_DEPTH_SNAPSHOT : kinds[i].kind;
    return 0;
}

static uint32_t fill(event_t *ev, uint32_t kind, uint32_t *count)
{
    uint32_t reason = 0;
    if (kind == AE_KIND_FORCE_ORDER || kind == AE_KIND_KLINE)
        reason = inner_object(ev, kind == AE_KIND_KLINE ? 'k' : 'o');
    const ae_span_t *symbol = kind == AE_KIND_FORCE_ORDER ? get(&ev->inner, 's') : get(ev->m, 's');
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

/* The general path: any frame. */
static int read_any(const uint8_t *data, uint32_t bytes, const ae_symtab_t *tab, ae_predict_t *predict, ae_tick_t *out,
                    uint32_t out_max, ae_parsed_t *parsed)
{
    memset(parsed, 0, sizeof *parsed);
    if (bytes && memchr(data, '\\', bytes))
        return 0; /* market events hold no escapes; what does is given out as text */
    ae_scan_t s = {data + bytes, 0};
    ae_members_t root, body;
    ae_level_plan_t plan;
    plan.ready = 0;
    const uint8_t *p = ae_skip_space(data, s.end), *object = p;
    ae_members_clear(&root);
    if (p < s.end && *p == '{')
        p = ae_scan_object(&s, p, 1, &root, &body);
    else
        p = NULL;
    if (!p || ae_skip_space(p, s.end) != s.end) {
        parsed->reason = s.reason ? s.reason : AE_REASON_BAD_JSON;
        return AE_BAD;
    }
    event_t ev;
    ev.tab = tab;
    ev.out = out;
    ev.out_max = out_max;
    ev.parsed = parsed;
    ev.m = &root;
    ev.stream = &root.list[0];
    ev.from = data;
    ev.end = s.end;
    ev.digits = predict ? predict->digits : NULL;
    ev.plan = &plan;
    ev.depth = 3;
    if (get(&root, AE_KEY_STREAM)->type == AE_T_STRING && get(&root, AE_KEY_DATA)->type == AE_T_OBJECT) {
        ev.m = &body;
        ev.stream = get(&root, AE_KEY_STREAM);
        ev.depth = 4;
        object = get(&root, AE_KEY_DATA)->at;
    }
    parsed->kind = kind_of(&ev);
    if (!parsed->kind)
        return 0;
    uint32_t count = 0;
    parsed->reason = fill(&ev, parsed->kind, &count);
    if (parsed->reason)
        return AE_BAD;
    if (predict)
        ae_predict_learn(predict, &(ae_lesson_t){data, bytes, object, ev.m, &plan, out, parsed}, tab);
    return (int)count;
}

/* Read one frame's payload. `predict` (NULL: none) remembers what frames looked like and belongs to this one caller
 * and `tab`. `out` has room for out_max >= 2 records; recv_ns and seq are left 0. Returns the number of records, 0
 * with parsed->kind 0 for what is no market event, or AE_BAD with parsed->reason (refused or dropped; kind is set when
 * known). Reads nothing beyond data[bytes). Any thread; allocates: no; worst case: linear in bytes, three times. */
int ae_tick_parse(const uint8_t *data, uint32_t bytes, const ae_symtab_t *tab, ae_predict_t *predict, ae_tick_t *out,
                  uint32_t out_max, ae_parsed_t *parsed)
{
    int got = predict ? ae_predict_take(predict, data, bytes, out, out_max, parsed) : 0;
    return got ? got : read_any(data, bytes, tab, predict, out, out_max, parsed);
}
