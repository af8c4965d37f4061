/* The gate every order passes: limits, filters, latch, exposure; on integers, in one call.
 *
 * A limit that Python holds can be raised by a line of Python. So the caps and the filters stand in pages of their own
 * that are sealed read-only after the start, and what an accepted order may do is counted here at once: Python's books
 * learn of it later, and between the two a second order must not find the old room. aegis/risk/gate.py says the same in
 * Python and judges this file.
 *
 * What must stay true: nothing passes that could exceed a cap by filling; whatever is rounded is rounded against us;
 * an exit (reduce-only, within the position) passes every brake but never the venue's filters, and never if orders
 * beside it could carry the position through zero and over a cap; a number too large to compute with is a refusal.
 * One thread (the brain's) calls everything here; no function allocates or reads a clock. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ae_internal.h"

#define SECOND_NS 1000000000
#define QUOTE_NS 5000000000
#define BPS 10000
#define VALUE_EXP 18
#define SEALED_BYTES 196608 /* whole pages at every page size up to 64 KiB */
#define PAGE_TRIES 4096
#define SYS_MSEAL 462 /* Linux 6.10, the same number on every architecture */

#define TYPE_LIMIT 1
#define TYPE_MARKET 2

__extension__ typedef __int128 wide_t;
#define WIDE_MAX ((((wide_t)INT64_MAX) << 64) | (wide_t)UINT64_MAX) /* stands for: too large to say */

/* Rules of a slot and what follows from them: bounds of a product of mantissas, so that a check is one comparison. */
typedef struct fixed {
    wide_t min_notional;
    wide_t order_notional;
    wide_t position_notional;
    ae_gate_rules_t rules;
    int64_t unit; /* 10**(VALUE_EXP - px_exp - qty_exp), 0 where that is no whole number */
} fixed_t;

/* What moves: the ticker's quote, the mark, the price the slot is valued by, the truth as Python set it and, in
 * `more_*`, what was accepted since. value: worst-case notional in 10**-VALUE_EXP. */
typedef struct moving {
    wide_t value;
    int64_t bid;
    int64_t ask;
    int64_t recv_ns;
    int64_t mark;
    int64_t mark_ns;
    int64_t last;
    ae_gate_exposure_t truth;
    wide_t more_buy;
    wide_t more_sell;
    wide_t more_buy_reduce;
    wide_t more_sell_reduce;
    uint32_t market; /* index + 1 */
    uint8_t unvalued;
    uint8_t mark_exp;
    uint8_t seen;
    uint8_t reserved;
} moving_t;

typedef struct taken {
    int64_t qty;
    uint16_t slot;
    int8_t side;
    uint8_t reduce;
    uint32_t reserved;
} taken_t;

typedef struct sealed {
    ae_caps_t caps;
    wide_t total_notional;
    uint32_t count;
    uint32_t reserved[3];
    fixed_t slots[AE_SYMBOLS_MAX];
} sealed_t;

struct ae_gate {
    union {
        sealed_t is;
        uint8_t pages[SEALED_BYTES];
    } sealed;
    wide_t total;   /* sum of the slots' values */
    wide_t foreign; /* of the account, in the same unit; nonsense is counted against us */
    uint32_t unvalued;
    uint32_t stale; /* slot + 1 of what was counted and not yet valued */
    uint64_t accepted;
    uint64_t seen;
    uint64_t stamps_used;
    uint64_t lost; /* the loss limit is reached */
    const uint8_t *control;
    const uint8_t *entries;
    ae_gate_account_t account;
    int64_t stamps[AE_GATE_RATE_MAX];
    taken_t taken[AE_GATE_UNSEEN_MAX];
    uint16_t map[AE_SYMBOLS_MAX]; /* market index -> slot + 1 */
    moving_t slots[AE_SYMBOLS_MAX];
};

_Static_assert(sizeof(sealed_t) <= SEALED_BYTES, "the sealed part has outgrown its pages");
_Static_assert(offsetof(struct ae_gate, total) == SEALED_BYTES, "moving state would be sealed");

/* The best prices as a check sees them: `have` any, `trusted` fit to trade on. */
typedef struct touch {
    int64_t bid;
    int64_t ask;
    int64_t recv_ns;
    uint32_t have;
    uint32_t trusted;
} touch_t;

