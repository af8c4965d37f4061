/* A batch of market records for one reader, conflated when the reader lags.
 *
 * A reader that is far behind is late with everything, though most of what it has yet to read is already replaced. More
 * than `lag` records behind, it gets of what replaces itself (bookTicker, mark price, 24h ticker, partial depth) the
 * newest per symbol; depth runs of symbols whose book is on the books page not at all, for the page carries the book
 * (a reader that keeps books of its own from depth runs asks for lag 0); and every trade, candle, liquidation and book
 * state. Order is kept, what was left out is counted.
 *
 * A run (records from BEGIN to END) is given whole or not at all, though it may be spread over batches. What a lap left
 * of a run is left out and counted; if its head was in an earlier batch already, no END comes: the next BEGIN or other
 * kind ends it. Forbidden: a record left out without being counted; an old record after a newer one of its place. */
#include "ae_internal.h"

enum { RUN_NONE, RUN_KEEP, RUN_DROP, RUN_CUT };

/* Start a reader; its cursor may stand anywhere. books_page NULL: every depth run is given. Owner: the reader's thread;
 * call again when the page or the ring was made anew. */
void ae_take_init(ae_take_t *take, const void *books_page)
{
    memset(take, 0, sizeof *take);
    take->books = books_page;
}

/* Place of what conflates, by kind: below 4; 4 for what does not. */
static uint32_t place_of(uint32_t kind)
{
    switch (kind) {
    case AE_KIND_BOOK_TICKER:
        return 0;
    case AE_KIND_MARK:
        return 1;
    case AE_KIND_TICKER_24H:
        return 2;
    case AE_KIND_DEPTH_SNAPSHOT:
        return 3;
    default:
        return 4;
    }
}

static int is_run(uint32_t kind)
{
    return kind == AE_KIND_DEPTH || kind == AE_KIND_DEPTH_SNAPSHOT || kind == AE_KIND_KLINE ||
           kind == AE_KIND_TICKER_24H;
}

static int has_book(const ae_take_t *take, uint32_t symbol)
{
    if (!take->books)
        return 0;
    const ae_book_entry_t *entries =
        (const ae_book_entry_t *)(const void *)((const uint8_t *)take->books + AE_BOOKS_HEADER_BYTES);
    return symbol < __atomic_load_n(&take->books->count, __ATOMIC_ACQUIRE) && /* partner: store in ae_market_append */
           __atomic_load_n(&entries[symbol].with_book, __ATOMIC_RELAXED);     /* written before count */
}

/* The record at `at` and the rest of its run are replaced: mark them dead. */
static void kill_at(ae_take_t *take, ae_tick_t *out, uint32_t at, uint32_t count)
{
    uint32_t kind = out[at].kind, symbol = out[at].symbol, more = out[at].flags & AE_FLAG_BEGIN;
    for (uint32_t i = at; i < count; i++) {
        int other = out[i].kind != kind || out[i].symbol != symbol || (i > at && out[i].flags & AE_FLAG_BEGIN);
        if (other)
            return;
        int last = !more || out[i].flags & AE_FLAG_END;
        out[i].kind = 0;
        take->conflated++;
        if (last)
            return;
    }
}

/* A lap came into a run of this batch: take back what is given of it. Returns the new count. */
static uint32_t take_back(ae_take_t *take, const ae_tick_t *out, uint32_t count)
{
    for (int more = 1; more && count; count--) {
        const ae_tick_t *t = &out[count - 1];
        uint32_t place = place_of(t->kind);
        more = !(t->flags & AE_FLAG_BEGIN);
        if (place < 4 && t->symbol < AE_SYMBOLS_MAX && take->last[place][t->symbol] == count)
            take->last[place][t->symbol] = 0;
        take->cut++;
    }
    return count;
}

/* What becomes of the run state at a record; returns that of the record itself. */
static uint32_t run_of(ae_take_t *take, const ae_tick_t *t, int lost)
{
    if (!is_run(t->kind)) {
        take->run = RUN_NONE;
    } else if (t->flags & AE_FLAG_BEGIN) {
        int carried = take->lagging && t->kind == AE_KIND_DEPTH && has_book(take, t->symbol);
        take->run = carried ? RUN_DROP : RUN_KEEP;
    } else if (lost || take->run == RUN_NONE) {
        take->run = RUN_CUT;
    }
    uint32_t run = take->run;
    if (t->flags & AE_FLAG_END)
        take->run = RUN_NONE;
    return run;
}

