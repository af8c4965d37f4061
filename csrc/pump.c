/* Bytes of one connection -> frames -> records on the ring, books on their page. The sockets are loop.c's.
 *
 * One lock guards a market context and all its pumps: the pump thread holds it for one read of one connection, the
 * owner's calls (snapshot, reset, fill, publish) for one call. Records gather while the bytes of a read are parsed and
 * go out AE_BATCH at a time, readers are woken once; outside the lock nothing is left unpublished.
 * What must stay true: a refused frame publishes nothing; what two overlapping sockets both say is published once;
 * every frame is counted under exactly one heading. */
#define _GNU_SOURCE
#include "predict.h"

#include <pthread.h>

#define AE_BATCH 16
#define AE_CUT_BYTES 4096

typedef struct best {
    int64_t u, bid, bid_qty, ask, ask_qty;
} best_t;

struct ae_market {
    ae_ring_t *ring;
    ae_books_header_t *page;
    ae_book_entry_t *entries;
    uint64_t counters[AE_C_COUNT];
    ae_cell_t cells[AE_KINDS][AE_SYMBOLS_MAX];
    int64_t last_kline[AE_INTERVALS][AE_SYMBOLS_MAX];
    best_t best[AE_SYMBOLS_MAX];
    ae_book_t *books[AE_SYMBOLS_MAX];
    ae_symtab_t symbols;
    ae_predict_t predict;
    ae_hist_block_t *hist;
    int64_t read_ns;
    uint32_t gathered;
    uint32_t unwoken;
    uint32_t sampled;
    uint32_t reserved;
    pthread_mutex_t turn;
    pthread_mutex_t lock;
    ae_tick_t records[AE_BATCH + 2 + AE_LEVELS_MAX + 2];
};

/* Size of a context; the caller gives zeroed memory. */
uint64_t ae_market_bytes(void)
{
    return sizeof(ae_market_t);
}

/* Take the context. `turn` makes it fair: who waits for `lock` holds the turn, so a thread that gives the lock back and
 * wants it at once waits behind him. Any thread; not twice. */
void ae_market_lock(ae_market_t *m)
{
#ifdef AE_MUTANT_UNLOCKED
    (void)m; /* the canary: ThreadSanitizer has to report the loop */
#else
    pthread_mutex_lock(&m->turn);
    pthread_mutex_lock(&m->lock);
    pthread_mutex_unlock(&m->turn);
#endif
}

/* Give the context back. */
void ae_market_unlock(ae_market_t *m)
{
#ifdef AE_MUTANT_UNLOCKED
    (void)m;
#else
    pthread_mutex_unlock(&m->lock);
#endif
}

/* Measure hops into `hist` from now on (NULL: nothing is measured); its writer is whoever holds the lock. */
void ae_market_measure(ae_market_t *m, ae_hist_block_t *hist)
{
    ae_market_lock(m);
    m->hist = hist;
    m->read_ns = 0;
    ae_market_unlock(m);
}

/* The bytes given next were readable at stamp_ns and are in memory now: starts the hops. Under the lock. */
void ae_market_received(ae_market_t *m, int64_t stamp_ns)
{
    if (!m->hist)
        return;
    m->read_ns = ae_hist_now();
    m->sampled = 0;
    ae_hist_add(m->hist, AE_HOP_RECEIVE, m->read_ns - stamp_ns);
}

/* Put what was gathered on the ring; `sampled`: its last frame is a sample of the hops. */
static void publish(ae_market_t *m, int sampled)
{
    uint32_t count = m->gathered;
    if (!count)
        return;
    int64_t parsed_ns = sampled ? ae_hist_now() : 0;
    ae_ring_publish(m->ring, m->records, count);
    m->gathered = 0;
    m->unwoken = 1;
    if (!sampled)
        return;
    m->sampled = 1;
    ae_hist_add(m->hist, AE_HOP_PARSED, parsed_ns - m->read_ns);
    ae_hist_add(m->hist, AE_HOP_PUBLISHED, ae_hist_now() - parsed_ns);
}

