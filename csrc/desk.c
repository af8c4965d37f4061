/* The desk: from an intent to bytes on the wire in one call, and orders that fire by themselves.
 *
 *   intent -> gate -> next id -> INTENT on the orders ring -> frame -> connection -> who sleeps on the ring is woken
 *   ticks  -> gate's quotes -> armed triggers of that symbol -> the same way
 *
 * Problem: between a decision and its first byte every call into Python costs more than the whole way here, and a price
 * a strategy waits for is gone before it has been asked. So all that Python knows is pushed here ahead (caps, exposure,
 * ids reserved on disk, the connection), and what happened is handed back afterwards.
 * What must stay true: nothing leaves that the gate did not accept; the INTENT record of an order is on the ring before
 * its first byte leaves; an id is used once, and only below what was reserved; an armed trigger fires once or ends, and
 * either way is handed back once; on a halt, a book that is not trusted, or its hour, it ends.
 * One thread (the brain's) calls everything here; no function allocates. Clock: two reads per order, for its stamps. */
#define _GNU_SOURCE
#include "ae_internal.h"

enum { STEP_INTENT = 1, STATE_INTENT = 1, LOG2_TRIGGERS = 8 };
#define FRESH_NS 5000000000 /* a tick that is older fires nothing, as the gate trades on no older quote */

typedef struct {
    uint8_t name[AE_SYMBOL_BYTES]; /* its length first, as in a record */
    uint8_t px_exp;
    uint8_t qty_exp;
    uint8_t used;
    uint8_t reserved[13];
} slot_t;

typedef struct {
    ae_trigger_t asked;
    ae_placed_t placed;
    uint32_t round; /* makes a handle of an earlier use invalid */
    uint16_t next;  /* in its list: of its market, of the ended, of the free; index + 1 */
    uint16_t armed;
} armed_t;

struct ae_desk {
    ae_gate_t *gate;
    ae_encoder_t *encoder;
    ae_ring_t *ring;
    ae_conn_t *conn;
    ae_hist_block_t *hist;
    uint64_t limit; /* ids from here on are not reserved */
    int64_t offset_ms;
    int64_t soonest_ns; /* no trigger expires before */
    uint32_t armed;
    uint16_t ended_first;
    uint16_t ended_last;
    uint16_t free;
    uint8_t reserved[6];
    ae_order_t record;
    uint8_t frame[AE_ORDER_FRAME_BYTES];
    uint16_t watch[AE_SYMBOLS_MAX]; /* market index -> first trigger + 1 */
    slot_t slots[AE_SYMBOLS_MAX];
    armed_t triggers[AE_TRIGGERS_MAX];
};

_Static_assert(1 << LOG2_TRIGGERS == AE_TRIGGERS_MAX, "handles are cut at another bit");

/* Bytes of a desk, in memory of the caller aligned to 64. */
uint64_t ae_desk_bytes(void)
{
    return sizeof(ae_desk_t);
}

/* Set up a desk over a gate, an encoder and the writer's end of the orders ring, all of which outlive it. It has no
 * connection, no ids and no symbols yet. Allocates: no. */
void ae_desk_init(ae_desk_t *d, ae_gate_t *gate, ae_encoder_t *encoder, ae_ring_t *orders)
{
    memset(d, 0, sizeof *d);
    d->gate = gate;
    d->encoder = encoder;
    d->ring = orders;
    d->soonest_ns = INT64_MAX;
    for (uint16_t i = AE_TRIGGERS_MAX; i > 0; i--) {
        d->triggers[i - 1].next = d->free;
        d->free = i;
    }
}

/* A symbol at the gate's slot: name of 1 to AE_SYMBOL_BYTES - 1 bytes, exponents of price and quantity. 0, or AE_BAD:
 * it cannot be written into an order (ae_encoder_slot), so its orders are refused as of an unknown symbol. */
int ae_desk_slot(ae_desk_t *d, uint32_t slot, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp)
{
    if (ae_encoder_slot(d->encoder, slot, name, bytes, px_exp, qty_exp) < 0)
        return AE_BAD;
    slot_t *s = &d->slots[slot];
    memset(s, 0, sizeof *s);
    s->name[0] = (uint8_t)bytes;
    memcpy(s->name + 1, name, bytes);
    s->px_exp = px_exp;
    s->qty_exp = qty_exp;
    s->used = 1;
    return 0;
}

