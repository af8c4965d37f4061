/* Orders counted and judged, for test_budget_order.py.
 *
 * usage: desk_order signed|logon N   N orders, gate to write (which is a stub); desk_order blocks N   N blocks of SHA-256
 *        desk_order look N           N ticks of a symbol that 8 triggers watch and none fulfils
 *        desk_order laws N           N orders, some fired by triggers, some refused: exit 1 when a law is broken
 * Laws: when the first byte of an order is written, its INTENT record is on the ring; nothing is written while halted;
 * ids rise by one and stay below what was reserved; nothing is allocated; every accepted order is written once. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SLOTS = 4096 };
#define NOW 1795000000000000000
#define STEP 2000000

static ae_gate_t *gate;
static ae_encoder_t *encoder;
static ae_desk_t *desk;
static ae_ring_t orders;
static ae_control_header_t control[1 + AE_CONTROL_BLOCKS * 2];
static int64_t now = NOW;
static uint64_t written, allocated, broken;
static int laws;

#ifndef AE_SANITIZED /* whose own malloc must not be replaced */
void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes);
void *malloc(size_t bytes)
{
    allocated++;
    return __libc_malloc(bytes);
}
#endif

static void law(int holds, const char *what)
{
    if (!holds && !broken++)
        fprintf(stderr, "broken: %s\n", what);
}

/* Takes the place of the connection: the frame's id must be that of the newest INTENT on the ring. */
int ae_conn_write(ae_conn_t *conn, const uint8_t *data, uint32_t bytes)
{
    (void)conn;
    written++;
    if (!laws)
        return 0;
    ae_order_t record;
    ae_cursor_t cursor = {.taken = ae_ring_newest(&orders) ? ae_ring_newest(&orders) - 1 : 0};
    char id[40] = {0};
    for (uint32_t i = 0; i < 36 && i + 15 < bytes; i++) { /* {"id":" is seven bytes behind a head of eight */
        char c = (char)(data[15 + i] ^ data[4 + (7 + i) % 4]);
        if (c == '"')
            break;
        id[i] = c;
    }
    law(ae_ring_read(&orders, &cursor, &record, 1) == 1, "an order is written and the ring is empty");
    law(record.text[0] == strlen(id) && memcmp(record.text + 1, id, record.text[0]) == 0,
        "an order is written before its INTENT is on the ring");
    law(record.step == 1 && record.state == 1, "the newest record is no INTENT");
    law(!ae_gate_halted(gate), "an order is written while halted");
    return 0;
}

static void *pages(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        exit(2);
    return p;
}

static void must(int ok)
{
    if (!ok)
        exit(2);
}

static void quote(int64_t bid, int64_t ask)
{
    ae_tick_t tick = {.kind = AE_KIND_BOOK_TICKER, .px_exp = 2, .qty_exp = 3, .a = bid, .b = 1, .c = ask, .d = 1,
                      .recv_ns = now};
    (void)ae_desk_look(desk, &tick, 1, now);
}

static void set_up(void)
{
    static uint8_t key[64];
    ae_caps_t caps = {INT64_MAX / 4, INT64_MAX / 4, INT64_MAX / 4, INT64_MAX / 4, AE_GATE_RATE_MAX, 100000, 10000, 0};
    ae_gate_rules_t rules = {.tick = 10, .lot = 1, .qty_max = 1000000, .market_lot = 1, .market_qty_max = 1000000,
                             .min_notional = 100, .px_exp = 2, .qty_exp = 3, .trading = 1};
    ae_gate_account_t account = {.reconciled_until_ns = INT64_MAX};
    ae_gate_exposure_t flat = {0};
    uint8_t *books = pages(AE_BOOKS_HEADER_BYTES + sizeof(ae_book_entry_t));
    ae_book_entry_t *entry = (ae_book_entry_t *)(void *)(books + AE_BOOKS_HEADER_BYTES);
    void *ring = pages(ae_ring_bytes(SLOTS, 256));
    memset(key, 'k', sizeof key);
    gate = pages(ae_gate_bytes());
    encoder = pages(ae_encoder_bytes());
    desk = pages(ae_desk_bytes());
    must(ae_gate_init(gate, &caps) == 0 && ae_gate_slot(gate, &rules) == 0);
    must(ae_encoder_init(encoder, key, 64, key, 64, 5000, 1795000000) == 0);
    ae_ring_init(ring, SLOTS, 256, "orders");
    ae_ring_take(&orders, ring, 1);
    ae_desk_init(desk, gate, encoder, &orders);
    must(ae_desk_slot(desk, 0, (const uint8_t *)"BTCUSDT", 7, 2, 3) == 0);
    entry->trusted = entry->bids = entry->asks = 1;
    entry->px_exp = 2;
    entry->qty_exp = 3;
    ae_gate_control(gate, control);
    ae_gate_books(gate, books);
    must(ae_gate_map(gate, 0, 0) == 0 && ae_gate_exposure(gate, 0, &flat) == 0);
    ae_gate_account(gate, &account);
    ae_desk_ids(desk, UINT64_MAX);
    ae_desk_link(desk, (ae_conn_t *)(void *)key, 0);
    quote(6700010, 6700020);
}