/* Publish what is left of a read and wake the readers, once. Under the lock. Of a read that made many batches the first
 * and the last are measured: the best and the worst of it. */
void ae_market_flush(ae_market_t *m)
{
    publish(m, m->read_ns != 0);
    m->read_ns = 0;
    if (m->unwoken)
        ae_ring_wake(m->ring);
    m->unwoken = 0;
}

/* `count` records of the owner's own making, as they are. Returns how many. */
int ae_market_publish(ae_market_t *m, const ae_tick_t *records, uint32_t count)
{
    ae_market_lock(m);
    ae_ring_publish(m->ring, records, count);
    ae_ring_wake(m->ring);
    m->counters[AE_C_RECORDS] += count;
    ae_market_unlock(m);
    return (int)count;
}

static void forget(ae_market_t *m, uint32_t kind, uint32_t symbol)
{
    m->cells[kind][symbol].last = INT64_MIN;
    for (uint32_t i = 0; kind == AE_KIND_KLINE && i < AE_INTERVALS; i++)
        m->last_kline[i][symbol] = INT64_MIN;
}

/* Bind ring and page (both outlive the context). */
void ae_market_init(ae_market_t *m, ae_ring_t *ring, void *books_page)
{
    m->ring = ring;
    m->page = books_page;
    (void)ae_predict_init(&m->predict, AE_DIGITS_BEST);
    m->entries = (ae_book_entry_t *)(void *)((uint8_t *)books_page + AE_BOOKS_HEADER_BYTES);
    pthread_mutex_init(&m->turn, NULL);
    pthread_mutex_init(&m->lock, NULL);
    for (uint32_t kind = 0; kind < AE_KINDS; kind++)
        for (uint32_t symbol = 0; symbol < AE_SYMBOLS_MAX; symbol++)
            forget(m, kind, symbol);
}

static int append(ae_market_t *m, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp,
                  ae_book_t *book)
{
    uint32_t before = m->symbols.count;
    int index = ae_symtab_add(&m->symbols, name, bytes, px_exp, qty_exp);
    if (index < 0 || (uint32_t)index < before)
        return index;
    ae_book_entry_t *entry = &m->entries[index];
    uint64_t count = m->page->count;
    if ((uint64_t)index < count && memcmp(entry->name, m->symbols.symbols[index].name, AE_SYMBOL_BYTES) != 0)
        return AE_BAD;
    memcpy(entry->name, m->symbols.symbols[index].name, AE_SYMBOL_BYTES);
    entry->px_exp = px_exp;
    entry->qty_exp = qty_exp;
    entry->with_book = book != NULL;
    m->books[index] = book;
    ae_book_publish(book, entry, 0);
    if ((uint64_t)index >= count)
        __atomic_store_n(&m->page->count, (uint64_t)index + 1, AE_RELEASE); /* publishes name and exps to readers */
    return index;
}

/* Append a symbol with its book (NULL: none). Returns its index; AE_BAD: full, bad name, or the page holds another
 * name at that index. */
int ae_market_append(ae_market_t *m, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp,
                     ae_book_t *book)
{
    ae_market_lock(m);
    int index = append(m, name, bytes, px_exp, qty_exp, book);
    ae_market_unlock(m);
    return index;
}

static void publish_state(ae_market_t *m, uint32_t symbol, uint32_t reason, int64_t recv_ns)
{
    const ae_book_t *book = m->books[symbol];
    m->records[m->gathered++] =
        (ae_tick_t){.recv_ns = recv_ns, .exch_ns = book->exch_ns, .symbol = (uint16_t)symbol,
                    .kind = AE_KIND_BOOK_STATE, .px_exp = m->entries[symbol].px_exp,
                    .qty_exp = m->entries[symbol].qty_exp, .a = book->state == AE_BOOK_LIVE, .b = reason, .c = book->u};
    m->counters[AE_C_RECORDS]++;
}

