/* L2 book of one symbol by PROTOCOL 2.4: buffer, join a snapshot, follow the `pu` chain, break -> start anew.
 *
 *   BUFFERING --snapshot--> WAITING --first fitting event--> LIVE --pu != u--> BUFFERING
 *                              \--event that does not fit--> BUFFERING
 *
 * Levels are exact mantissas at the symbol's exponents, sorted with the best at the array's end, because changes
 * happen there. What must stay true: LIVE means every event since the snapshot was applied. */
#include "ae_internal.h"

#define AE_EDITS 256 /* prices that come or go at a time */

enum { AE_STEP_DROPPED = 0, AE_STEP_APPLIED = 1, AE_STEP_JOINED = 2 };

/* Forget everything; wait for events. */
void ae_book_reset(ae_book_t *book)
{
    book->state = AE_BOOK_BUFFERING;
    book->wants = 0;
    book->bids = book->asks = 0;
    book->events = book->changes = 0;
    book->u = 0;
}

/* A price that comes (level.qty > 0) before index `at` of the levels as they were, or goes from there. */
typedef struct edit {
    uint32_t at;
    ae_level_t level;
} edit_t;

static int32_t shift_of(const edit_t *edit)
{
    return edit->level.qty ? 1 : -1;
}

/* First index from `at` on whose sign * px is not below `key`: in widening steps, then by halves. */
static uint32_t place_of(const ae_level_t *levels, uint32_t at, uint32_t count, int64_t sign, int64_t key)
{
    uint32_t step = 1;
    while (step < count - at && sign * levels[at + step - 1].px < key) {
        at += step;
        step *= 2;
    }
    uint32_t left = step < count - at ? step : count - at;
    while (left) {
        uint32_t half = left / 2;
        int below = sign * levels[at + half].px < key;
        at = below ? at + half + 1 : at;
        left = below ? left - half - 1 : half;
    }
    return at;
}

/* Levels [from, to) move by `shift`; what would stand before the first place is dropped. */
static void move_levels(ae_level_t *levels, uint32_t from, uint32_t to, int32_t shift)
{
    if ((int32_t)from + shift < 0)
        from = (uint32_t)-shift;
    if (from < to)
        memmove(levels + (int32_t)from + shift, levels + from, (to - from) * sizeof *levels);
}

/* All edits at once, each level moved at most once. Order: what moves down goes from the far end on, then what moves
 * up from the near end on; so none is written over before it moved. More than AE_BOOK_LEVELS: the farthest go. */
static void apply_edits(ae_book_t *book, ae_level_t *levels, uint32_t *count, const edit_t *edits, uint32_t n)
{
    int32_t shift = 0;
    for (uint32_t i = 0; i < n; i++)
        shift += shift_of(&edits[i]);
    int32_t after = (int32_t)*count + shift, excess = after > AE_BOOK_LEVELS ? after - AE_BOOK_LEVELS : 0;
    uint32_t from = 0, to = *count;
    book->dropped += (uint32_t)excess;
    shift = -excess;
    for (uint32_t i = 0; i <= n; i++) {
        uint32_t end = i < n ? edits[i].at : to;
        if (shift < 0)
            move_levels(levels, from, end, shift);
        if (i < n) {
            from = end + !edits[i].level.qty;
            shift += shift_of(&edits[i]);
        }
    }
    for (uint32_t i = n + 1; i-- > 0;) {
        from = i ? edits[i - 1].at + !edits[i - 1].level.qty : 0;
        if (shift > 0)
            move_levels(levels, from, to, shift);
        if (i) {
            to = edits[i - 1].at;
            shift -= shift_of(&edits[i - 1]);
        }
    }
    for (uint32_t i = 0; i < n; shift += shift_of(&edits[i++]))
        if (edits[i].level.qty && (int32_t)edits[i].at + shift >= 0)
            levels[(int32_t)edits[i].at + shift] = edits[i].level;
    *count = (uint32_t)(after - excess);
}

/* n changes of one side, given so that sign * px rises by `step`: sizes at once, prices that come or go together. */
static void apply_run(ae_book_t *book, const ae_book_change_t *change, uint32_t n, int32_t step)
{
    edit_t edits[AE_EDITS];
    int64_t side = change->side, sign = side ? -1 : 1;
    ae_level_t *levels = side ? book->ask : book->bid;
    uint32_t *count = side ? &book->asks : &book->bids, at = 0, waiting = 0;
    for (uint32_t i = 0; i < n; i++, change += step) {
        at = place_of(levels, at, *count, sign, sign * change->px);
        uint32_t found = at < *count && levels[at].px == change->px;
        if (found && change->qty)
            levels[at].qty = change->qty;
        else if (found || change->qty)
            edits[waiting++] = (edit_t){at, {change->px, change->qty}};
        at += found;
        if (waiting == AE_EDITS) {
            apply_edits(book, levels, count, edits, waiting);
            at = waiting = 0;
        }
    }
    if (waiting)
        apply_edits(book, levels, count, edits, waiting);
}