/* Orders leave on this connection (open; it outlives the link), logged on or signed one by one. NULL: there is none, and
 * accepted orders come back AE_UNSENT. */
void ae_desk_link(ae_desk_t *d, ae_conn_t *conn, int logged_on)
{
    d->conn = conn;
    ae_encoder_logon(d->encoder, logged_on);
}

/* Ids with numbers below `limit` are on the disk. Never lowered: a smaller limit changes nothing. */
void ae_desk_ids(ae_desk_t *d, uint64_t limit)
{
    if (limit > d->limit)
        d->limit = limit;
}

/* Venue time minus ours, in ms. */
void ae_desk_clock(ae_desk_t *d, int64_t offset_ms)
{
    d->offset_ms = offset_ms;
}

/* Count hops gated and written, and for triggers tick_to_wire, in this block of the calling thread; NULL: not. */
void ae_desk_hist(ae_desk_t *d, ae_hist_block_t *block)
{
    d->hist = block;
}

/* The INTENT record: the bytes that aegis/native/orders.py packs for the same order. */
static uint64_t record(ae_desk_t *d, const ae_intent_t *in, const ae_placed_t *out, uint32_t id_bytes)
{
    const slot_t *slot = &d->slots[in->symbol];
    ae_order_t *r = &d->record;
    memset(r, 0, sizeof *r);
    r->now_ns = out->now_ns;
    r->num[0] = in->qty;
    r->num[1] = in->px;
    r->exp[0] = slot->qty_exp;
    r->exp[1] = in->px ? slot->px_exp : 0;
    r->step = STEP_INTENT;
    r->side = in->side;
    r->type = in->type;
    r->tif = in->tif;
    r->bits = in->bits & AE_GATE_REDUCE_ONLY;
    r->state = STATE_INTENT;
    uint8_t *to = r->text;
    *to++ = (uint8_t)id_bytes;
    memcpy(to, out->id, sizeof out->id);
    to += id_bytes;
    memcpy(to, slot->name, AE_SYMBOL_BYTES); /* ends in zeros, as the tag does */
    to += slot->name[0] + 1;
    const char *end = memchr(in->tag, 0, sizeof in->tag);
    *to = (uint8_t)(end ? end - in->tag : (ptrdiff_t)sizeof in->tag);
    memcpy(to + 1, in->tag, *to);
    return ae_ring_publish(d->ring, r, 1);
}

/* Why an intent cannot become an order whatever the gate says; 0: it can. */
static int unfit(const ae_desk_t *d, const ae_intent_t *in)
{
    if (in->symbol >= AE_SYMBOLS_MAX || !d->slots[in->symbol].used)
        return AE_REFUSAL_UNKNOWN_SYMBOL;
    if (ae_encoder_check(d->encoder, in) < 0)
        return AE_REFUSAL_BAD_INTENT;
    return ae_encoder_seq(d->encoder) < d->limit ? AE_REFUSAL_ACCEPTED : AE_REFUSAL_NO_IDS;
}

/* Check, record, sign and send one order. now_ns: wall, of the decision. 0: accepted (it is on the ring and has an id,
 * and out->sent says how far its bytes came); otherwise the ae_refusal, and nothing was done. Worst case: the gate's
 * check, one record, four blocks of SHA-256, one write to the socket. */