/* Compare the last bookTicker with the book's top where both speak of the same update. */
static void cross_check(ae_market_t *m, uint32_t symbol)
{
    const ae_book_t *book = m->books[symbol];
    const best_t *best = &m->best[symbol];
    if (!book || book->state != AE_BOOK_LIVE || !best->u || best->u != book->u || !book->bids || !book->asks)
        return;
    const ae_level_t *bid = &book->bid[book->bids - 1], *ask = &book->ask[book->asks - 1];
    m->counters[AE_C_TOP_CHECKED]++;
    m->counters[AE_C_TOP_MISMATCH] += bid->px != best->bid || bid->qty != best->bid_qty || ask->px != best->ask ||
                                      ask->qty != best->ask_qty;
}

/* What changed in a book since `was`: page, counters, BOOK_STATE record. */
static void book_moved(ae_market_t *m, uint32_t symbol, int was_live, int result, int64_t recv_ns)
{
    ae_book_t *book = m->books[symbol];
    int live = book->state == AE_BOOK_LIVE;
    m->counters[AE_C_BOOK_LEVELS_DROPPED] += book->dropped;
    m->counters[AE_C_BOOK_BUFFER_DROPPED] += book->buffer_dropped;
    book->dropped = book->buffer_dropped = 0;
    if (was_live && result == AE_BAD) {
        m->counters[AE_C_BOOK_BREAKS]++;
        m->entries[symbol].breaks++;
    }
    m->counters[AE_C_BOOK_JOINS] += !was_live && live;
    if (live || was_live)
        ae_book_publish(book, &m->entries[symbol], recv_ns);
    if (live != was_live)
        publish_state(m, symbol, live ? AE_BOOK_JOINED : AE_BOOK_BREAK, recv_ns);
    cross_check(m, symbol);
}

static int is_duplicate(ae_market_t *m, const ae_parsed_t *parsed)
{
    int64_t *last = parsed->kind == AE_KIND_KLINE ? &m->last_kline[parsed->interval][parsed->symbol]
                                                  : &m->cells[parsed->kind][parsed->symbol].last;
    if (parsed->order_key <= *last)
        return 1;
    *last = parsed->order_key;
    return 0;
}

/* A large run goes out before its book is worked on; `t` stays readable until the next record is gathered. */
static void take_records(ae_market_t *m, const ae_parsed_t *parsed, uint32_t count, int64_t recv_ns)
{
    ae_tick_t *t = m->records + m->gathered;
    const ae_symbol_t *symbol = &m->symbols.symbols[parsed->symbol];
    ae_book_t *book = m->books[parsed->symbol];
    for (uint32_t i = 0; i < count; i++)
        t[i].recv_ns = recv_ns;
    m->gathered += count;
    m->counters[AE_C_RECORDS] += count;
    if (m->gathered >= AE_BATCH)
        publish(m, m->read_ns && !m->sampled);
    if (parsed->kind == AE_KIND_BOOK_TICKER && book && t->px_exp == symbol->px_exp && t->qty_exp == symbol->qty_exp) {
        m->best[parsed->symbol] = (best_t){parsed->order_key, t->a, t->b, t->c, t->d};
        cross_check(m, parsed->symbol);
    }
    if (parsed->kind == AE_KIND_DEPTH && book) {
        int was_live = book->state == AE_BOOK_LIVE;
        int result = ae_book_apply(book, t, count, symbol->px_exp, symbol->qty_exp);
        if (result == AE_BAD && !book->events)
            m->counters[AE_C_BOOK_INEXACT]++;
        book_moved(m, parsed->symbol, was_live, result, recv_ns);
    }
}

