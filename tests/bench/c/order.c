/* Orders in memory against the compression of the blocks they hash, taking turns.
 *
 * usage: order ROUNDS BLOCKS    BLOCKS of 64 bytes are what one signed order hashes, its preparation included.
 * Prints a line a round, ns each:
 *   order   intent -> gate -> signed frame -> next id prepared; then the same unsigned, of a connection that is logged on
 *   way     bytes -> record -> ring -> quote folded -> order
 *   blocks  BLOCKS compressed, one after another: before order, after it, after all
 *   class   each byte of the frame classified once
 * usage: order idle PAUSE_MS TIMES    one order, intent to frame, after each pause: a line of median ns, without and with
 *                                     the way kept warm meanwhile. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 500, FRAMES = 64, SLOTS = 4096 };
#define NOW 1795000000000000000
#define STEP 2000000 /* between orders: within the rate of the gate */

static ae_gate_t *gate;
static ae_encoder_t *encoder;
static ae_desk_t *desk;
static ae_ring_t market, orders;
static ae_symtab_t symbols;
static ae_predict_t *predict;
static uint8_t frame[AE_ORDER_FRAME_BYTES], data[64 * 64];
static char ticks[FRAMES][512];
static uint32_t tick_bytes[FRAMES];
static int64_t now = NOW;
static volatile uint64_t sink;

static double mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *pages(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        exit(1);
    return p;
}

static void must(int ok)
{
    if (!ok) {
        fprintf(stderr, "order: set-up failed\n");
        exit(1);
    }
}

static void open_ring(ae_ring_t *ring, uint32_t slot_bytes, const char *name)
{
    void *base = pages(ae_ring_bytes(SLOTS, slot_bytes));
    ae_ring_init(base, SLOTS, slot_bytes, name);
    ae_ring_take(ring, base, 1);
}

static void set_up(void)
{
    static ae_control_header_t control[1 + AE_CONTROL_BLOCKS];
    uint8_t key[64], *books = pages(AE_BOOKS_HEADER_BYTES + 2 * sizeof(ae_book_entry_t));
    ae_caps_t caps = {INT64_MAX / 4, INT64_MAX / 4, INT64_MAX / 4, INT64_MAX / 4, AE_GATE_RATE_MAX, 100000, 10000, 0};
    ae_gate_rules_t rules = {.tick = 10, .lot = 1, .qty_max = 1000000, .market_lot = 1, .market_qty_max = 1000000,
                             .min_notional = 100, .px_exp = 2, .qty_exp = 3, .trading = 1};
    ae_gate_account_t account = {.reconciled_until_ns = INT64_MAX};
    ae_gate_exposure_t flat = {0};
    ae_book_entry_t *entry = (ae_book_entry_t *)(void *)(books + AE_BOOKS_HEADER_BYTES);
    memset(key, 'k', sizeof key);
    gate = pages(ae_gate_bytes());
    encoder = pages(ae_encoder_bytes());
    desk = pages(ae_desk_bytes());
    predict = pages(ae_predict_bytes());
    must(ae_predict_init(predict, 0) != NULL && ae_gate_init(gate, &caps) == 0);
    must(ae_encoder_init(encoder, key, 64, key, 64, 5000, 1795000000) == 0);
    open_ring(&market, 64, "market");
    open_ring(&orders, 256, "orders");
    ae_desk_init(desk, gate, encoder, &orders);
    ae_desk_ids(desk, UINT64_MAX);
    must(ae_gate_slot(gate, &rules) == 0 && ae_desk_slot(desk, 0, (const uint8_t *)"BTCUSDT", 7, 2, 3) == 0);
    must(ae_symtab_add(&symbols, (const uint8_t *)"BTCUSDT", 7, 2, 3) == 0);
    entry->trusted = entry->bids = entry->asks = 1;
    entry->px_exp = 2;
    entry->qty_exp = 3;
    ae_gate_control(gate, control);
    ae_gate_books(gate, books);
    must(ae_gate_map(gate, 0, 0) == 0 && ae_gate_exposure(gate, 0, &flat) == 0);
    ae_gate_account(gate, &account);
    for (int i = 0; i < FRAMES; i++)
        tick_bytes[i] = (uint32_t)snprintf(ticks[i], sizeof ticks[i],
            "{\"e\":\"bookTicker\",\"u\":%lld,\"s\":\"BTCUSDT\",\"b\":\"670%02d.%d0\",\"B\":\"%d.%03d\",\"a\":\"670%02d.%d0\","
            "\"A\":\"%d.%03d\",\"T\":%lld,\"E\":%lld}", 9876543210123ll + i * 37, i, i % 9, i % 7 + 1, i * 13 % 1000, i,
            i % 9 + 1, i % 5 + 1, i * 29 % 1000, 1795000000123ll + i, 1795000000125ll + i);
}

