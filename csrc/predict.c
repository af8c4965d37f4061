/* Prediction: the next frame of a stream looks like one before it, but for its digits.
 *
 * Problem: reading JSON costs most where it decides what comes next. The venue writes the same keys in the same order
 * with mostly the same widths, so a frame of a known shape need only be checked: every byte that is no digit of a
 * number must be the one seen before, every such digit a digit. Then all numbers stand where they stood, and are read
 * side by side. One byte that is otherwise, and the general path of tick.c reads the frame as if nobody had guessed.
 * What must stay true: a shape is made only from a frame that the general path took, and a frame that passes its check
 * differs from that one in digits alone, so it is the same JSON with other numbers; numbers that could overflow, need
 * another exponent or break JSON's rule of leading zeros do not pass.
 *
 * A shape is found by name and widths: the bytes where the symbol stands, the length, and where the letters near the
 * end stand. Two frames of one key before it is learned, so that frames that never repeat cost no learning. */
#include "predict.h"

#define AE_MS_MOST 9223372036854 /* of int64 nanoseconds */

/* Canary builds. Without prediction the instruction budgets have to be missed; without JSON's rule of leading zeros
 * check_tick.c has to find frames that prediction reads and the general path refuses. */
#ifdef AE_MUTANT_FORGETFUL
#define AE_FORGETFUL 1
#else
#define AE_FORGETFUL 0
#endif
#ifdef AE_MUTANT_LAX
#define AE_LAX 1
#else
#define AE_LAX 0
#endif

#define AE_MIX_1 0x9e3779b97f4a7c15U
#define AE_MIX_2 0xc2b2ae3d27d4eb4fU
#define AE_MIX_3 0x165667b19e3779f9U
#define AE_MIX_4 0xd6e8feb86659fd93U

/* Size of the memory of one connection or market; the caller gives it zeroed. */
uint64_t ae_predict_bytes(void)
{
    return sizeof(ae_predict_t);
}

/* Forget all shapes and choose the digit kernels (enum ae_digits_kind); returns their name. */
const char *ae_predict_init(ae_predict_t *p, uint32_t digits)
{
    memset(p->tags, 0, sizeof p->tags);
    memset(p->seen, 0, sizeof p->seen);
    p->hits = p->learned = 0;
    p->digits = ae_digits_for(digits);
    return p->digits->name;
}

/* Frames read by prediction so far. */
uint64_t ae_predict_hits(const ae_predict_t *p)
{
    return p->hits;
}

/* ---- keys */

/* Letters stay, digits and signs become 0. */
static inline uint64_t letters(uint64_t w)
{
    return w & ((w >> 6 & 0x0101010101010101U) * 255);
}

/* Of the bytes where a symbol's name stands: behind `{"stream":"`, or in the event itself. */
static inline uint64_t name_key(const uint8_t *data)
{
    if (data[2] == 's')
        return ae_load8(data + 11) * AE_MIX_1 + ae_load8(data + 19) * AE_MIX_2 + ae_load8(data + 27) * AE_MIX_3;
    return letters(ae_load8(data + 42)) * AE_MIX_2 + letters(ae_load8(data + 50)) * AE_MIX_3 +
           letters(ae_load8(data + 58)) * AE_MIX_1;
}

/* Name, length, and the widths of the last numbers (by where the letters between them stand). */
static inline uint64_t flat_key(uint64_t name, const uint8_t *data, uint32_t bytes)
{
    const uint64_t letter = 0x4040404040404040U;
    const uint8_t *end = data + bytes;
    uint64_t marks = (ae_load8(end - 64) & letter) >> 2 | (ae_load8(end - 56) & letter) >> 1 |
                     (ae_load8(end - 48) & letter);
    return (name + (marks + bytes) * AE_MIX_4) | 1;
}

static inline uint64_t depth_key(uint64_t name)
{
    return ((name * AE_MIX_4) & ~(uint64_t)1) | 2; /* never a flat key */
}

static inline uint32_t set_of(uint64_t key)
{
    return (uint32_t)(key >> 55);
}

static inline const ae_shape_t *find(const ae_predict_t *p, uint64_t key)
{
    uint32_t set = set_of(key);
    if (p->tags[set][0] == key)
        return &p->shapes[set][0];
    return p->tags[set][1] == key ? &p->shapes[set][1] : NULL;
}