/* One data frame's payload, gathered. 1 taken (duplicate, dropped and refused too: see counters), 0 no market event. */
static int market_frame(ae_market_t *m, const uint8_t *data, uint32_t bytes, int64_t recv_ns)
{
    ae_parsed_t parsed;
    ae_tick_t *out = m->records + m->gathered;
    int count = ae_tick_parse(data, bytes, &m->symbols, &m->predict, out, AE_LEVELS_MAX + 2, &parsed);
    if (count == 0) {
        m->counters[AE_C_TEXTS]++;
        return 0;
    }
    m->counters[AE_C_FRAMES]++;
    if (count == AE_BAD && parsed.reason != AE_REASON_NOT_MARKET_TRADE) {
        m->counters[AE_C_REFUSED + parsed.reason]++;
        return 1;
    }
    m->cells[parsed.kind][parsed.symbol].count++;
    m->cells[parsed.kind][parsed.symbol].recv_ns = recv_ns;
    if (count == AE_BAD)
        m->counters[AE_C_DROPPED_NA]++;
    else if (is_duplicate(m, &parsed))
        m->counters[AE_C_DUPLICATES]++;
    else
        take_records(m, &parsed, (uint32_t)count, recv_ns);
    return 1;
}

/* Give a symbol's book a snapshot at the symbol's exponents. Results as ae_book_snapshot; AE_BAD also for a symbol
 * without book. */
int ae_market_snapshot(ae_market_t *m, uint32_t symbol, int64_t last_id, const ae_level_t *bids, uint32_t bid_count,
                       const ae_level_t *asks, uint32_t ask_count, int64_t recv_ns)
{
    ae_market_lock(m);
    int result = AE_BAD;
    if (symbol < m->symbols.count && m->books[symbol]) {
        int was_live = m->books[symbol]->state == AE_BOOK_LIVE;
        result = ae_book_snapshot(m->books[symbol], last_id, bids, bid_count, asks, ask_count);
        book_moved(m, symbol, was_live, result, recv_ns);
    }
    ae_market_flush(m);
    ae_market_unlock(m);
    return result;
}

static void start_anew(ae_market_t *m, uint32_t symbol, int64_t recv_ns)
{
    ae_book_t *book = m->books[symbol];
    int was_live = book->state == AE_BOOK_LIVE;
    ae_book_reset(book);
    ae_book_publish(book, &m->entries[symbol], recv_ns);
    if (was_live)
        publish_state(m, symbol, AE_BOOK_RESET, recv_ns);
}

/* A gap nobody bridged: forget what was last seen of one kind; a book starts anew. */
void ae_market_reset(ae_market_t *m, uint32_t symbol, uint32_t kind, int64_t recv_ns)
{
    if (symbol >= m->symbols.count || kind >= AE_KINDS)
        return;
    ae_market_lock(m);
    forget(m, kind, symbol);
    if (kind == AE_KIND_DEPTH && m->books[symbol])
        start_anew(m, symbol, recv_ns);
    ae_market_flush(m);
    ae_market_unlock(m);
}

/* Publish records that REST gave after a gap, marked FILLED. Returns how many. */
int ae_market_fill(ae_market_t *m, ae_tick_t *records, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        records[i].flags |= AE_FLAG_FILLED;
    ae_market_lock(m);
    m->counters[AE_C_FILLED] += count;
    ae_market_unlock(m);
    return ae_market_publish(m, records, count);
}

/* Views for the owner: cells are [AE_KINDS][AE_SYMBOLS_MAX], counters [AE_C_COUNT]. */
ae_cell_t *ae_market_cells(ae_market_t *m) { return &m->cells[0][0]; }
uint64_t *ae_market_counters(ae_market_t *m) { return m->counters; }
ae_symtab_t *ae_market_symbols(ae_market_t *m) { return &m->symbols; }

/* A receive buffer and one for fragments, `capacity` bytes each, owned by the caller. market NULL: all is text. */
void ae_pump_init(ae_pump_t *pump, uint8_t *data, uint8_t *joined, uint32_t capacity, ae_market_t *market)
{
    memset(pump, 0, sizeof *pump);
    pump->data = data;
    pump->joined = joined;
    pump->capacity = capacity;
    pump->market = market;
}

/* Make room for the next read at data + write; returns its size, > 0. The bytes of the last event are gone after. What
 * is left of a cut frame goes to the front while it is short, so that the same few pages stay in the near cache. */