/* 10**n for n in 0..38, WIDE_MAX beyond. */
static wide_t ten_to(int n)
{
    static const uint64_t small[20] = {1U, 10U, 100U, 1000U, 10000U, 100000U, 1000000U, 10000000U, 100000000U,
        1000000000U, 10000000000U, 100000000000U, 1000000000000U, 10000000000000U, 100000000000000U,
        1000000000000000U, 10000000000000000U, 100000000000000000U, 1000000000000000000U, 10000000000000000000U};
    if (n > 38)
        return WIDE_MAX;
    return n < 20 ? (wide_t)small[n] : (wide_t)small[19] * (wide_t)small[n - 19];
}

/* a * b for a, b >= 0, WIDE_MAX when it does not fit. */
static wide_t product(wide_t a, wide_t b)
{
    wide_t out;
    if (a <= INT64_MAX && b <= INT64_MAX)
        return (wide_t)(int64_t)a * (int64_t)b; /* one instruction */
    return __builtin_mul_overflow(a, b, &out) ? WIDE_MAX : out;
}

/* qty * px, px >= 0. WIDE_MAX when it does not fit: only when qty needs more than 64 bits. */
static wide_t notional_of(wide_t qty, int64_t px)
{
    return qty == (int64_t)qty ? (wide_t)(int64_t)qty * px : product(qty, px);
}

/* m * 10**-from as a mantissa at `to`, m >= 0; rounded down, or up. WIDE_MAX when it does not fit. */
static wide_t scaled(wide_t m, int from, int to, int up)
{
    if (m == 0 || m == WIDE_MAX)
        return m;
    if (to >= from)
        return product(m, ten_to(to - from));
    wide_t unit = ten_to(from - to);
    return m / unit + (up && m % unit != 0);
}

static wide_t larger(wide_t a, wide_t b)
{
    return a > b ? a : b;
}

/* Size of a gate. The caller gives zeroed memory that starts on a page (mmap). Allocates: no. */
uint64_t ae_gate_bytes(void)
{
    return sizeof(ae_gate_t);
}

/* Set the caps of an unsealed gate. 0, or AE_BAD: memory not on a page, or a cap that is not above zero or beyond
 * AE_GATE_RATE_MAX orders a second. Allocates: no. */
int ae_gate_init(ae_gate_t *g, const ae_caps_t *caps)
{
    long page = sysconf(_SC_PAGESIZE);
    if (page <= 0 || SEALED_BYTES % page || (uintptr_t)g % (uintptr_t)page)
        return AE_BAD;
    if (caps->order_notional <= 0 || caps->position_notional <= 0 || caps->total_notional <= 0 ||
        caps->loss_limit <= 0 || !caps->orders_per_s || caps->orders_per_s > AE_GATE_RATE_MAX || !caps->open_orders ||
        !caps->collar_bps)
        return AE_BAD;
    sealed_t *s = &g->sealed.is;
    s->caps = *caps;
    s->total_notional = scaled(caps->total_notional, AE_MONEY_EXP, VALUE_EXP, 0);
    return 0;
}

/* Append a slot to an unsealed gate. Returns its index, AE_BAD: full, an exponent or a bound out of range. */
int ae_gate_slot(ae_gate_t *g, const ae_gate_rules_t *r)
{
    sealed_t *s = &g->sealed.is;
    const int64_t *bound = &r->tick;
    for (int i = 0; i < 12; i++)
        if (bound[i] < 0)
            return AE_BAD;
    if (s->count >= AE_SYMBOLS_MAX || r->px_exp > AE_EXP_MAX || r->qty_exp > AE_EXP_MAX ||
        r->min_notional_exp > AE_EXP_MAX || r->multiplier_exp > AE_EXP_MAX)
        return AE_BAD;
    int e = r->px_exp + r->qty_exp;
    fixed_t *f = &s->slots[s->count];
    f->rules = *r;
    f->unit = e <= VALUE_EXP ? (int64_t)ten_to(VALUE_EXP - e) : 0;
    f->min_notional = scaled(r->min_notional, r->min_notional_exp, e, 1);
    f->order_notional = scaled(s->caps.order_notional, AE_MONEY_EXP, e, 0);
    f->position_notional = scaled(s->caps.position_notional, AE_MONEY_EXP, e, 0);
    return (int)s->count++;
}