static ae_intent_t intent_of(const ae_tick_t *tick, int i)
{
    return (ae_intent_t){.symbol = 0, .side = i & 1 ? 1 : -1, .type = 1, .tif = 2, .px = i & 1 ? tick->c : tick->a,
                         .qty = 10 + i % 90};
}

/* Everything accepted is in the books again, so that the next round finds the gate as this one did. */
static void settle(void)
{
    ae_gate_seen(gate, ae_gate_accepted(gate));
}

static void quote(ae_tick_t *tick)
{
    *tick = (ae_tick_t){.kind = AE_KIND_BOOK_TICKER, .px_exp = 2, .qty_exp = 3, .a = 6700010, .b = 1, .c = 6700020, .d = 1,
                        .recv_ns = now};
    ae_gate_ticks(gate, tick, 1);
}

static double order_turns(void)
{
    ae_tick_t tick;
    quote(&tick);
    double start = mono();
    for (int i = 0; i < TURNS; i++, now += STEP) {
        ae_intent_t intent = intent_of(&tick, i);
        must(ae_gate_check(gate, &intent, now) == 0);
        sink += (uint64_t)ae_encoder_place(encoder, &intent, now / 1000000, frame);
        ae_encoder_next(encoder);
    }
    double took = mono() - start;
    settle();
    return took / TURNS;
}

static double way_turns(void)
{
    ae_tick_t parsed[4], taken[4];
    ae_parsed_t found;
    ae_cursor_t cursor = {.taken = ae_ring_newest(&market)};
    double start = mono();
    for (int i = 0; i < TURNS; i++, now += STEP) {
        int at = i % FRAMES;
        int count = ae_tick_parse((const uint8_t *)ticks[at], tick_bytes[at], &symbols, predict, parsed, 4, &found);
        parsed[0].recv_ns = now;
        ae_ring_publish(&market, parsed, (uint32_t)count);
        must(ae_ring_read(&market, &cursor, taken, 4) == 1);
        ae_gate_ticks(gate, taken, 1);
        ae_intent_t intent = intent_of(taken, i);
        must(ae_gate_check(gate, &intent, now) == 0);
        sink += (uint64_t)ae_encoder_place(encoder, &intent, now / 1000000, frame);
        ae_encoder_next(encoder);
    }
    double took = mono() - start;
    settle();
    return took / TURNS;
}

static double block_turns(uint32_t blocks)
{
    uint32_t state[8];
    int simd = ae_sha256_simd();
    ae_sha256_start(state);
    double start = mono();
    for (int i = 0; i < TURNS; i++)
        ae_sha256_blocks(state, data, blocks, simd);
    double took = mono() - start;
    sink += state[0];
    return took / TURNS;
}

uint64_t bench_classify(const uint8_t *data, uint32_t bytes, uint64_t *masks); /* classify.c */

static double class_turns(void)
{
    static uint64_t masks[64];
    double start = mono();
    for (int i = 0; i < TURNS * 8; i++)
        sink += bench_classify((const uint8_t *)ticks[i % FRAMES], tick_bytes[i % FRAMES], masks);
    return (mono() - start) / (TURNS * 8);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* One order after each pause, intent to frame: not kept warm, then kept warm every millisecond. */
static int idle(int pause_ms, int times)
{
    double *took = malloc((size_t)times * sizeof *took);
    ae_tick_t tick;
    must(took != NULL && times > 0);
    for (int warm = 0; warm < 2; warm++) {
        for (int i = 0; i < times; i++, now += STEP) {
            double until = mono() + pause_ms * 1e6;
            quote(&tick);
            ae_intent_t intent = intent_of(&tick, i);
            while (mono() < until) {
                usleep(1000);
                if (warm)
                    ae_desk_warm(desk, 0, now);
            }
            double start = mono();
            must(ae_gate_check(gate, &intent, now) == 0);
            sink += (uint64_t)ae_encoder_place(encoder, &intent, now / 1000000, frame);
            took[i] = mono() - start;
            ae_encoder_next(encoder);
            settle();
        }
        qsort(took, (size_t)times, sizeof *took, compare);
        printf("%s%.0f", warm ? " " : "", took[times / 2]);
    }
    printf("\n");
    free(took);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    set_up();
    if (argc == 4 && strcmp(argv[1], "idle") == 0)
        return idle(atoi(argv[2]), atoi(argv[3]));
    int rounds = atoi(argv[1]);
    uint32_t blocks = (uint32_t)atoi(argv[2]);
    must(blocks > 0 && blocks <= 64);
    for (int i = 0; i < rounds; i++) {
        double before = block_turns(blocks), order = order_turns(), middle = block_turns(blocks);
        double way = way_turns();
        ae_encoder_logon(encoder, 1);
        double logon = order_turns();
        ae_encoder_logon(encoder, 0);
        printf("%.1f %.1f %.1f %.1f %.1f %.1f %.1f\n", order, logon, way, before, middle, block_turns(blocks), class_turns());
    }
    return 0;
}