int ae_desk_place(ae_desk_t *d, const ae_intent_t *in, int64_t now_ns, ae_placed_t *out)
{
    memset(out, 0, sizeof *out);
    out->trigger = -1;
    out->now_ns = now_ns;
    out->intent = *in;
    int64_t now_ms = now_ns / 1000000 + d->offset_ms;
    out->refusal = now_ms > 0 ? unfit(d, in) : AE_REFUSAL_BAD_INTENT;
#ifndef AE_MUTANT_NO_GATE
    if (!out->refusal)
        out->refusal = ae_gate_check(d->gate, in, now_ns);
#endif
    if (out->refusal)
        return out->refusal;
    out->gated_ns = ae_hist_now();
    out->accepted = ae_gate_accepted(d->gate);
    out->seq = ae_encoder_seq(d->encoder);
    uint32_t id_bytes = (uint32_t)ae_encoder_id(d->encoder, out->id);
#ifndef AE_MUTANT_RECORD_LATE
    out->record = record(d, in, out, id_bytes);
#endif
    if (d->conn) {
        int bytes = ae_encoder_place(d->encoder, in, now_ms, d->frame);
        int wrote = ae_conn_write(d->conn, d->frame, (uint32_t)bytes);
        out->sent = wrote == 0 ? AE_SENT : wrote == AE_MORE ? AE_SENT_PART : AE_UNSENT;
    }
    out->written_ns = ae_hist_now();
#ifdef AE_MUTANT_RECORD_LATE
    out->record = record(d, in, out, id_bytes);
#endif
    ae_ring_wake(d->ring); /* from here on nobody waits for us: readers, the next order's beginning, the counts */
    ae_encoder_next(d->encoder);
    ae_hist_add(d->hist, AE_HOP_GATED, out->gated_ns - now_ns);
    if (out->sent != AE_UNSENT)
        ae_hist_add(d->hist, AE_HOP_WRITTEN, out->written_ns - out->gated_ns);
    return 0;
}

/* `m` at exponent `from` as a number at `to`: 0, 1 it has more digits, 2 it does not fit. Never rounds. */
static int rescale(int64_t *m, int from, int to)
{
    for (; from > to && *m; from--) {
        if (*m % 10)
            return 1;
        *m /= 10;
    }
    for (; from < to && *m; from++)
        if (__builtin_mul_overflow(*m, (int64_t)10, m))
            return 2;
    return 0;
}

/* ae_desk_place for an order said in numbers, for a caller to whom each field of a struct is a call: price and quantity
 * as mantissa and exponent (px_exp below 0: no price), tag of at most 15 bytes ending in 0 (longer ones are cut). The
 * same results; BAD_TICK, BAD_LOT, BAD_INTENT also for what cannot be said at the slot's exponents. now_ns 0: now. */
int ae_desk_order(ae_desk_t *d, uint32_t slot, int side, int type, int tif, int reduce_only, int64_t px, int px_exp,
                  int64_t qty, int qty_exp, const char *tag, int64_t now_ns, ae_placed_t *out)
{
    ae_intent_t in = {.symbol = (uint16_t)slot, .side = (int8_t)side, .type = (uint8_t)type, .tif = (uint8_t)tif};
    in.bits = reduce_only ? AE_GATE_REDUCE_ONLY : 0;
    int refusal = slot < AE_SYMBOLS_MAX && d->slots[slot].used ? AE_REFUSAL_ACCEPTED : AE_REFUSAL_UNKNOWN_SYMBOL;
    if (!refusal) {
        const slot_t *s = &d->slots[slot];
        int bad_px = px_exp < 0 ? 0 : rescale(&px, px_exp, s->px_exp), bad_qty = rescale(&qty, qty_exp, s->qty_exp);
        if (bad_px == 1 || (px_exp >= 0 && !px))
            refusal = AE_REFUSAL_BAD_TICK;
        else if (bad_qty == 1)
            refusal = AE_REFUSAL_BAD_LOT;
        else if (bad_px || bad_qty)
            refusal = AE_REFUSAL_BAD_INTENT;
    }
    in.px = px_exp < 0 ? 0 : px;
    in.qty = qty;
    memcpy(in.tag, tag, strnlen(tag, sizeof in.tag - 1));
    if (refusal) {
        memset(out, 0, sizeof *out);
        out->trigger = -1;
        out->refusal = refusal;
        return refusal;
    }
    return ae_desk_place(d, &in, now_ns ? now_ns : ae_hist_now(), out);
}

static int handle_of(const ae_desk_t *d, const armed_t *t)
{
    return (int)((t->round << LOG2_TRIGGERS | (uint32_t)(t - d->triggers)) & INT32_MAX);
}

/* Arm an order. A handle >= 0, or AE_BAD and the reason in *refusal: the intent cannot become an order, the condition is
 * none, it is past, the latch is set, the book cannot be trusted now, or all places are taken (UNKNOWN_ORDERS). Whether
 * it is within the limits is asked when it fires. */
