/* Fuzz target of frame.c, tick.c, pump.c and book.c together (libFuzzer's entry point).
 *
 * Laws: no over-read (a message begins and ends at guard pages), whole == cut, no crash; the general path and prediction
 * with every kind of digit kernels give the same answer, whatever they saw before; nothing is written beyond out_max;
 * records of one run share kind and symbol. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

#include "ae_internal.h"

#define CAPACITY 65536
#define SLOTS 1024
#define RECORDS 640
#define READERS 4

static ae_market_t *markets[2];
static ae_ring_t rings[2];
static ae_pump_t pumps[2];
static ae_book_t *books[2];
static uint8_t *guarded;
static ae_predict_t *predicts[READERS]; /* [0]: none, the general path alone */
static ae_tick_t outs[READERS][RECORDS + 1];

static void *zeroed(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

/* The symbols of the captures, at exponents of a tick (trimmed) and of the wire; one has a book. */
static void name_real(ae_market_t *market)
{
    static const struct {
        const char *name;
        uint8_t px, qty;
    } real[] = {{"BTCUSDT", 1, 3}, {"SUSHIUSDT", 4, 0}, {"AKROUSDT", 5, 0}, {"KEEPUSDT", 4, 0}, {"CTKUSDT", 5, 0},
                {"ETHUSDT", 2, 3}, {"DOGEUSDT", 5, 0},  {"XRPUSDT", 4, 1},  {"LPTUSDT", 3, 1},  {"1000PEPEUSDT", 7, 0}};
    for (uint32_t i = 0; i < sizeof real / sizeof real[0]; i++)
        if (ae_market_append(market, (const uint8_t *)real[i].name, (uint32_t)strlen(real[i].name), real[i].px,
                             real[i].qty, i ? NULL : zeroed(sizeof(ae_book_t))) < 0)
            abort();
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
        name_real(markets[i]);
        ae_pump_init(&pumps[i], zeroed(CAPACITY), zeroed(CAPACITY), CAPACITY, markets[i]);
    }
    guarded = (uint8_t *)zeroed(CAPACITY + 8192) + 4096;
    if (mprotect(guarded - 4096, 4096, PROT_NONE) || mprotect(guarded + CAPACITY, 4096, PROT_NONE))
        abort();
    for (uint32_t i = 1; i < READERS; i++) {
        predicts[i] = zeroed(ae_predict_bytes());
        (void)ae_predict_init(predicts[i], i);
    }
}

uint64_t fuzz_hits(uint32_t kind);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* One message by all readers, flush with the guard page behind it or the one before it. */
static void all_agree(const uint8_t *message, uint32_t bytes, uint32_t room, int in_front)
{
    uint8_t *at = in_front ? guarded : guarded + CAPACITY - bytes;
    memcpy(at, message, bytes);
    ae_parsed_t parsed[READERS];
    int n[READERS];
    for (uint32_t i = 0; i < READERS; i++) {
        memset(&outs[i][room], 0x5a, sizeof outs[i][room]);
        n[i] = ae_tick_parse(at, bytes, ae_market_symbols(markets[0]), predicts[i], outs[i], room, &parsed[i]);
        const uint8_t *behind = (const uint8_t *)&outs[i][room];
        for (uint32_t k = 0; k < sizeof outs[i][room]; k++)
            if (behind[k] != 0x5a)
                abort(); /* beyond out_max */
        if (n[i] != n[0] || memcmp(&parsed[i], &parsed[0], sizeof parsed[0]) != 0)
            abort(); /* another verdict */
        if (n[0] > 0 && memcmp(outs[i], outs[0], (size_t)n[0] * sizeof outs[0][0]) != 0)
            abort(); /* other records */
    }
    for (int i = 1; i < n[0]; i++)
        if (outs[0][i].symbol != outs[0][0].symbol || outs[0][i].kind != outs[0][0].kind)
            abort();
}

/* How many messages prediction read, by kind of kernels: a fuzz run that never predicts proves nothing. */
uint64_t fuzz_hits(uint32_t kind)
{
    return kind < READERS && predicts[kind] ? ae_predict_hits(predicts[kind]) : 0;
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
    uint8_t *at = guarded + CAPACITY - size;
    memcpy(at, data, size);
    ae_ws_frame_t frame;
    uint32_t reason, left = (uint32_t)size, room = data[size - 1] & 7 ? RECORDS : 2 + data[size / 2] % 16U;
    const uint8_t *next = data;
    (void)ae_ws_parse(at, left, CAPACITY, &frame, &reason);
    for (int got; left && (got = ae_ws_parse(next, left, CAPACITY, &frame, &reason)) > 0;) {
        all_agree(next + frame.header_bytes, frame.payload_bytes, room, left & 1);
        next += got;
        left -= (uint32_t)got;
    }
    all_agree(data, (uint32_t)size, room, size & 1);
    return 0;
}