/* Make caps and filters read-only until the process ends; `forever`: the kernel refuses to undo it (mseal). 0 read-only,
 * 1 read-only and kept so by the kernel, AE_BAD not sealed. Allocates: no. */
int ae_gate_seal(ae_gate_t *g, int forever)
{
    if (mprotect(g->sealed.pages, SEALED_BYTES, PROT_READ))
        return AE_BAD;
    return forever && syscall(SYS_MSEAL, g->sealed.pages, (size_t)SEALED_BYTES, 0UL) == 0;
}

/* The caps in force. */
const ae_caps_t *ae_gate_caps(const ae_gate_t *g)
{
    return &g->sealed.is.caps;
}

/* Bind the control page (outlives the gate): its halt words are looked at in every check. NULL: none. */
void ae_gate_control(ae_gate_t *g, const void *page)
{
    g->control = page;
}

/* Bind the books page (outlives its use); all slots lose their place on it. NULL: none, so nothing is trusted. */
void ae_gate_books(ae_gate_t *g, const void *page)
{
    g->entries = page ? (const uint8_t *)page + AE_BOOKS_HEADER_BYTES : NULL;
    memset(g->map, 0, sizeof g->map);
    for (uint32_t i = 0; i < g->sealed.is.count; i++)
        g->slots[i].market = 0;
    ae_gate_forget(g);
}

/* Slot `slot` is symbol `market` of the market ring and of the books page. 0, or AE_BAD: no such slot or symbol. */
int ae_gate_map(ae_gate_t *g, uint32_t market, uint32_t slot)
{
    if (market >= AE_SYMBOLS_MAX || slot >= g->sealed.is.count)
        return AE_BAD;
    g->map[market] = (uint16_t)(slot + 1);
    g->slots[slot].market = market + 1;
    return 0;
}

/* The feed is a new one: no quote seen before counts. The price a slot is valued by stays. */
void ae_gate_forget(ae_gate_t *g)
{
    for (uint32_t i = 0; i < g->sealed.is.count; i++) {
        g->slots[i].seen = 0;
        g->slots[i].mark = 0;
    }
}

/* Worst-case quantities if everything open on one side filled. */
static wide_t long_of(const moving_t *m)
{
    return (wide_t)m->truth.high + m->truth.buy + m->more_buy;
}

static wide_t short_of(const moving_t *m)
{
    return -(wide_t)m->truth.low + m->truth.sell + m->more_sell;
}

/* qty (>= 0) at px in 10**-VALUE_EXP, rounded up; WIDE_MAX when it cannot be said. */
static wide_t value_of(const fixed_t *f, wide_t qty, int64_t px)
{
    if (qty <= 0)
        return 0;
    if (px <= 0)
        return WIDE_MAX;
    wide_t m = notional_of(qty, px);
    if (f->unit && m <= UINT64_MAX)
        return m * f->unit; /* below 2**124: a unit has less than 60 bits */
    return scaled(m, f->rules.px_exp + f->rules.qty_exp, VALUE_EXP, 1);
}

/* Value a slot anew and keep the total of all. */
static void revalue(ae_gate_t *g, uint32_t slot)
{
    moving_t *m = &g->slots[slot];
    wide_t now = value_of(&g->sealed.is.slots[slot], larger(long_of(m), short_of(m)), m->last);
    uint8_t unvalued = now > WIDE_MAX / (AE_SYMBOLS_MAX * 2); /* the sum of all slots cannot overflow */
    g->total += (unvalued ? 0 : now) - m->value;
    g->unvalued += (uint32_t)unvalued - m->unvalued;
    m->value = unvalued ? 0 : now;
    m->unvalued = unvalued;
    if (g->stale == slot + 1)
        g->stale = 0;
}

/* Value what was counted: left to whoever needs the total next, so that an order need not wait for it. */
static void settle(ae_gate_t *g)
{
    if (g->stale)
        revalue(g, g->stale - 1);
}

static void valued_by(ae_gate_t *g, uint32_t slot, int64_t px)
{
    moving_t *m = &g->slots[slot];
    if (px == m->last)
        return;
    m->last = px;
    if (m->value || m->unvalued)
        revalue(g, slot);
}

