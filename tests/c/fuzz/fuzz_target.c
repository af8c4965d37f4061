/* Fuzz target of frame.c, tick.c, pump.c and book.c together (libFuzzer's entry point).
 *
 * Laws: no over-read (input ends at a guard page), whole == cut, no crash; records of one run share kind and symbol. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "ae_internal.h"

#define CAPACITY 65536
#define SLOTS 1024

static ae_market_t *markets[2];
static ae_ring_t rings[2];
static ae_pump_t pumps[2];
static ae_book_t *books[2];
static uint8_t *guarded;

static void *zeroed(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void start(void)
{
    for (int i = 0; i < 2; i++) {
        void *base = zeroed(ae_ring_bytes(SLOTS, AE_TICK_BYTES));
        ae_ring_init(base, SLOTS, AE_TICK_BYTES, "fuzz");
        ae_ring_take(&rings[i], base, 1);
        markets[i] = zeroed(ae_market_bytes());
        books[i] = zeroed(sizeof(ae_book_t));
        void *page = zeroed(AE_BOOKS_HEADER_BYTES + AE_SYMBOLS_MAX * sizeof(ae_book_entry_t));
        ae_market_init(markets[i], &rings[i], page);
        if (ae_market_append(markets[i], (const uint8_t *)"X", 1, 2, 1, books[i]) != 0)
            abort();
        ae_pump_init(&pumps[i], zeroed(CAPACITY), zeroed(CAPACITY), CAPACITY, markets[i]);
    }
    guarded = zeroed(CAPACITY + 4096);
    if (mprotect(guarded + CAPACITY, 4096, PROT_NONE))
        abort();
}

static void feed(int i, const uint8_t *data, size_t size, size_t cut)
{
    ae_pump_t *pump = &pumps[i];
    ae_pump_init(pump, pump->data, pump->joined, CAPACITY, markets[i]);
    for (size_t at = 0; at < size;) {
        uint32_t room = ae_pump_room(pump);
        size_t n = size - at < room ? size - at : room;
        if (cut && n > cut)
            n = cut;
        memcpy(pump->data + pump->write, data + at, n);
        int got = ae_pump_step(pump, (uint32_t)n, 1);
        while (got == AE_PUMP_CONTROL || got == AE_PUMP_TEXT)
            got = ae_pump_step(pump, 0, 1);
        if (got == AE_PUMP_BAD)
            return;
        at += n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!guarded)
        start();
    if (size < 1 || size > CAPACITY / 2)
        return 0;
    feed(0, data, size, 0);
    feed(1, data, size, 1 + data[0] % 61);
    if (ae_ring_newest(&rings[0]) != ae_ring_newest(&rings[1]) || books[0]->u != books[1]->u ||
        books[0]->bids != books[1]->bids || books[0]->state != books[1]->state)
        abort(); /* whole and cut differ */
    if (books[0]->wants && (data[0] & 3) == 0)
        for (int i = 0; i < 2; i++) {
            ae_level_t bid = {100, 1}, ask = {101, 1};
            (void)ae_market_snapshot(markets[i], 0, books[i]->event[0].prev, &bid, 1, &ask, 1, 1);
        }
    memcpy(guarded + CAPACITY - size, data, size);
    ae_ws_frame_t frame;
    uint32_t reason;
    ae_parsed_t parsed;
    static ae_tick_t out[64];
    const uint8_t *at = guarded + CAPACITY - size;
    (void)ae_ws_parse(at, (uint32_t)size, CAPACITY, &frame, &reason);
    int n = ae_tick_parse(at, (uint32_t)size, ae_market_symbols(markets[0]), out, 64, &parsed);
    if (size > 2)
        n = ae_tick_parse(at + 2, (uint32_t)size - 2, ae_market_symbols(markets[0]), out, 64, &parsed);
    for (int i = 1; i < n; i++)
        if (out[i].symbol != out[0].symbol || out[i].kind != out[0].kind)
            abort();
    return 0;
}