static ae_intent_t an_intent(int i)
{
    return (ae_intent_t){.side = i & 1 ? 1 : -1, .type = 1, .tif = 2, .px = i & 1 ? 6700020 : 6700010, .qty = 10 + i % 90};
}

static void place(int count)
{
    ae_placed_t placed;
    for (int i = 0; i < count; i++, now += STEP) {
        ae_intent_t intent = an_intent(i);
        if (i % 500 == 0)
            quote(6700010, 6700020);
        must(ae_desk_place(desk, &intent, now, &placed) == 0);
        ae_gate_seen(gate, ae_gate_accepted(gate));
    }
}

static int armed(int64_t px, int64_t until_ns)
{
    ae_trigger_t asked = {.px = px, .until_ns = until_ns, .side = -1, .intent = an_intent(1)};
    int why;
    return ae_desk_arm(desk, &asked, now, &why);
}

static void look(int count)
{
    for (int i = 0; i < 8; i++)
        must(armed(6600000, INT64_MAX) >= 0);
    for (int i = 0; i < count; i++)
        quote(6700010, 6700020);
    must(ae_desk_armed(desk) == 8);
}

static void set_halt(int64_t word)
{
    uint8_t *block = (uint8_t *)control + sizeof(ae_control_header_t) + 4 * sizeof(ae_control_block_t);
    memcpy(block + offsetof(ae_control_block_t, halt), &word, sizeof word);
}

static void judge(int count)
{
    ae_placed_t placed;
    uint64_t accepted = 0, seq = 0;
    for (int i = 0; i < count; i++, now += STEP) {
        ae_intent_t intent = an_intent(i);
        int halted = i % 7 == 3, by_trigger = i % 5 == 1;
        ae_desk_ids(desk, i % 11 == 10 ? UINT64_MAX : 0);
        quote(6700010, 6700030);
        int handle = by_trigger ? armed(6700020, now + STEP / 2) : AE_BAD;
        set_halt(halted);
        if (by_trigger) {
            quote(6700010, 6700020);
            quote(6700010, 6700010);
            law(ae_desk_ended(desk, &placed, 1) == 1 && placed.trigger == handle, "a trigger is not handed back");
            law((placed.ended == AE_ENDED_HALTED) == halted, "a halt and a trigger do not fit");
            if (placed.ended != AE_ENDED_FIRED)
                placed.refusal = AE_REFUSAL_HALTED;
        } else {
            (void)ae_desk_place(desk, &intent, now, &placed);
        }
        law((placed.refusal != 0) == halted, "the latch and the verdict do not fit");
        if (!placed.refusal) {
            law(placed.seq == seq++ && placed.sent == AE_SENT && placed.record == seq, "ids, records and orders do not fit");
            accepted++;
        }
        set_halt(0);
        ae_gate_seen(gate, ae_gate_accepted(gate));
    }
    law(written == accepted, "not every accepted order was written once");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int count = atoi(argv[2]);
    set_up();
    ae_desk_link(desk, (ae_conn_t *)(void *)desk, strcmp(argv[1], "logon") == 0);
    uint64_t before = allocated;
    if (strcmp(argv[1], "blocks") == 0) {
        uint32_t state[8];
        static uint8_t block[64];
        ae_sha256_start(state);
        for (int i = 0; i < count; i++)
            ae_sha256_blocks(state, block, 1, ae_sha256_simd());
    } else if (strcmp(argv[1], "look") == 0) {
        look(count);
    } else if (strcmp(argv[1], "laws") == 0) {
        laws = 1;
        judge(count);
    } else {
        place(count);
    }
    law(allocated == before, "something was allocated");
    return broken ? 1 : 0;
}