/* A price of exponent `from` at `to`, rounded away from trading: down for a bid, up for an ask; 0 when it does not fit. */
static int64_t price_at(int64_t px, int from, int to, int up)
{
    if (from == to || px <= 0)
        return px;
    wide_t out = scaled(px, from, to, up);
    return from > AE_EXP_MAX || out > INT64_MAX ? 0 : (int64_t)out;
}

/* Fold a batch of market records: the newest ticker and mark of each slot. Worst case: count records. Allocates: no. */
void ae_gate_ticks(ae_gate_t *g, const ae_tick_t *ticks, uint32_t count)
{
    for (const ae_tick_t *t = ticks; t < ticks + count; t++) {
        if ((t->kind != AE_KIND_BOOK_TICKER && t->kind != AE_KIND_MARK) || t->symbol >= AE_SYMBOLS_MAX ||
            !g->map[t->symbol])
            continue;
        uint32_t slot = g->map[t->symbol] - 1U;
        moving_t *m = &g->slots[slot];
        int e = g->sealed.is.slots[slot].rules.px_exp;
        if (t->kind == AE_KIND_MARK) {
            m->mark = t->px_exp <= AE_EXP_MAX ? t->a : 0;
            m->mark_exp = t->px_exp;
            m->mark_ns = t->recv_ns;
            continue;
        }
        m->bid = price_at(t->a, t->px_exp, e, 0);
        m->ask = price_at(t->c, t->px_exp, e, 1);
        m->recv_ns = t->recv_ns;
        m->seen = 1;
        if (m->ask > 0)
            valued_by(g, slot, m->ask);
    }
}

/* The truth of a slot anew; what was accepted and not yet seen stays on top of it. 0, or AE_BAD: no such slot, or a
 * quantity below zero (nothing is changed). */
int ae_gate_exposure(ae_gate_t *g, uint32_t slot, const ae_gate_exposure_t *x)
{
    if (slot >= g->sealed.is.count || x->buy < 0 || x->sell < 0 || x->buy_reduce < 0 || x->sell_reduce < 0 ||
        x->low > x->high || x->px < 0)
        return AE_BAD;
    moving_t *m = &g->slots[slot];
    m->truth = *x;
    if (!m->last)
        m->last = x->px;
    revalue(g, slot);
    return 0;
}

/* The account anew. */
void ae_gate_account(ae_gate_t *g, const ae_gate_account_t *account)
{
    g->account = *account;
    g->lost = -(wide_t)account->pnl >= g->sealed.is.caps.loss_limit;
    g->foreign = scaled(account->foreign < 0 ? INT64_MAX : account->foreign, AE_MONEY_EXP, VALUE_EXP, 1);
}

/* How many orders were accepted so far: the number of the newest. */
uint64_t ae_gate_accepted(const ae_gate_t *g)
{
    return g->accepted;
}

/* Add or take away (by = 1, -1) one accepted order on top of the truth. */
static void count_more(ae_gate_t *g, const taken_t *t, int by)
{
    moving_t *m = &g->slots[t->slot];
    wide_t qty = (wide_t)by * t->qty;
    if (t->side > 0) {
        m->more_buy += qty;
        m->more_buy_reduce += t->reduce ? qty : 0;
    } else {
        m->more_sell += qty;
        m->more_sell_reduce += t->reduce ? qty : 0;
    }
    if (g->stale != t->slot + 1U)
        settle(g);
    g->stale = t->slot + 1U;
}

/* The truth now holds every accepted order up to this number: they no longer count on top of it. Call it after
 * ae_gate_exposure and ae_gate_account. Numbers of the future count as the newest. */
void ae_gate_seen(ae_gate_t *g, uint64_t accepted)
{
    while (g->seen < accepted && g->seen < g->accepted)
        count_more(g, &g->taken[g->seen++ % AE_GATE_UNSEEN_MAX], -1);
}

/* 1 while a process or the account says halt. */
int ae_gate_halted(const ae_gate_t *g)
{
    uint64_t halt = g->account.halted;
    if (g->control) {
        const uint8_t *block = g->control + sizeof(ae_control_header_t) + offsetof(ae_control_block_t, halt);
#pragma GCC unroll 8
        for (int i = 0; i < AE_CONTROL_BLOCKS; i++, block += sizeof(ae_control_block_t))
            halt |= __atomic_load_n((const uint64_t *)(const void *)block,
                                    __ATOMIC_ACQUIRE); /* sees the word Block.halt stores; nothing else is read by it */
    }
    return halt != 0;
}