uint32_t ae_pump_room(ae_pump_t *pump)
{
    uint32_t left = pump->write - pump->read;
    if (pump->read && (left < AE_CUT_BYTES || pump->capacity - pump->write < pump->capacity / 2)) {
        memmove(pump->data, pump->data + pump->read, left);
        pump->write = left;
        pump->read = 0;
    }
    return pump->capacity - pump->write;
}

static int bad(ae_pump_t *pump, uint32_t reason)
{
    pump->reason = reason;
    if (pump->market)
        pump->market->counters[AE_C_FRAMES_BAD]++;
    return AE_PUMP_BAD;
}

static int give(ae_pump_t *pump, uint8_t *at, uint32_t bytes, int what)
{
    pump->event = at;
    pump->event_bytes = bytes;
    return what;
}

/* One message is whole. */
static int message(ae_pump_t *pump, uint8_t *at, uint32_t bytes, int64_t recv_ns)
{
    if (pump->market && market_frame(pump->market, at, bytes, recv_ns))
        return AE_PUMP_NEED;
    return give(pump, at, bytes, AE_PUMP_TEXT);
}

static int data_frame(ae_pump_t *pump, const ae_ws_frame_t *frame, uint8_t *payload, int64_t recv_ns)
{
    if ((frame->opcode == 0) != (pump->joining != 0))
        return bad(pump, pump->joining ? AE_WS_UNFINISHED : AE_WS_CONTINUATION);
    if (!pump->joining && frame->fin)
        return message(pump, payload, frame->payload_bytes, recv_ns);
    if (frame->payload_bytes > pump->capacity - pump->joined_bytes)
        return bad(pump, AE_WS_TOO_BIG);
    memcpy(pump->joined + pump->joined_bytes, payload, frame->payload_bytes);
    pump->joined_bytes += frame->payload_bytes;
    pump->joining = !frame->fin;
    if (!frame->fin)
        return AE_PUMP_NEED;
    uint32_t bytes = pump->joined_bytes;
    pump->joined_bytes = 0;
    return message(pump, pump->joined, bytes, recv_ns);
}

/* Take `bytes` just read into data + write (0 to go on after an event). Returns AE_PUMP_NEED when all whole frames
 * are taken, or an event: CONTROL (raw frame), TEXT (payload) in event / event_bytes, valid until the next call; BAD
 * with reason: the connection is over. Records are gathered: the caller flushes, and holds the market's lock. */
int ae_pump_frames(ae_pump_t *pump, uint32_t bytes, int64_t recv_ns)
{
    if (pump->reason)
        return AE_PUMP_BAD;
    if (bytes > pump->capacity - pump->write)
        return bad(pump, AE_WS_TOO_BIG);
    pump->write += bytes;
    int result = AE_PUMP_NEED;
    const uint32_t payload_max = pump->capacity - 16;
    while (result == AE_PUMP_NEED) {
        ae_ws_frame_t frame;
        uint32_t reason = 0, payload = 0;
        uint8_t *at = pump->data + pump->read;
        uint32_t header = pump->joining ? 0 : ae_ws_text(at, pump->write - pump->read, payload_max, &payload);
        if (header) {
            pump->read += header + payload;
            result = message(pump, at + header, payload, recv_ns);
            continue;
        }
        int used = ae_ws_parse(at, pump->write - pump->read, payload_max, &frame, &reason);
        if (used == AE_MORE)
            break;
        if (used == AE_BAD)
            return bad(pump, reason);
        pump->read += (uint32_t)used;
        result = frame.opcode >= 8 ? give(pump, at, (uint32_t)used, AE_PUMP_CONTROL)
                                   : data_frame(pump, &frame, at + frame.header_bytes, recv_ns);
    }
    return result;
}

/* ae_pump_frames for a caller without a loop: takes the lock, publishes and wakes readers. */
int ae_pump_step(ae_pump_t *pump, uint32_t bytes, int64_t recv_ns)
{
    if (!pump->market)
        return ae_pump_frames(pump, bytes, recv_ns);
    ae_market_lock(pump->market);
    int result = ae_pump_frames(pump, bytes, recv_ns);
    ae_market_flush(pump->market);
    ae_market_unlock(pump->market);
    return result;
}
