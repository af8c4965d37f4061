/* One message to records: JSON fields to exact integers with an exponent.
 *
 * Every price of a record stands at one exponent: the symbol's, or a larger one when a digit needs it; sizes the
 * same. What does not fit int64 is refused with a reason, never rounded, and a refused message gives no record.
 * The record is named by the payload's own "s"; a partial book differs from a diff by the stream name alone. */
#include "ae_internal.h"

#include <string.h>

#define GROUP_MAX 8

typedef struct {
    const ae_object *o;
    const ae_symbol *sym;
    ae_tick_t *out;
    uint64_t max;
    ae_event_t *ev;
    int64_t recv_ns;
    int partial;
} job;

static int64_t refuse(job *j, uint32_t reason) {
    j->ev->reason = reason;
    return AE_BAD;
}

static ae_tick_t *record(job *j, uint64_t at, int64_t exch_ms, uint8_t flags) {
    ae_tick_t *t = &j->out[at];
    memset(t, 0, sizeof *t);
    t->exch_ns = exch_ms * 1000000;
    t->recv_ns = j->recv_ns;
    t->symbol = (uint16_t)j->ev->symbol;
    t->kind = (uint8_t)j->ev->kind;
    t->flags = flags;
    t->px_exp = j->sym->px_exp;
    t->qty_exp = j->sym->qty_exp;
    return t;
}

static uint32_t integer(const job *j, const char *key, int64_t *out) {
    return ae_json_integer(ae_json_get(j->o, key), out);
}

/* `n` decimals at one exponent: at least `least`, more when a digit needs it */
static uint32_t align(const ae_dec *d, int n, uint8_t least, int64_t *out, uint8_t *exp) {
    uint32_t e = least;
    for (int i = 0; i < n; i++)
        if (d[i].e > e) e = d[i].e;
    for (int i = 0; i < n; i++)
        if (ae_scale(d[i], e, &out[i]) != 0) return AE_R_DECIMAL_RANGE;
    *exp = (uint8_t)e;
    return AE_OK;
}

/* the decimals under `keys` (blank-separated), aligned */
static uint32_t group(const job *j, const char *keys, uint8_t least, int64_t *out, uint8_t *exp) {
    ae_dec d[GROUP_MAX];
    int n = 0;
    for (const char *k = keys; *k != 0; n++) {
        char key[8];
        size_t len = strcspn(k, " ");
        memcpy(key, k, len);
        key[len] = 0;
        uint32_t bad = ae_json_decimal(ae_json_get(j->o, key), &d[n]);
        if (bad != AE_OK) return bad;
        k += len + (k[len] == ' ');
    }
    return align(d, n, least, out, exp);
}

static int64_t book_ticker(job *j) {
    int64_t px[2], qty[2], at_ms = j->ev->event_ms;
    uint32_t bad = integer(j, "u", &j->ev->id);
    if (bad != AE_OK) return refuse(j, bad);
    (void)integer(j, "T", &at_ms);
    ae_tick_t *t = record(j, 0, at_ms, 0);
    if ((bad = group(j, "b a", t->px_exp, px, &t->px_exp)) != AE_OK) return refuse(j, bad);
    if ((bad = group(j, "B A", t->qty_exp, qty, &t->qty_exp)) != AE_OK) return refuse(j, bad);
    t->a = px[0];
    t->b = qty[0];
    t->c = px[1];
    t->d = qty[1];
    return 1;
}

static int is_text(const ae_field *f, const char *text) {
    return f != NULL && f->type == AE_T_STRING && f->bytes == strlen(text) && memcmp(f->at, text, f->bytes) == 0;
}