static int within(int64_t now, int64_t then, int64_t limit)
{
    return (wide_t)now - then <= limit;
}

#define ENTRY_WORD(field) (offsetof(ae_book_entry_t, field) / 8)

/* The top of a slot's book into `top` (at `e`); 0, or AE_BAD when its writer holds it. */
static int top_of(const uint8_t *entry, int e, touch_t *top)
{
    const uint64_t *from = (const uint64_t *)(const void *)entry;
    for (int tries = 0; tries < PAGE_TRIES; tries++) {
        uint64_t lock = __atomic_load_n(from, __ATOMIC_ACQUIRE); /* sees the words of that version (ae_book_publish) */
        if (lock & 1)
            continue;
        uint64_t recv = __atomic_load_n(from + ENTRY_WORD(recv_ns), __ATOMIC_ACQUIRE); /* each brings a later odd */
        uint64_t state = __atomic_load_n(from + ENTRY_WORD(trusted), __ATOMIC_ACQUIRE); /* lock along */
        uint64_t asks = __atomic_load_n(from + ENTRY_WORD(asks), __ATOMIC_ACQUIRE);
        uint64_t exps = __atomic_load_n(from + ENTRY_WORD(px_exp), __ATOMIC_ACQUIRE);
        uint64_t bid = __atomic_load_n(from + ENTRY_WORD(bid), __ATOMIC_ACQUIRE);
        uint64_t ask = __atomic_load_n(from + ENTRY_WORD(ask), __ATOMIC_ACQUIRE);
        if (__atomic_load_n(from, __ATOMIC_ACQUIRE) != lock) /* changed: the words are of two versions */
            continue;
        uint32_t flags[4]; /* trusted, bids, asks, breaks */
        uint8_t exp[8];
        memcpy(flags, &state, 8);
        memcpy(flags + 2, &asks, 8);
        memcpy(exp, &exps, 8);
        top->trusted = flags[0];
        top->have = flags[1] && flags[2];
        top->recv_ns = (int64_t)recv;
        top->bid = price_at((int64_t)bid, exp[0], e, 0);
        top->ask = price_at((int64_t)ask, exp[0], e, 1);
        return 0;
    }
    return AE_BAD;
}

/* The newest of ticker and trusted top, and whether it may be traded on at `now`: the rule of live/brain_market.py. */
static touch_t touch_of(const ae_gate_t *g, uint32_t slot, int64_t now)
{
    const moving_t *m = &g->slots[slot];
    touch_t top = {0}, out = {m->bid, m->ask, m->recv_ns, m->seen, 0};
    if (!g->entries || !m->market ||
        top_of(g->entries + (m->market - 1) * sizeof(ae_book_entry_t), g->sealed.is.slots[slot].rules.px_exp, &top))
        return out;
    uint32_t trusted = top.trusted;
    if (top.have && (!out.have || out.recv_ns < top.recv_ns))
        out = top;
    out.trusted = trusted && out.have && out.bid > 0 && out.ask > 0 && within(now, out.recv_ns, QUOTE_NS);
    return out;
}

/* Value what is held by the newest tops of the books; tickers do so by themselves. Worst case: one entry per slot that
 * holds something. Allocates: no. */
void ae_gate_look(ae_gate_t *g)
{
    settle(g);
    for (uint32_t slot = 0; slot < g->sealed.is.count; slot++) {
        if (!g->slots[slot].value && !g->slots[slot].unvalued)
            continue;
        touch_t t = touch_of(g, slot, 0);
        if (t.have && t.ask > 0)
            valued_by(g, slot, t.ask);
    }
}

/* Best prices of a slot if they may be traded on now. 0, or AE_BAD: no slot, no quote, too old, book not trusted. */
int ae_gate_quote(const ae_gate_t *g, uint32_t slot, int64_t now, ae_gate_quote_t *quote)
{
    if (slot >= g->sealed.is.count)
        return AE_BAD;
    touch_t t = touch_of(g, slot, now);
    if (!t.trusted)
        return AE_BAD;
    quote->bid = t.bid;
    quote->ask = t.ask;
    quote->recv_ns = t.recv_ns;
    return 0;
}

