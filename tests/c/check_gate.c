/* The gate under sanitizers with numbers at the ends of their range: no overflow, no read outside, and what it accepts is
 * within the caps by arithmetic of its own (long double is no judge of the last digit, so equality is left to others). */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define NOW 1795000000000000000
#define CHECK(law) \
    do { \
        if (!(law)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #law); \
            exit(1); \
        } \
    } while (0)

static uint64_t luck = 88172645463325252U;

static uint64_t draw(void)
{
    luck ^= luck << 13;
    luck ^= luck >> 7;
    luck ^= luck << 17;
    return luck;
}

/* Small, large, at an end, or anything. */
static int64_t number(void)
{
    static const int64_t ends[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_MAX - 1, 4611686018427387904, 1000000000000};
    switch (draw() % 4) {
    case 0: return ends[draw() % 8];
    case 1: return (int64_t)(draw() % 2000);
    case 2: return (int64_t)(draw() >> (draw() % 63));
    default: return (int64_t)draw();
    }
}

static int64_t plus(void)
{
    int64_t n = number();
    return n < 0 ? -(n + 1) : n;
}

static uint8_t books[AE_BOOKS_HEADER_BYTES + 4 * sizeof(ae_book_entry_t)];

static void any_rules(ae_gate_rules_t *r)
{
    int64_t *bound = &r->tick;
    for (int i = 0; i < 12; i++)
        bound[i] = draw() % 16 ? 0 : plus();
    r->px_exp = (uint8_t)(draw() % 20);
    r->qty_exp = (uint8_t)(draw() % 20);
    r->min_notional_exp = (uint8_t)(draw() % 20);
    r->multiplier_exp = (uint8_t)(draw() % 20);
    r->trading = 1;
}

static void any_news(ae_gate_t *g)
{
    ae_tick_t t = {.symbol = (uint16_t)(draw() % 5), .kind = draw() % 3 ? AE_KIND_BOOK_TICKER : AE_KIND_MARK,
                   .px_exp = (uint8_t)(draw() % 8 ? draw() % 20 : draw()), .a = number(), .c = number(),
                   .recv_ns = draw() % 3 ? NOW : number()};
    ae_gate_ticks(g, &t, 1);
    ae_book_entry_t *e = (ae_book_entry_t *)(void *)(books + AE_BOOKS_HEADER_BYTES) + draw() % 4;
    e->trusted = draw() % 4 != 0;
    e->bids = draw() % 3 != 0;
    e->asks = draw() % 3 != 0;
    e->px_exp = (uint8_t)(draw() % 8 ? draw() % 20 : draw());
    e->recv_ns = draw() % 3 ? NOW : number();
    e->bid[0].px = number();
    e->ask[0].px = number();
    ae_gate_exposure_t x = {.low = number(), .buy = number(), .sell = number(), .buy_reduce = number(),
                            .sell_reduce = number(), .px = number()};
    x.high = draw() % 4 ? x.low : number();
    if (draw() % 3 == 0)
        x = (ae_gate_exposure_t){.low = (int64_t)(draw() % 100), .high = 100};
    (void)ae_gate_exposure(g, (uint32_t)(draw() % 6), &x);
    ae_gate_account_t a = {.pnl = draw() % 3 ? 0 : number(), .foreign = draw() % 3 ? 0 : number(),
                           .reconciled_until_ns = draw() % 8 ? INT64_MAX : number(),
                           .paused_until_ns = draw() % 8 ? 0 : number(), .open_orders = draw() % 8 ? 0 : (uint32_t)draw()};
    ae_gate_account(g, &a);
    if (draw() % 2)
        ae_gate_seen(g, draw() % 2 ? ae_gate_accepted(g) : draw());
    if (draw() % 16 == 0)
        ae_gate_look(g);
}

/* One gate: news and intents. Returns how many were accepted. */
static uint64_t life(ae_gate_t *g)
{
    memset(g, 0, ae_gate_bytes());
    ae_caps_t caps = {plus() / 2 + 1, plus() / 2 + 1, plus() / 2 + 1, plus() / 2 + 1, (uint32_t)(draw() % 1024 + 1),
                      (uint32_t)draw() | 1, (uint32_t)draw() | 1, 0};
    CHECK(ae_gate_init(g, &caps) == 0);
    ae_gate_rules_t rules[4] = {0};
    int slots = 0;
    for (int i = 0; i < 4; i++) {
        any_rules(&rules[slots]);
        slots += ae_gate_slot(g, &rules[slots]) == slots;
    }
    ae_gate_books(g, books);
    for (uint32_t i = 0; i < 5; i++)
        (void)ae_gate_map(g, i, i);
    uint64_t before = 0;
    for (int i = 0; i < 60; i++) {
        any_news(g);
        ae_intent_t in = {.symbol = (uint16_t)(draw() % 5), .side = draw() % 16 ? (draw() & 1 ? 1 : -1) : (int8_t)draw(),
                          .type = (uint8_t)(draw() % 16 ? 1 + draw() % 2 : draw()), .bits = draw() % 4 == 0, .qty = number()};
        ae_gate_quote_t quote = {0};
        int quoted = ae_gate_quote(g, in.symbol, NOW, &quote) == 0;
        in.px = in.type != 1 ? 0 : draw() % 4 ? quote.ask : number();
        int said = ae_gate_check(g, &in, NOW);
        CHECK(said >= 0 && said <= AE_REFUSAL_TOTAL_NOTIONAL);
        CHECK(ae_gate_accepted(g) == before + (said == 0));
        before = ae_gate_accepted(g);
        if (said || in.bits)
            continue;
        long double worth = (long double)in.qty * (long double)(in.px > quote.ask ? in.px : quote.ask);
        for (int e = rules[in.symbol].px_exp + rules[in.symbol].qty_exp; e > AE_MONEY_EXP; e--)
            worth /= 10;
        for (int e = rules[in.symbol].px_exp + rules[in.symbol].qty_exp; e < AE_MONEY_EXP; e++)
            worth *= 10;
        CHECK(quoted && in.symbol < slots && in.qty > 0);
        CHECK(worth <= (long double)caps.order_notional * (1 + 1e-15L));
        CHECK(worth <= (long double)caps.total_notional * (1 + 1e-15L));
    }
    return before;
}

int main(void)
{
    ae_gate_t *g = mmap(NULL, ae_gate_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(g != MAP_FAILED);
    ae_caps_t none = {0};
    CHECK(ae_gate_init(g, &none) == AE_BAD);
    CHECK(ae_gate_init((ae_gate_t *)(void *)((uint8_t *)g + 64), &none) == AE_BAD);
    uint64_t accepted = 0;
    for (int i = 0; i < 20000; i++)
        accepted += life(g);
    CHECK(accepted > 5000);
    return 0;
}