int ae_desk_arm(ae_desk_t *d, const ae_trigger_t *asked, int64_t now_ns, int *refusal)
{
    ae_gate_quote_t quote;
    *refusal = unfit(d, &asked->intent);
    if (*refusal)
        return AE_BAD;
    if (asked->px <= 0 || (asked->side != 1 && asked->side != -1) || asked->above > 1 ||
        asked->market >= AE_SYMBOLS_MAX || asked->until_ns <= now_ns)
        *refusal = AE_REFUSAL_BAD_INTENT;
    else if (ae_gate_halted(d->gate))
        *refusal = AE_REFUSAL_HALTED;
    else if (ae_gate_quote(d->gate, asked->intent.symbol, now_ns, &quote) < 0)
        *refusal = AE_REFUSAL_BOOK_UNTRUSTED;
    else if (!d->free)
        *refusal = AE_REFUSAL_UNKNOWN_ORDERS;
    if (*refusal)
        return AE_BAD;
    uint16_t place = d->free;
    armed_t *t = &d->triggers[place - 1];
    d->free = t->next;
    t->asked = *asked;
    t->armed = 1;
    t->next = 0;
    uint16_t *at = &d->watch[asked->market]; /* at the end: who was first, fires first */
    while (*at)
        at = &d->triggers[*at - 1].next;
    *at = place;
    d->armed++;
    if (asked->until_ns < d->soonest_ns)
        d->soonest_ns = asked->until_ns;
    return handle_of(d, t);
}

/* Take a trigger out of its market's list. */
static void unwatch(ae_desk_t *d, armed_t *t)
{
    uint16_t place = (uint16_t)(t - d->triggers + 1);
    uint16_t *at = &d->watch[t->asked.market];
    while (*at != place)
        at = &d->triggers[*at - 1].next;
    *at = t->next;
    t->next = 0;
    t->armed = 0;
    d->armed--;
}

/* Free a place; its handle is worth nothing from here on. */
static void forget(ae_desk_t *d, armed_t *t)
{
    t->round++;
    t->next = d->free;
    d->free = (uint16_t)(t - d->triggers + 1);
}

/* A trigger's life is over: it waits to be handed back. */
static void end(ae_desk_t *d, armed_t *t, int why)
{
    uint16_t place = (uint16_t)(t - d->triggers + 1);
    unwatch(d, t);
    if (why != AE_ENDED_FIRED) {
        memset(&t->placed, 0, sizeof t->placed);
        t->placed.intent = t->asked.intent;
    }
    t->placed.trigger = handle_of(d, t);
    t->placed.ended = why;
    if (d->ended_last)
        d->triggers[d->ended_last - 1].next = place;
    else
        d->ended_first = place;
    d->ended_last = place;
}

/* End a trigger without handing it back. 0, or AE_BAD: no such trigger is armed (it may have fired). */
int ae_desk_disarm(ae_desk_t *d, int trigger)
{
    if (trigger < 0)
        return AE_BAD;
    armed_t *t = &d->triggers[(uint32_t)trigger % AE_TRIGGERS_MAX];
    if (!t->armed || handle_of(d, t) != trigger)
        return AE_BAD;
    unwatch(d, t);
    forget(d, t);
    return 0;
}

/* End all triggers, to be handed back with this ae_ended: a stop, a feed that began anew, a faulty strategy. */
void ae_desk_disarm_all(ae_desk_t *d, int why)
{
    for (armed_t *t = d->triggers; d->armed && t < d->triggers + AE_TRIGGERS_MAX; t++)
        if (t->armed)
            end(d, t, why);
    d->soonest_ns = INT64_MAX;
}

/* How many are armed. */
int ae_desk_armed(const ae_desk_t *d)
{
    return (int)d->armed;
}

/* End what is past its hour, and find the next hour. */
static void expire(ae_desk_t *d, int64_t now_ns)
{
    d->soonest_ns = INT64_MAX;
    for (armed_t *t = d->triggers; t < d->triggers + AE_TRIGGERS_MAX; t++) {
        if (!t->armed)
            continue;
        if (t->asked.until_ns <= now_ns)
            end(d, t, AE_ENDED_EXPIRED);
        else if (t->asked.until_ns < d->soonest_ns)
            d->soonest_ns = t->asked.until_ns;
    }
}