/* Decide about a record just read; what is kept goes to out[count]. Returns the new count. */
static uint32_t judge(ae_take_t *take, ae_tick_t *out, uint32_t count, const ae_tick_t *t)
{
    int lost = t->seq != take->next;
    take->next = t->seq + 1;
    if (lost && take->run == RUN_KEEP)
        count = take_back(take, out, count);
    uint32_t run = run_of(take, t, lost);
    take->cut += run == RUN_CUT;
    take->conflated += run == RUN_DROP;
    if (run == RUN_CUT || run == RUN_DROP)
        return count;
    uint32_t place = place_of(t->kind);
    int head = run == RUN_NONE || t->flags & AE_FLAG_BEGIN;
    if (take->lagging && place < 4 && t->symbol < AE_SYMBOLS_MAX && head) {
        uint32_t *last = &take->last[place][t->symbol];
        if (*last)
            kill_at(take, out, *last - 1, count);
        *last = count + 1;
    }
    if (t != &out[count])
        out[count] = *t;
    return count + 1;
}

/* Close the gaps of dead records; places are found anew. Returns how many are left. */
static uint32_t squeeze(ae_take_t *take, ae_tick_t *out, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!out[i].kind)
            continue;
        uint32_t place = place_of(out[i].kind);
        if (place < 4 && out[i].symbol < AE_SYMBOLS_MAX && take->last[place][out[i].symbol] == i + 1)
            take->last[place][out[i].symbol] = kept + 1;
        if (kept != i)
            out[kept] = out[i];
        kept++;
    }
    return kept;
}

/* Read up to `want` records behind the `count` that `out` holds, and judge them. Returns how many it holds then. */
static uint32_t read_some(ae_take_t *take, const ae_ring_t *ring, ae_cursor_t *cursor, ae_tick_t *out, uint32_t count,
                          uint32_t want)
{
    uint32_t got = (uint32_t)ae_ring_read(ring, cursor, out + count, want);
    if (!got)
        return count;
    const ae_tick_t *first = out + count, *last = first + got - 1;
    if (!take->lagging && take->run != RUN_DROP && take->run != RUN_CUT && first->seq == take->next &&
        last->seq == take->next + got - 1) { /* the common way: nothing to leave out */
        take->next = last->seq + 1;
        take->run = is_run(last->kind) && !(last->flags & AE_FLAG_END) ? RUN_KEEP : RUN_NONE;
        return count + got;
    }
    for (const ae_tick_t *t = first; t <= last; t++)
        count = judge(take, out, count, t);
    return count;
}

/* Take up to `room` records after cursor->taken into `out` (caller's memory, room * 64 bytes). lag 0: all of them; else
 * conflate when more than `lag` records are behind. Reads no further than what is there at the call. One thread per
 * cursor. Allocates: no. Worst case: one pass over the ring. Returns how many `out` holds; take->conflated and
 * take->cut grow by what was left out, cursor->lost by what a lap took. */
int ae_take(ae_take_t *take, const ae_ring_t *ring, ae_cursor_t *cursor, ae_tick_t *out, uint32_t room, uint64_t lag)
{
    uint64_t until = ae_ring_newest(ring);
    if (until <= cursor->taken || ring->slot_bytes != AE_TICK_BYTES)
        return 0;
    take->lagging = lag && until - cursor->taken > lag;
    if (take->lagging)
        memset(take->last, 0, sizeof take->last);
    uint32_t count = 0;
    while (cursor->taken < until && count < room) {
        uint64_t left = until - cursor->taken, before = cursor->taken;
        count = read_some(take, ring, cursor, out, count, left < room - count ? (uint32_t)left : room - count);
        if (cursor->taken == before)
            break;
        if (count == room && take->lagging)
            count = squeeze(take, out, count);
        if (room - count < room / 4) /* mostly what must be kept: the next batch goes on */
            break;
    }
    return (int)(take->lagging ? squeeze(take, out, count) : count);
}