/* ---- reading by shape; each returns the number of records, 0 when the frame is otherwise */

static inline void say(const ae_shape_t *s, int64_t order_key, ae_parsed_t *parsed)
{
    parsed->kind = s->kind;
    parsed->reason = 0;
    parsed->symbol = s->symbol;
    parsed->interval = 0;
    parsed->order_key = order_key;
}

static inline ae_tick_t record_of(const ae_shape_t *s, int64_t ms)
{
    return (ae_tick_t){.exch_ns = ms * 1000000, .symbol = s->symbol, .kind = s->kind, .flags = s->flags,
                       .px_exp = s->px_exp, .qty_exp = s->qty_exp};
}

static inline int take_flat(const ae_predict_t *p, const ae_shape_t *s, const uint8_t *data, ae_tick_t *out,
                            ae_parsed_t *parsed)
{
    uint64_t v[AE_LAYOUT_FIELDS];
    if (!p->digits->flat(&s->look, data, v) || v[1] > AE_MS_MOST)
        return 0;
    int ticker = s->kind == AE_KIND_BOOK_TICKER;
    *out = record_of(s, (int64_t)v[1]);
    out->a = (int64_t)v[2];
    out->b = (int64_t)v[3];
    out->c = ticker ? (int64_t)v[4] : (int64_t)v[0];
    out->d = ticker ? (int64_t)v[5] : s->side;
    say(s, (int64_t)v[0], parsed);
    return 1;
}

static const uint8_t *literal(const uint8_t *p, const uint8_t *end, const uint8_t *text, uint32_t bytes)
{
    return (uint64_t)(end - p) >= bytes && memcmp(p, text, bytes) == 0 ? p + bytes : NULL;
}

static int take_depth(const ae_predict_t *p, const ae_shape_t *s, const uint8_t *data, uint32_t bytes, ae_tick_t *out,
                      uint32_t out_max, ae_parsed_t *parsed)
{
    uint64_t v[AE_LAYOUT_FIELDS];
    if (bytes < s->look.bytes || !p->digits->flat(&s->look, data, v) || v[1] > AE_MS_MOST)
        return 0;
    ae_level_plan_t plan = s->plan;
    ae_levels_t l = {.from = data, .end = data + bytes, .digits = p->digits, .plan = &plan, .out = out,
                     .out_max = out_max, .count = 1, .depth = s->depth};
    l.like = record_of(s, (int64_t)v[1]);
    *out = l.like;
    out->flags = AE_FLAG_BEGIN;
    out->a = (int64_t)v[0];
    out->b = (int64_t)v[2];
    out->c = (int64_t)v[3];
    l.like.c = s->first_side;
    l.like.d = out->b;
    const uint8_t *at = data + s->look.bytes;
    if (ae_levels_read(&l, at, &at) || !(at = literal(at, l.end, s->middle, s->middle_bytes)))
        return 0;
    l.like.c = !s->first_side;
    if (ae_levels_read(&l, at, &at) || !(at = literal(at, l.end, s->tail, s->tail_bytes)) || at != l.end)
        return 0;
    out->d = l.count - 1;
    out[l.count - 1].flags |= AE_FLAG_END;
    say(s, out->b, parsed);
    return (int)l.count;
}

/* Read a frame by the shape it should have. Returns the number of records, or 0: nobody knows it, or it is otherwise
 * (`out` and `parsed` then hold nothing). Any thread, one at a time; allocates: no; linear in bytes. */
int ae_predict_take(ae_predict_t *p, const uint8_t *data, uint32_t bytes, ae_tick_t *out, uint32_t out_max,
                    ae_parsed_t *parsed)
{
    if (bytes < AE_PREDICT_LEAST || AE_FORGETFUL)
        return 0;
    int got = 0;
    uint64_t name = name_key(data);
    const ae_shape_t *s = bytes <= AE_LAYOUT_BYTES ? find(p, flat_key(name, data, bytes)) : NULL;
    if (s && s->look.bytes == bytes)
        got = take_flat(p, s, data, out, parsed);
    else if ((s = find(p, depth_key(name))))
        got = take_depth(p, s, data, bytes, out, out_max, parsed);
    p->hits += got > 0;
    return got;
}

/* ---- learning */