/* Whether px (at px_exp, > 0) fulfils the condition (at `e`); exact, whatever the exponents. */
static int fulfils(const ae_trigger_t *asked, int64_t px, unsigned px_exp, unsigned e)
{
    if (px_exp == e)
        return asked->above ? px >= asked->px : px <= asked->px;
    __extension__ __int128 is = px, want = asked->px;
    for (; px_exp < e; px_exp++)
        is *= 10;
    for (; e < px_exp; e++)
        want *= 10;
    return asked->above ? is >= want : is <= want;
}

/* The triggers of one record's symbol. */
static void look_at(ae_desk_t *d, const ae_tick_t *tick, int64_t now_ns)
{
    for (uint16_t place = d->watch[tick->symbol]; place;) {
        armed_t *t = &d->triggers[place - 1];
        place = t->next;
        if (tick->kind == AE_KIND_BOOK_STATE) {
            end(d, t, AE_ENDED_UNTRUSTED);
            continue;
        }
        int64_t px = t->asked.side > 0 ? tick->a : tick->c;
        if (px <= 0 || tick->px_exp > AE_EXP_MAX || now_ns - FRESH_NS > tick->recv_ns ||
            !fulfils(&t->asked, px, tick->px_exp, d->slots[t->asked.intent.symbol].px_exp))
            continue;
        (void)ae_desk_place(d, &t->asked.intent, now_ns, &t->placed);
        t->placed.recv_ns = tick->recv_ns;
        if (t->placed.sent != AE_UNSENT)
            ae_hist_add(d->hist, AE_HOP_TICK_TO_WIRE, t->placed.written_ns - tick->recv_ns);
#ifdef AE_MUTANT_FIRES_TWICE
        (void)ae_desk_place(d, &t->asked.intent, now_ns, &t->placed);
#endif
        end(d, t, AE_ENDED_FIRED);
    }
}

/* Fold a batch into the gate (ae_gate_ticks), then fire what it fulfils, tick by tick in their order, each trigger at
 * most once. now_ns: wall, now. Returns 1 when some have ended and wait to be handed back (ae_desk_ended), else 0. Worst case: the fold,
 * and each armed trigger placed once. Call it for every batch, an empty one too when time has passed. */
int ae_desk_look(ae_desk_t *d, const ae_tick_t *ticks, uint32_t count, int64_t now_ns)
{
    ae_gate_ticks(d->gate, ticks, count);
    if (d->armed && ae_gate_halted(d->gate))
        ae_desk_disarm_all(d, AE_ENDED_HALTED);
    if (d->armed && now_ns >= d->soonest_ns)
        expire(d, now_ns);
    for (const ae_tick_t *tick = ticks; d->armed && tick < ticks + count; tick++) {
        if (tick->symbol >= AE_SYMBOLS_MAX || !d->watch[tick->symbol])
            continue;
        if (tick->kind == AE_KIND_BOOK_TICKER || (tick->kind == AE_KIND_BOOK_STATE && !tick->a))
            look_at(d, tick, now_ns);
    }
    return d->ended_first != 0;
}

/* Hand back what has ended, in the order it happened: up to max. Returns how many. Their handles are worth nothing now. */
int ae_desk_ended(ae_desk_t *d, ae_placed_t *out, uint32_t max)
{
    uint32_t given = 0;
    while (given < max && d->ended_first) {
        armed_t *t = &d->triggers[d->ended_first - 1];
        d->ended_first = t->next;
        if (!d->ended_first)
            d->ended_last = 0;
        out[given++] = t->placed;
        forget(d, t);
    }
    return (int)given;
}

/* Walk the way of an order of this slot without placing one, while nothing else is to be done: tables, templates, states
 * and the code stay in the caches (a signature after 50 ms of idling costs many times a warm one). */
void ae_desk_warm(ae_desk_t *d, uint32_t slot, int64_t now_ns)
{
    ae_gate_quote_t quote;
    (void)ae_gate_quote(d->gate, slot, now_ns, &quote);
    (void)ae_gate_halted(d->gate);
    __builtin_prefetch(&d->record, 1);
    __builtin_prefetch(d->ring->header, 1);
    __builtin_prefetch(d->ring->slots + (ae_ring_newest(d->ring) & d->ring->mask) * d->ring->slot_bytes, 1);
    ae_encoder_warm(d->encoder, slot, now_ns / 1000000, d->frame);
}
