/* Checks and folds of the gate, to be counted: gate_count KIND ROUNDS. KIND: entry, exit, over (refused for its notional),
 * tick (of a symbol that is held), idle (of one that is not). Exit 0: each verdict was the one expected. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define NOW 1795000000000000000

static uint8_t books[AE_BOOKS_HEADER_BYTES + 2 * sizeof(ae_book_entry_t)];
static uint8_t control[sizeof(ae_control_header_t) + AE_CONTROL_BLOCKS * sizeof(ae_control_block_t)];

static void tick(ae_gate_t *gate, uint16_t symbol, int64_t ask, int64_t now)
{
    ae_tick_t t = {.kind = AE_KIND_BOOK_TICKER, .symbol = symbol, .px_exp = 2, .a = ask - 10, .c = ask, .recv_ns = now};
    ae_gate_ticks(gate, &t, 1);
}

static ae_gate_t *set_up(void)
{
    ae_gate_t *gate = mmap(NULL, ae_gate_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ae_caps_t caps = {200000000000, 1000000000000, 5000000000000, 50000000000, 1024, 20, 50, 0};
    ae_gate_rules_t rules = {.tick = 10, .px_min = 10, .lot = 1, .qty_min = 1, .qty_max = 1000000, .market_lot = 1,
                             .market_qty_max = 1000000, .min_notional = 100, .multiplier_up = 105, .multiplier_down = 95,
                             .multiplier_exp = 2, .px_exp = 2, .qty_exp = 3, .trading = 1};
    ae_gate_account_t account = {.reconciled_until_ns = INT64_MAX};
    ae_gate_exposure_t flat = {0}, held = {.low = 50, .high = 50};
    if (gate == MAP_FAILED || ae_gate_init(gate, &caps) || ae_gate_slot(gate, &rules) || ae_gate_slot(gate, &rules) != 1)
        return NULL;
    for (int i = 0; i < 2; i++) {
        ae_book_entry_t *entry = (ae_book_entry_t *)(void *)(books + AE_BOOKS_HEADER_BYTES) + i;
        entry->trusted = 1;
        entry->px_exp = 2;
    }
    ae_gate_control(gate, control);
    ae_gate_books(gate, books);
    if (ae_gate_map(gate, 0, 0) || ae_gate_map(gate, 1, 1) || ae_gate_exposure(gate, 0, &held) ||
        ae_gate_exposure(gate, 1, &flat) || ae_gate_seal(gate, 0))
        return NULL;
    ae_gate_account(gate, &account);
    ae_tick_t mark = {.kind = AE_KIND_MARK, .px_exp = 8, .a = 6700012345678, .recv_ns = NOW};
    ae_gate_ticks(gate, &mark, 1);
    tick(gate, 0, 6700020, NOW);
    tick(gate, 1, 6700020, NOW);
    return gate;
}

int main(int argc, char **argv)
{
    ae_gate_t *gate = set_up();
    if (argc < 3 || !gate)
        return 2;
    char kind = argv[1][0];
    int64_t rounds = atoll(argv[2]), now = NOW, wrong = 0;
    ae_intent_t intent = {.side = 1, .type = 1, .tif = 1, .px = 6700020, .qty = 10};
    if (argv[1][1] == 'x') { /* exit */
        intent.side = -1;
        intent.bits = AE_GATE_REDUCE_ONLY;
    }
    if (kind == 'o')
        intent.qty = 30; /* 2010 at this price */
    for (int64_t i = 0; i < rounds; i++, now += 1000000) {
        if (kind == 't' || kind == 'i') {
            tick(gate, kind == 'i', 6700020 + (i & 7) * 10, now);
            continue;
        }
        if (i % 1024 == 0) /* within the second of the rate and the five of a quote */
            tick(gate, 0, 6700020, now);
        wrong += ae_gate_check(gate, &intent, now) != (kind == 'o' ? AE_REFUSAL_ORDER_NOTIONAL : 0);
        ae_gate_seen(gate, ae_gate_accepted(gate));
    }
    if (wrong)
        fprintf(stderr, "%lld of %lld verdicts were others\n", (long long)wrong, (long long)rounds);
    return wrong != 0;
}