static int64_t trade(job *j) {
    const ae_field *x = ae_json_get(j->o, "X"), *m = ae_json_get(j->o, "m");
    int aggregate = j->ev->kind == AE_KIND_AGG_TRADE;
    int64_t at_ms;
    uint32_t bad = integer(j, aggregate ? "a" : "t", &j->ev->id);
    if (bad == AE_OK) bad = integer(j, "T", &at_ms);
    if (bad != AE_OK) return refuse(j, bad);
    int rpi = is_text(x, "RPI");
    if (!aggregate && x != NULL && !rpi && !is_text(x, "MARKET")) return refuse(j, AE_R_NOT_MARKET_TRADE);
    if (m == NULL || m->type != AE_T_WORD) return refuse(j, AE_R_MISSING);
    ae_tick_t *t = record(j, 0, at_ms, rpi ? AE_FLAG_RPI : 0);
    if ((bad = group(j, "p", t->px_exp, &t->a, &t->px_exp)) != AE_OK) return refuse(j, bad);
    if ((bad = group(j, "q", t->qty_exp, &t->b, &t->qty_exp)) != AE_OK) return refuse(j, bad);
    t->c = j->ev->id;
    t->d = m->at[0] == 't' ? -1 : 1; /* the buyer was the maker: the aggressor sold */
    return 1;
}

/* levels of one side behind out[*n]; 0 or a reason */
static uint32_t levels(job *j, const ae_field *f, int64_t side, int64_t at_ms, uint64_t *n) {
    if (f == NULL) return AE_OK;
    if (f->type != AE_T_ARRAY) return AE_R_BAD_DECIMAL;
    const uint8_t *p = ae_json_space(f->at + 1, f->at + f->bytes), *end = f->at + f->bytes;
    while (p < end && *p == '[') {
        ae_field px, qty;
        ae_dec d;
        if (*n == j->max) return AE_R_TOO_MANY_LEVELS;
        p = ae_json_space(p + 1, end);
        if (p >= end || *p != '"' || (p = ae_json_string(p, end, &px)) == NULL) return AE_R_BAD_DECIMAL;
        p = ae_json_space(p, end);
        if (p >= end || *p != ',') return AE_R_BAD_DECIMAL;
        p = ae_json_space(p + 1, end);
        if (p >= end || *p != '"' || (p = ae_json_string(p, end, &qty)) == NULL) return AE_R_BAD_DECIMAL;
        p = ae_json_space(p, end);
        if (p >= end || *p != ']') return AE_R_BAD_DECIMAL;
        ae_tick_t *t = record(j, (*n)++, at_ms, 0);
        uint32_t bad = ae_json_decimal(&px, &d);
        if (bad == AE_OK) bad = align(&d, 1, t->px_exp, &t->a, &t->px_exp);
        if (bad == AE_OK) bad = ae_json_decimal(&qty, &d);
        if (bad == AE_OK) bad = align(&d, 1, t->qty_exp, &t->b, &t->qty_exp);
        if (bad != AE_OK) return bad;
        t->c = side;
        t->d = j->ev->id;
        p = ae_json_space(p + 1, end);
        if (p < end && *p == ',') p = ae_json_space(p + 1, end);
    }
    return p < end && *p == ']' ? AE_OK : AE_R_BAD_DECIMAL;
}

static int64_t depth(job *j) {
    int64_t at_ms = j->ev->event_ms;
    uint64_t n = 1;
    if (j->partial) j->ev->kind = AE_KIND_DEPTH_SNAPSHOT;
    uint32_t bad = integer(j, "u", &j->ev->id);
    if (bad == AE_OK) bad = integer(j, "U", &j->ev->first_id);
    if (bad == AE_OK && !j->partial) bad = integer(j, "pu", &j->ev->prev_id);
    (void)integer(j, "T", &at_ms);
    if (bad == AE_OK) bad = levels(j, ae_json_get(j->o, "b"), 0, at_ms, &n);
    if (bad == AE_OK) bad = levels(j, ae_json_get(j->o, "a"), 1, at_ms, &n);
    if (bad != AE_OK) return refuse(j, bad);
    ae_tick_t *t = record(j, 0, at_ms, AE_FLAG_BEGIN);
    t->a = j->ev->first_id;
    t->b = j->ev->id;
    t->c = j->ev->prev_id;
    t->d = (int64_t)n - 1;
    j->out[n - 1].flags |= AE_FLAG_END;
    return (int64_t)n;
}