static int is_exit(const moving_t *m, const ae_intent_t *in)
{
    if (in->side < 0)
        return (wide_t)in->qty + m->truth.sell_reduce + m->more_sell_reduce <= m->truth.low;
    return (wide_t)in->qty + m->truth.buy_reduce + m->more_buy_reduce <= -(wide_t)m->truth.high;
}

static int brakes(const ae_gate_t *g, const moving_t *m, const touch_t *t, int64_t now)
{
    const ae_caps_t *caps = &g->sealed.is.caps;
    const ae_gate_account_t *account = &g->account;
    if (ae_gate_halted(g))
        return AE_REFUSAL_HALTED;
    if (m->truth.blocked & AE_GATE_HALTED)
        return AE_REFUSAL_SYMBOL_HALTED;
    if (m->truth.blocked & AE_GATE_UNRECONCILED || now >= account->reconciled_until_ns)
        return AE_REFUSAL_NOT_RECONCILED;
    if (!t->trusted)
        return AE_REFUSAL_BOOK_UNTRUSTED;
    if (g->lost)
        return AE_REFUSAL_LOSS_LIMIT;
    if (account->open_orders + (g->accepted - g->seen) >= caps->open_orders)
        return AE_REFUSAL_OPEN_ORDERS;
    if (g->stamps_used >= caps->orders_per_s &&
        within(now, g->stamps[(g->stamps_used - caps->orders_per_s) % AE_GATE_RATE_MAX], SECOND_NS - 1))
        return AE_REFUSAL_ORDER_RATE;
    return AE_REFUSAL_ACCEPTED;
}

static int on_grid(int64_t value, int64_t low, int64_t high, int64_t step)
{
    if (value <= 0 || value < low || (high && value > high))
        return 0;
    return !step || (value - low) % step == 0;
}

/* PERCENT_PRICE: a buyer's price at most mark * multiplier_up, a seller's at least mark * multiplier_down. */
static int within_band(const ae_gate_rules_t *r, const moving_t *m, const ae_intent_t *in, int64_t now)
{
    int64_t multiplier = in->side > 0 ? r->multiplier_up : r->multiplier_down;
    if (m->mark <= 0 || !multiplier || !within(now, m->mark_ns, QUOTE_NS))
        return 1;
    int more = m->mark_exp + r->multiplier_exp - r->px_exp;
    wide_t bound = (wide_t)m->mark * multiplier, price = in->px;
    if (more < 0)
        bound = product(bound, ten_to(-more));
    else if (more > 0)
        price = product(price, ten_to(more));
    if (bound == WIDE_MAX || price == WIDE_MAX)
        return 0;
    return in->side > 0 ? price <= bound : price >= bound;
}

/* What the venue's filters would say (venue/rules.py check_order). `price`: of the order or the touch, 0 unknown. */
static int filters(const fixed_t *f, const moving_t *m, const ae_intent_t *in, int64_t price, int64_t now)
{
    const ae_gate_rules_t *r = &f->rules;
    int reduce = in->bits & AE_GATE_REDUCE_ONLY;
    if (!r->trading && !reduce)
        return AE_REFUSAL_SYMBOL_HALTED;
    if (in->type == TYPE_LIMIT) {
        if (!on_grid(in->px, r->px_min, r->px_max, r->tick))
            return AE_REFUSAL_BAD_TICK;
        if (!within_band(r, m, in, now))
            return AE_REFUSAL_PRICE_COLLAR;
    }
    if (in->type == TYPE_MARKET && r->market_lot
            ? !on_grid(in->qty, r->market_qty_min, r->market_qty_max, r->market_lot)
            : !on_grid(in->qty, r->qty_min, r->qty_max, r->lot))
        return AE_REFUSAL_BAD_LOT;
    if (price && !reduce && (wide_t)price * in->qty < f->min_notional)
        return AE_REFUSAL_MIN_NOTIONAL;
    return AE_REFUSAL_ACCEPTED;
}