/* Which bytes of a value are digits that may be others. `number`: a JSON number, whose first digit is no 0 where
 * another follows. */
static void free_digits(ae_layout_t *look, const uint8_t *data, const ae_span_t *v, int number)
{
    for (uint32_t i = (uint32_t)(v->at - data), end = i + v->bytes, first = 1; i < end && i < AE_LAYOUT_BYTES; i++) {
        if (data[i] < '0' || data[i] > '9')
            continue;
        int strict = number && !AE_LAX && first && i + 1 < end && data[i + 1] >= '0' && data[i + 1] <= '9';
        look->base[i] = strict ? '1' : '0';
        look->span[i] = strict ? 8 : 9;
        first = 0;
    }
}

static int is_numeric(const ae_span_t *v)
{
    for (uint32_t i = 0; i < v->bytes; i++)
        if ((v->at[i] < '0' || v->at[i] > '9') && v->at[i] != '.' && v->at[i] != '-')
            return 0;
    return 1;
}

/* Look at the first look->bytes of the frame: all literal but the numbers of the event's object. */
static void learn_look(ae_layout_t *look, const ae_lesson_t *lesson)
{
    memcpy(look->base, lesson->data, look->bytes);
    ae_scan_t s = {lesson->data + lesson->bytes, 0};
    const uint8_t *p = ae_skip_space(lesson->body + 1, s.end);
    while (p && p < s.end && *p != '}') {
        ae_span_t key, value;
        p = ae_scan_pair(&s, p, 2, &key, &value);
        int word = key.bytes == 1 && (key.at[0] == 's' || key.at[0] == 'e' || key.at[0] == 'X');
        if (p && value.type == AE_T_NUMBER)
            free_digits(look, lesson->data, &value, 1);
        else if (p && value.type == AE_T_STRING && !word && is_numeric(&value))
            free_digits(look, lesson->data, &value, 0);
        p = p ? ae_skip_space(p, s.end) : NULL;
        if (p && p < s.end && *p == ',')
            p = ae_skip_space(p + 1, s.end);
    }
}

/* Number k stands in `v`, with places beyond `exp` that must stay zeros. 0 when it cannot be read by shape. */
static int learn_field(ae_layout_t *look, const uint8_t *data, uint32_t k, const ae_span_t *v, uint32_t exp)
{
    uint32_t from = (uint32_t)(v->at - data), end = from + v->bytes;
    if (v->type == AE_T_NONE || end > look->bytes || !v->bytes || v->bytes > 16)
        return 0;
    uint32_t point = from;
    while (point < end && data[point] != '.')
        point++;
    uint32_t whole = point - from, window = end > 16 ? end - 16 : 0;
    if (data[from] == '-' || whole + exp > 16)
        return 0;
    look->at[k] = (uint16_t)window;
    look->from[k] = (uint8_t)from;
    look->whole[k] = (uint8_t)whole;
    look->part[k] = (uint8_t)(point == end ? 0 : end - point - 1 < exp ? end - point - 1 : exp);
    look->ten[k] = (uint8_t)(exp - look->part[k]);
    for (uint32_t digit = 1; digit <= whole; digit++)
        look->shuffle[k][16 - exp - digit] = (uint8_t)(point - digit - window);
    for (uint32_t at = point + 1; at < end; at++) {
        uint32_t place = at - point;
        if (place <= exp) {
            look->shuffle[k][15 - exp + place] = (uint8_t)(at - window);
        } else if (data[at] != '0') {
            return 0;
        } else {
            look->base[at] = '0';
            look->span[at] = 0;
        }
    }
    return 1;
}

static int learn_lists(ae_shape_t *s, const ae_lesson_t *lesson)
{
    const ae_span_t *first = ae_member(lesson->members, 'b'), *second = ae_member(lesson->members, 'a');
    s->first_side = first->at > second->at;
    if (s->first_side) {
        const ae_span_t *bids = first;
        first = second;
        second = bids;
    }
    const uint8_t *middle = first->at + first->bytes, *tail = second->at + second->bytes;
    uint64_t head_bytes = (uint64_t)(first->at - lesson->data), middle_bytes = (uint64_t)(second->at - middle);
    uint64_t tail_bytes = (uint64_t)(lesson->data + lesson->bytes - tail);
    if (head_bytes < AE_LAYOUT_LEAST || head_bytes > AE_LAYOUT_BYTES || middle_bytes > sizeof s->middle ||
        tail_bytes > sizeof s->tail)
        return 0;
    s->look.bytes = (uint16_t)head_bytes;
    s->middle_bytes = (uint8_t)middle_bytes;
    s->tail_bytes = (uint8_t)tail_bytes;
    memcpy(s->middle, middle, middle_bytes);
    memcpy(s->tail, tail, tail_bytes);
    s->plan = *lesson->plan;
    s->depth = lesson->body == ae_skip_space(lesson->data, lesson->data + lesson->bytes) ? 3 : 4;
    return 1;
}

