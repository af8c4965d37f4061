/* The book against a table of sizes by price, over events of every order and size.
 *
 * Laws: after each event both sides are sorted, best last, and hold what the table holds, exactly while it fits and at
 * the top when it does not; never more than AE_BOOK_LEVELS; what is dropped is counted. */
#include <stdio.h>
#include <stdlib.h>

#include "ae_internal.h"

#define PRICES 16384

static uint64_t state = 88172645463325252U;
static ae_book_t *book;
static int64_t table[2][PRICES];
static uint32_t held[2];
static ae_tick_t run[AE_LEVELS_MAX + 1];

static uint32_t dice(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static void die(const char *why, uint32_t event)
{
    fprintf(stderr, "check_book: event %u: %s\n", event, why);
    exit(1);
}

static int by_price(const void *a, const void *b)
{
    const ae_tick_t *x = a, *y = b;
    return x->a < y->a ? -1 : x->a > y->a;
}

/* Some changes of one side behind `at`: rising, falling or as they come (a price may come twice). */
static uint32_t changes(uint32_t at, int64_t side, uint32_t prices, uint32_t most)
{
    uint32_t n = dice(most), order = dice(4), going = dice(3) ? 3 : 40; /* of `going` sizes one or all but one are 0 */
    for (uint32_t i = 0; i < n; i++)
        run[at + i] = (ae_tick_t){.a = dice(prices), .b = (dice(going) > 0) == (going == 3) ? 1 + dice(1000) : 0, .c = side};
    if (order)
        qsort(run + at, n, sizeof *run, by_price);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) /* most often no price twice, so that long rows are taken in one go */
        if (!order || !i || most % 4 == 0 || run[at + i].a != run[at + kept - 1].a)
            run[at + kept++] = run[at + i];
    n = kept;
    for (uint32_t i = 0; order == 3 && i < n / 2; i++) {
        ae_tick_t other = run[at + i];
        run[at + i] = run[at + n - 1 - i];
        run[at + n - 1 - i] = other;
    }
    for (uint32_t i = 0; i < n; i++) {
        int64_t *cell = &table[side][run[at + i].a];
        held[side] += (uint32_t)(!*cell && run[at + i].b) - (uint32_t)(*cell && !run[at + i].b);
        *cell = run[at + i].b;
    }
    return n;
}

static void compare(uint32_t side, uint32_t prices, uint32_t event)
{
    const ae_level_t *levels = side ? book->ask : book->bid;
    uint32_t count = side ? book->asks : book->bids, whole = prices <= AE_BOOK_LEVELS;
    if (count > AE_BOOK_LEVELS || (whole && count != held[side]))
        die("another number of levels", event);
    int64_t px = side ? -1 : PRICES;
    for (uint32_t i = 0; i < count; i++) {
        const ae_level_t *level = &levels[count - 1 - i];
        int64_t from = px;
        do
            px += side ? 1 : -1;
        while (px >= 0 && px < PRICES && !table[side][px] && (i < 1000 || whole || px != level->px));
        if (!whole && i >= 1000) {
            if ((side ? level->px <= from : level->px >= from))
                die("not sorted", event);
            px = level->px;
        }
        if (px != level->px || (level->qty != table[side][px]))
            die("another level", event);
    }
}

int main(void)
{
    book = calloc(1, sizeof *book);
    if (!book)
        return 1;
    uint64_t dropped = 0;
    static const uint32_t worlds[] = {40, 700, AE_BOOK_LEVELS, PRICES};
    for (uint32_t world = 0; world < 4; world++) {
        uint32_t prices = worlds[world], first = dice(2);
        memset(table, 0, sizeof table);
        held[0] = held[1] = 0;
        ae_book_reset(book);
        ae_book_snapshot(book, 1, NULL, 0, NULL, 0);
        for (uint32_t event = 1; event < 1500; event++) {
            uint32_t most = 2 + dice(event % 50 ? 60 : 6000);
            uint32_t n = changes(1, first, prices, most);
            n += changes(1 + n, !first, prices, most);
            run[0] = (ae_tick_t){.a = event, .b = event + 1, .c = event};
            if (ae_book_apply(book, run, n + 1, 0, 0) < 1)
                die("not taken", event);
            compare(0, prices, event);
            compare(1, prices, event);
        }
        dropped = book->dropped;
        if ((dropped > 0) != (prices > AE_BOOK_LEVELS))
            die("dropped levels are not counted", prices);
    }
    /* a snapshot in any order gives the same book */
    ae_level_t bids[1000], asks[1000];
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < 1000; i++) {
            uint32_t at = turn == 0 ? i : turn == 1 ? 999 - i : (i * 7) % 1000;
            bids[i] = (ae_level_t){1 + at, 5};
            asks[i] = (ae_level_t){2000 + at, 6};
        }
        ae_book_reset(book);
        ae_book_snapshot(book, 9, bids, 1000, asks, 1000);
        for (uint32_t i = 0; i < 1000; i++)
            if (book->bids != 1000 || book->asks != 1000 || book->bid[i].px != 1 + i || book->ask[i].px != 2999 - i)
                die("another snapshot", turn);
    }
    return 0;
}
