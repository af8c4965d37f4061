/* One huge depth event through the parser and into a full book: book_turn LEVELS ROUNDS.
 *
 * The worst for a book: every price is new, spread over all of it; the next event takes them all away again. Prints one
 * JSON object of medians in nanoseconds: parse, into (new prices), out (gone again), and the frame's bytes. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "predict.h"

#define ROUNDS_MAX 256

static char frame[1 << 20];
static ae_tick_t out[AE_LEVELS_MAX + 2];
static ae_level_t side[2][AE_BOOK_LEVELS];

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int rising(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, rising);
    return v[n / 2];
}

/* Prices between those of the book: odd tenths. */
static uint32_t make(int levels, int event, int gone)
{
    char *at = frame;
    at += sprintf(at, "{\"stream\":\"btcusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":1723161256299,"
                      "\"T\":1723161256298,\"s\":\"BTCUSDT\",\"U\":%d,\"u\":%d,\"pu\":%d,\"b\":[",
                  1000001 + event, 1000001 + event, 1000000 + event);
    for (int half = 0; half < 2; half++) {
        for (int i = 0; i < levels / 2; i++) {
            int px = (half ? 700000 : 600000) + 1 + 2 * (int)((long long)i * AE_BOOK_LEVELS / (levels / 2));
            at += sprintf(at, "%s[\"%d.%d0\",\"%s\"]", i ? "," : "", px / 10, px % 10, gone ? "0.000" : "12.345");
        }
        at += sprintf(at, half ? "]}}" : "],\"a\":[");
    }
    return (uint32_t)(at - frame);
}

int main(int argc, char **argv)
{
    int levels = argc > 1 ? atoi(argv[1]) : 2259, rounds = argc > 2 ? atoi(argv[2]) : 41, taken[2] = {0, 0};
    static double parse[2 * ROUNDS_MAX], book_ns[2][ROUNDS_MAX];
    ae_symtab_t *tab = calloc(1, sizeof *tab);
    ae_predict_t *predict = calloc(1, ae_predict_bytes());
    ae_book_t *book = calloc(1, sizeof *book);
    if (!tab || !predict || !book || rounds > ROUNDS_MAX)
        return 2;
    (void)ae_symtab_add(tab, (const uint8_t *)"BTCUSDT", 7, 1, 3);
    (void)ae_predict_init(predict, AE_DIGITS_BEST);
    for (int i = 0; i < AE_BOOK_LEVELS; i++) {
        side[0][i] = (ae_level_t){600000 + 2 * (AE_BOOK_LEVELS - i), 5};
        side[1][i] = (ae_level_t){700000 + 2 * i, 5};
    }
    (void)ae_book_snapshot(book, 1000000, side[0], AE_BOOK_LEVELS, side[1], AE_BOOK_LEVELS);
    uint32_t bytes = 0;
    for (int event = 0; event < 2 * rounds; event++) {
        int gone = event & 1;
        ae_parsed_t parsed;
        bytes = make(levels, event, gone);
        double from = now_ns();
        int n = ae_tick_parse((const uint8_t *)frame, bytes, tab, predict, out, AE_LEVELS_MAX + 2, &parsed);
        double read = now_ns();
        if (n < levels - 1 || ae_book_apply(book, out, (uint32_t)n, 1, 3) < 1)
            return 3;
        book_ns[gone][taken[gone]++] = now_ns() - read;
        parse[event] = read - from;
    }
    printf("{\"bytes\": %u, \"parse\": %.0f, \"into\": %.0f, \"out\": %.0f}\n", bytes, median(parse, 2 * rounds),
           median(book_ns[0], rounds), median(book_ns[1], rounds));
    return 0;
}