static int learn_fields(ae_shape_t *s, const ae_lesson_t *lesson)
{
    static const struct {
        const char *keys; /* T: T or else E; 1: pu; price and quantity keys have exponents */
        uint8_t kind;
    } kinds[] = {{"uTbBaA", AE_KIND_BOOK_TICKER}, {"tTpq", AE_KIND_TRADE}, {"aTpq", AE_KIND_AGG_TRADE},
                 {"UTu\1", AE_KIND_DEPTH},        {"UTu\1", AE_KIND_DEPTH_SNAPSHOT}};
    uint32_t row = 0;
    while (row < 4 && kinds[row].kind != s->kind)
        row++;
    const char *keys = kinds[row].keys;
    for (uint32_t k = 0; keys[k]; k++) {
        const ae_span_t *v = ae_member(lesson->members, (uint8_t)keys[k]);
        if (k == 1 && v->type == AE_T_NONE)
            v = ae_member(lesson->members, 'E');
        uint32_t exp = k < 2 || row > 2 ? 0 : k & 1 ? s->qty_exp : s->px_exp;
        if (!learn_field(&s->look, lesson->data, k, v, exp))
            return 0;
    }
    return 1;
}

static int learn(ae_shape_t *s, const ae_lesson_t *lesson, const ae_symtab_t *tab)
{
    const ae_symbol_t *symbol = &tab->symbols[lesson->parsed->symbol];
    memset(s, 0, sizeof *s);
    memset(s->look.shuffle, 0x80, sizeof s->look.shuffle);
    s->kind = (uint8_t)lesson->parsed->kind;
    s->symbol = (uint16_t)lesson->parsed->symbol;
    s->px_exp = symbol->px_exp;
    s->qty_exp = symbol->qty_exp;
    s->look.bytes = (uint16_t)lesson->bytes;
    if (s->kind == AE_KIND_DEPTH || s->kind == AE_KIND_DEPTH_SNAPSHOT) {
        if (!learn_lists(s, lesson))
            return 0;
    } else {
        s->flags = lesson->out->flags;
        s->side = (int8_t)(lesson->out->d < 0 ? -1 : 1);
        if (lesson->out->px_exp != s->px_exp || lesson->out->qty_exp != s->qty_exp)
            return 0;
    }
    learn_look(&s->look, lesson);
    return learn_fields(s, lesson);
}

/* Take a lesson from a frame that the general path took: the second time that its key found nothing, it is learned. */
void ae_predict_learn(ae_predict_t *p, const ae_lesson_t *lesson, const ae_symtab_t *tab)
{
    uint32_t kind = lesson->parsed->kind, depth = kind == AE_KIND_DEPTH || kind == AE_KIND_DEPTH_SNAPSHOT;
    if (lesson->bytes < AE_PREDICT_LEAST || (!depth && (kind > AE_KIND_AGG_TRADE || lesson->bytes > AE_LAYOUT_BYTES)))
        return;
    uint64_t name = name_key(lesson->data);
    uint64_t key = depth ? depth_key(name) : flat_key(name, lesson->data, lesson->bytes);
    uint32_t set = set_of(key);
    if (p->seen[set] != key) {
        p->seen[set] = key;
        return;
    }
    p->seen[set] = 0; /* two shapes of one key that take turns are learned anew every fourth time at most */
    uint32_t way = p->tags[set][0] && p->tags[set][0] != key;
    if (way && p->tags[set][1] && p->tags[set][1] != key)
        way = p->learned & 1;
    p->tags[set][way] = 0;
    if (learn(&p->shapes[set][way], lesson, tab)) {
        p->tags[set][way] = key;
        p->learned++;
    }
}