static int64_t mark(job *j) {
    const ae_field *rate = ae_json_get(j->o, "r");
    int64_t px[2];
    uint32_t bad;
    ae_tick_t *t = record(j, 0, j->ev->event_ms, 0);
    j->ev->id = j->ev->event_ms;
    if ((bad = group(j, "p i", t->px_exp, px, &t->px_exp)) != AE_OK) return refuse(j, bad);
    t->a = px[0];
    t->b = px[1];
    if (rate != NULL && rate->type == AE_T_STRING && rate->bytes == 0) {
        t->aux = 1; /* dated contract: no funding */
    } else if ((bad = group(j, "r", t->qty_exp, &t->c, &t->qty_exp)) != AE_OK) {
        return refuse(j, bad);
    }
    bad = integer(j, "T", &t->d);
    return bad == AE_OK ? 1 : refuse(j, bad);
}

static uint16_t interval_code(const ae_field *f) {
    static const struct {
        const char *text;
        uint16_t minutes;
    } known[] = {{"1s", 0},   {"1m", 1},   {"3m", 3},    {"5m", 5},    {"15m", 15},  {"30m", 30},    {"1h", 60},   {"2h", 120},
                 {"4h", 240}, {"6h", 360}, {"8h", 480}, {"12h", 720}, {"1d", 1440}, {"3d", 4320}, {"1w", 10080}, {"1M", 43200}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (is_text(f, known[i].text)) return known[i].minutes;
    return 65535;
}

/* two records: four prices, then base volume, quote volume, and two integers */
static int64_t candle(job *j, const char *prices, const char *base, const char *quote, const char *c_key,
                      const char *d_key, uint8_t flags, uint16_t aux) {
    int64_t px[4];
    uint32_t bad;
    if (j->max < 2) return refuse(j, AE_R_TOO_MANY_LEVELS);
    ae_tick_t *t = record(j, 0, j->ev->event_ms, (uint8_t)(flags | AE_FLAG_BEGIN));
    ae_tick_t *v = record(j, 1, j->ev->event_ms, (uint8_t)(flags | AE_FLAG_END));
    t->aux = v->aux = aux;
    j->ev->id = j->ev->event_ms;
    j->ev->aux = aux;
    if ((bad = group(j, prices, t->px_exp, px, &t->px_exp)) != AE_OK) return refuse(j, bad);
    t->a = px[0];
    t->b = px[1];
    t->c = px[2];
    t->d = px[3];
    bad = group(j, base, v->qty_exp, &v->a, &v->qty_exp);
    if (bad == AE_OK) bad = group(j, quote, v->px_exp, &v->b, &v->px_exp);
    if (bad == AE_OK) bad = integer(j, c_key, &v->c);
    if (bad == AE_OK) bad = integer(j, d_key, &v->d);
    return bad == AE_OK ? 2 : refuse(j, bad);
}

static int64_t inner(job *j, const char *key, ae_object *o) {
    const ae_field *f = ae_json_get(j->o, key);
    if (f == NULL || f->type != AE_T_OBJECT) return refuse(j, AE_R_MISSING);
    if (ae_json_object(f->at, f->at + f->bytes, o, &j->ev->reason) == NULL) return AE_BAD;
    j->o = o;
    return 0;
}

static int64_t kline(job *j) {
    ae_object o;
    if (inner(j, "k", &o) != 0) return AE_BAD;
    const ae_field *x = ae_json_get(&o, "x");
    uint8_t flags = x != NULL && x->type == AE_T_WORD && x->at[0] == 't' ? AE_FLAG_CLOSED : 0;
    return candle(j, "o h l c", "v", "q", "t", "n", flags, interval_code(ae_json_get(&o, "i")));
}

static int64_t force_order(job *j) {
    const ae_field *side = ae_json_get(j->o, "S");
    int64_t at_ms, px[2], qty[2];
    uint32_t bad = integer(j, "T", &at_ms);
    if (bad != AE_OK) return refuse(j, bad);
    ae_tick_t *t = record(j, 0, at_ms, 0);
    j->ev->id = j->ev->event_ms;
    t->aux = is_text(side, "BUY") ? 1 : 2;
    if ((bad = group(j, "p ap", t->px_exp, px, &t->px_exp)) != AE_OK) return refuse(j, bad);
    if ((bad = group(j, "l z", t->qty_exp, qty, &t->qty_exp)) != AE_OK) return refuse(j, bad);
    t->a = px[0];
    t->b = px[1];
    t->c = qty[0];
    t->d = qty[1];
    return 1;
}

static int64_t ticker(job *j) { return candle(j, "c o h l", "v", "q", "n", "C", 0, 0); }

static const struct {
    const char *name;
    uint32_t kind;
    int64_t (*parse)(job *);
} events[] = {{"bookTicker", AE_KIND_BOOK_TICKER, book_ticker}, {"trade", AE_KIND_TRADE, trade},
              {"aggTrade", AE_KIND_AGG_TRADE, trade},           {"depthUpdate", AE_KIND_DEPTH, depth},
              {"markPriceUpdate", AE_KIND_MARK, mark},          {"kline", AE_KIND_KLINE, kline},
              {"forceOrder", AE_KIND_FORCE_ORDER, force_order}, {"24hrTicker", AE_KIND_TICKER_24H, ticker}};

/* "<symbol>@depth5@100ms" is a partial book; "<symbol>@depth@100ms" is not */
static int is_partial(const ae_field *stream) {
    static const char mark_text[] = "@depth";
    const size_t n = sizeof mark_text - 1;
    if (stream == NULL || stream->type != AE_T_STRING) return 0;
    for (uint32_t i = 0; i + n < stream->bytes; i++)
        if (memcmp(stream->at + i, mark_text, n) == 0) return stream->at[i + n] >= '0' && stream->at[i + n] <= '9';
    return 0;
}

static int64_t name_and_parse(const ae_symbols *t, job *j, size_t row) {
    ae_object o;
    j->ev->kind = events[row].kind;
    uint32_t bad = integer(j, "E", &j->ev->event_ms);
    if (bad != AE_OK) return refuse(j, bad);
    if (j->ev->kind == AE_KIND_FORCE_ORDER && inner(j, "o", &o) != 0) return AE_BAD;
    const ae_field *s = ae_json_get(j->o, "s");
    if (s == NULL || s->type != AE_T_STRING) return refuse(j, AE_R_MISSING);
    if (s->escaped) return refuse(j, AE_R_ESCAPED_SYMBOL);
    int at = ae_symbols_find(t, (const char *)s->at, s->bytes);
    if (at < 0) return refuse(j, AE_R_UNKNOWN_SYMBOL);
    j->ev->symbol = (uint32_t)at;
    j->sym = &t->symbol[at];
    return events[row].parse(j);
}

int64_t ae_tick_parse(const ae_symbols *t, const uint8_t *text, uint64_t bytes, int64_t recv_ns, ae_tick_t *out,
                      uint64_t max, ae_event_t *event) {
    const uint8_t *end = text + bytes, *p = ae_json_space(text, end);
    ae_object outer, payload;
    job j = {.o = &outer, .out = out, .max = max, .ev = event, .recv_ns = recv_ns};
    memset(event, 0, sizeof *event);
    if (max == 0 || (p = ae_json_object(p, end, &outer, &event->reason)) == NULL) return AE_BAD;
    if (ae_json_space(p, end) != end) return refuse(&j, AE_R_NOT_JSON);
    const ae_field *stream = ae_json_get(&outer, "stream");
    if (stream != NULL && ae_json_get(&outer, "data") != NULL) {
        j.partial = is_partial(stream);
        const ae_field *d = ae_json_get(&outer, "data");
        if (d->type != AE_T_OBJECT) return AE_OTHER;
        if (inner(&j, "data", &payload) != 0) return AE_BAD;
    }
    const ae_field *e = ae_json_get(j.o, "e");
    for (size_t row = 0; row < sizeof events / sizeof events[0]; row++)
        if (is_text(e, events[row].name)) return name_and_parse(t, &j, row);
    return AE_OTHER;
}