/* Changes in any order; those that rise or fall in a row are taken in one go, which is how the venue sends them. */
static void apply_changes(ae_book_t *book, const ae_book_change_t *change, uint32_t n)
{
    for (uint32_t from = 0, to; from < n; from = to) {
        const ae_book_change_t *c = change + from;
        int rises = from + 1 < n && c[1].px > c[0].px;
        for (to = from + 1; to < n && change[to].side == c->side; to++)
            if (change[to].px == change[to - 1].px || (change[to].px > change[to - 1].px) != rises)
                break;
        int forward = rises == !c->side;
        apply_run(book, forward ? c : change + to - 1, to - from, forward ? 1 : -1);
    }
}

/* One event against a book that has a snapshot. AE_STEP_*, or AE_BAD when it does not follow. */
static int step(ae_book_t *book, const ae_book_event_t *event, const ae_book_change_t *changes)
{
    int joining = book->state == AE_BOOK_WAITING;
    if (joining && event->last < book->u)
        return AE_STEP_DROPPED;
    int follows = event->prev == book->u;
    if (!follows && !(joining && event->first <= book->u && book->u <= event->last))
        return AE_BAD;
    apply_changes(book, changes, event->levels);
    book->u = event->last;
    book->exch_ns = event->exch_ns;
    book->state = AE_BOOK_LIVE;
    return joining ? AE_STEP_JOINED : AE_STEP_APPLIED;
}

static int scaled(int64_t *value, uint8_t from, uint8_t to)
{
    for (; from > to; from--) {
        if (*value % 10)
            return 0;
        *value /= 10;
    }
    for (; from < to; from++)
        if (__builtin_mul_overflow(*value, (int64_t)10, value))
            return 0;
    return 1;
}

/* Append a run to the buffer as one event; a full buffer starts again from this event. 0, or AE_BAD when a level
 * cannot be held at the book's exponents or the event is larger than the buffer. */
static int buffer(ae_book_t *book, const ae_tick_t *run, uint32_t count, uint8_t px_exp, uint8_t qty_exp)
{
    if (count - 1 > AE_BOOK_BUFFER)
        return AE_BAD;
    if (book->events == AE_BOOK_EVENTS || book->changes + count - 1 > AE_BOOK_BUFFER) {
        book->buffer_dropped += book->events;
        book->events = book->changes = 0;
    }
    ae_book_event_t *event = &book->event[book->events];
    *event = (ae_book_event_t){run->a, run->b, run->c, run->exch_ns, book->changes, count - 1};
    for (uint32_t i = 1; i < count; i++) {
        ae_book_change_t *change = &book->change[book->changes + i - 1];
        *change = (ae_book_change_t){run[i].a, run[i].b, run[i].c};
        if (!scaled(&change->px, run[i].px_exp, px_exp) || !scaled(&change->qty, run[i].qty_exp, qty_exp))
            return AE_BAD;
    }
    book->events++;
    book->changes += count - 1;
    return 0;
}

/* Take all buffered events; on one that does not follow keep it and what comes after it, and ask again. */
static int replay(ae_book_t *book)
{
    int joined = 0;
    for (uint32_t i = 0; i < book->events; i++) {
        int got = step(book, &book->event[i], book->change + book->event[i].at);
        if (got == AE_BAD) {
            uint32_t at = book->event[i].at;
            memmove(book->event, book->event + i, (book->events - i) * sizeof book->event[0]);
            memmove(book->change, book->change + at, (book->changes - at) * sizeof book->change[0]);
            book->events -= i;
            book->changes -= at;
            for (uint32_t k = 0; k < book->events; k++)
                book->event[k].at -= at;
            book->state = AE_BOOK_BUFFERING;
            book->bids = book->asks = 0;
            book->wants = 1;
            return AE_BAD;
        }
        joined |= got == AE_STEP_JOINED;
    }
    book->events = book->changes = 0;
    return joined ? AE_STEP_JOINED : book->state == AE_BOOK_LIVE ? AE_STEP_APPLIED : AE_STEP_DROPPED;
}