/* Position and total as they would be if all that is open and this order filled, at price `worst`. */
static int exposure(const ae_gate_t *g, uint32_t slot, const ae_intent_t *in, int64_t worst)
{
    const sealed_t *s = &g->sealed.is;
    const moving_t *m = &g->slots[slot];
    wide_t bought = long_of(m), sold = short_of(m);
    wide_t before = larger(bought, sold);
    wide_t *mine = in->side > 0 ? &bought : &sold;
    *mine += in->qty;
    int reduce = in->bits & AE_GATE_REDUCE_ONLY;
    if (*mine > 0) {
        wide_t notional = notional_of(*mine, worst);
        if (notional == WIDE_MAX || notional > s->slots[slot].position_notional)
            return AE_REFUSAL_POSITION_NOTIONAL;
    }
    if (reduce && *mine <= before)
        return AE_REFUSAL_ACCEPTED; /* an exit that makes nothing larger */
    wide_t value = value_of(&s->slots[slot], larger(bought, sold), worst);
    wide_t others = g->total - m->value + g->foreign;
    if (g->unvalued > m->unvalued || value >= WIDE_MAX - others || value + others > s->total_notional)
        return AE_REFUSAL_TOTAL_NOTIONAL;
    return AE_REFUSAL_ACCEPTED;
}

static int collar(const ae_caps_t *caps, const touch_t *t, const ae_intent_t *in, int64_t price)
{
    int64_t best = in->side > 0 ? t->ask : t->bid;
    wide_t away = in->side > 0 ? (wide_t)price - best : (wide_t)best - price;
    return away * BPS > (wide_t)best * caps->collar_bps ? AE_REFUSAL_PRICE_COLLAR : AE_REFUSAL_ACCEPTED;
}

static int judge(ae_gate_t *g, const ae_intent_t *in, int64_t now)
{
    if (in->symbol >= g->sealed.is.count)
        return AE_REFUSAL_UNKNOWN_SYMBOL;
    const fixed_t *f = &g->sealed.is.slots[in->symbol];
    moving_t *m = &g->slots[in->symbol];
    touch_t t = touch_of(g, in->symbol, now);
    settle(g);
    if (t.have && t.ask > 0)
        valued_by(g, in->symbol, t.ask);
    int limit = in->type == TYPE_LIMIT, reduce = in->bits & AE_GATE_REDUCE_ONLY;
    if (in->qty <= 0 || (in->side != 1 && in->side != -1) || (!limit && in->type != TYPE_MARKET) ||
        limit != (in->px != 0) || in->bits & ~AE_GATE_REDUCE_ONLY)
        return AE_REFUSAL_BAD_INTENT;
    if (now < g->account.paused_until_ns)
        return AE_REFUSAL_NOT_CONNECTED;
    if (reduce && !is_exit(m, in))
        return AE_REFUSAL_REDUCE_ONLY;
    int why = reduce ? AE_REFUSAL_ACCEPTED : brakes(g, m, &t, now);
    if (why)
        return why;
    int64_t price = limit ? in->px : !t.trusted ? 0 : in->side > 0 ? t.ask : t.bid;
    why = filters(f, m, in, price, now);
    if (why)
        return why;
    if (g->accepted - g->seen >= AE_GATE_UNSEEN_MAX)
        return AE_REFUSAL_OPEN_ORDERS;
    int64_t worst = price > m->last ? price : m->last;
    if (reduce) {
        if ((in->side > 0 ? long_of(m) : short_of(m)) + in->qty <= 0)
            return AE_REFUSAL_ACCEPTED;
        return worst > 0 ? exposure(g, in->symbol, in, worst) : AE_REFUSAL_BOOK_UNTRUSTED;
    }
    if (notional_of(in->qty, worst) > f->order_notional)
        return AE_REFUSAL_ORDER_NOTIONAL;
    why = exposure(g, in->symbol, in, worst);
    return why ? why : collar(&g->sealed.is.caps, &t, in, price);
}

/* May this order leave now? 0: accepted, and counted at once (rate, open orders, exposure) until ae_gate_seen; otherwise
 * the ae_refusal, and nothing is counted. Prices and quantities: mantissas at the slot's exponents. Allocates: no. */
int ae_gate_check(ae_gate_t *g, const ae_intent_t *in, int64_t now_ns)
{
    int why = judge(g, in, now_ns);
    if (why)
        return why;
    g->stamps[g->stamps_used++ % AE_GATE_RATE_MAX] = now_ns;
    taken_t *t = &g->taken[g->accepted++ % AE_GATE_UNSEEN_MAX];
    *t = (taken_t){in->qty, in->symbol, in->side, in->bits & AE_GATE_REDUCE_ONLY, 0};
    count_more(g, t, 1);
    return AE_REFUSAL_ACCEPTED;
}