/* Take one depth run (header record and its levels). 0 buffered or dropped, 1 applied, 2 joined, AE_BAD: the event
 * does not follow (or cannot be held): the book is empty and wants a snapshot. */
int ae_book_apply(ae_book_t *book, const ae_tick_t *run, uint32_t count, uint8_t px_exp, uint8_t qty_exp)
{
    if (buffer(book, run, count, px_exp, qty_exp) == AE_BAD) {
        ae_book_reset(book);
        return AE_BAD;
    }
    if (book->state != AE_BOOK_BUFFERING)
        return replay(book);
    book->wants = 1;
    return 0;
}

static void apply_levels(ae_book_t *book, int64_t side, const ae_level_t *levels, uint32_t n)
{
    ae_book_change_t changes[AE_EDITS];
    for (uint32_t from = 0; from < n; from += AE_EDITS) {
        uint32_t some = n - from < AE_EDITS ? n - from : AE_EDITS;
        for (uint32_t i = 0; i < some; i++)
            changes[i] = (ae_book_change_t){levels[from + i].px, levels[from + i].qty, side};
        apply_changes(book, changes, some);
    }
}

/* Take a snapshot (levels at the book's exponents, any order, at most 4096 a side are kept). Results as apply;
 * 0 = waiting for the event that joins it. */
int ae_book_snapshot(ae_book_t *book, int64_t last_id, const ae_level_t *bids, uint32_t bid_count,
                     const ae_level_t *asks, uint32_t ask_count)
{
    book->bids = book->asks = 0;
    apply_levels(book, 0, bids, bid_count);
    apply_levels(book, 1, asks, ask_count);
    book->u = last_id;
    book->state = AE_BOOK_WAITING;
    book->wants = 0;
    return replay(book);
}

/* Put the top on the page. One writer per page; readers copy under `lock`. */
void ae_book_publish(const ae_book_t *book, ae_book_entry_t *entry, int64_t recv_ns)
{
    ae_book_entry_t next;
    memcpy(&next, entry, sizeof next);
    next.trusted = book && book->state == AE_BOOK_LIVE;
    next.bids = next.asks = 0;
    if (next.trusted) {
        next.u = book->u;
        next.exch_ns = book->exch_ns;
        next.bids = book->bids < AE_TOP_LEVELS ? book->bids : AE_TOP_LEVELS;
        next.asks = book->asks < AE_TOP_LEVELS ? book->asks : AE_TOP_LEVELS;
        for (uint32_t i = 0; i < next.bids; i++)
            next.bid[i] = book->bid[book->bids - 1 - i];
        for (uint32_t i = 0; i < next.asks; i++)
            next.ask[i] = book->ask[book->asks - 1 - i];
    }
    next.recv_ns = recv_ns;
    uint64_t lock = entry->lock | 1; /* only this thread writes it */
    uint64_t *to = (uint64_t *)(void *)entry;
    __atomic_store_n(to, lock, AE_RELEASE); /* odd: seen by the second look of ae_book_read */
    for (uint32_t w = 1; w < sizeof next / 8; w++) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)&next + w * 8, 8);
        __atomic_store_n(to + w, word, AE_RELEASE); /* carries the odd lock along */
    }
    __atomic_store_n(to, lock + 1, AE_RELEASE); /* publishes the words; pairs with the first look of ae_book_read */
}

/* Copy one entry consistently. 0, or AE_BAD when its writer holds it (or died holding it). */
int ae_book_read(const ae_book_entry_t *entry, ae_book_entry_t *out)
{
    const uint64_t *from = (const uint64_t *)(const void *)entry;
    for (int tries = 0; tries < 10000; tries++) {
        uint64_t lock = __atomic_load_n(from, __ATOMIC_ACQUIRE); /* sees the words of that version */
        if (lock & 1)
            continue;
        memcpy(out, &lock, 8);
        for (uint32_t w = 1; w < sizeof *out / 8; w++) {
            uint64_t word = __atomic_load_n(from + w, __ATOMIC_ACQUIRE); /* brings a later odd lock along */
            memcpy((uint8_t *)out + w * 8, &word, 8);
        }
        if (__atomic_load_n(from, __ATOMIC_ACQUIRE) == lock) { /* unchanged: the copy is of one version */
            if (out->bids > AE_TOP_LEVELS || out->asks > AE_TOP_LEVELS)
                return AE_BAD;
            return 0;
        }
    }
    return AE_BAD;
}
