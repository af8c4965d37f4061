/* Frames -> records so often, for whoever counts instructions: tick_count KIND READER FRAMES.
 *
 * KIND: ticker, trade, depth (120 levels); READER: general, scalar, avx2, best. Two counts of frames and their
 * difference give the cost of one frame without start and learning. Prints records read and frames predicted. */
#include <stdio.h>
#include <stdlib.h>

#include "predict.h"

#define SHAPES 64
#define LEVELS 120

static char frames[SHAPES][8192];
static uint32_t sizes[SHAPES];
static ae_tick_t out[LEVELS + 2];
static uint32_t state = 12345;

static uint32_t dice(uint32_t from, uint32_t below)
{
    state = state * 1664525 + 1013904223;
    return from + (state >> 8) % (below - from);
}

static char *list(char *at, char side)
{
    at += sprintf(at, "\"%c\":[", side);
    for (uint32_t i = 0; i < LEVELS / 2; i++)
        at += sprintf(at, "%s[\"%u.%u0\",\"%u.%03u\"]", i ? "," : "", dice(58000, 62000), dice(0, 10), dice(0, 200) / 10,
                      dice(0, 1000));
    return at + sprintf(at, "]");
}

static void make(const char *kind, char *at)
{
    uint32_t ms = dice(100000000, 999999999), px = dice(58000, 62000);
    at += sprintf(at, "{\"stream\":\"btcusdt@%s\",\"data\":", kind);
    if (strcmp(kind, "ticker") == 0) {
        at += sprintf(at, "{\"e\":\"bookTicker\",\"u\":5123%09u,\"s\":\"BTCUSDT\",\"ps\":\"BTCUSDT\",\"b\":\"%u.20\",",
                      ms, px);
        at += sprintf(at, "\"B\":\"%u.%03u\",\"a\":\"%u.30\",\"A\":\"%u.%03u\",\"T\":1723%09u,\"E\":1723%09u,\"st\":1}}",
                      dice(1, 20), dice(0, 1000), px, dice(1, 20), dice(0, 1000), ms, ms);
    } else if (strcmp(kind, "trade") == 0) {
        at += sprintf(at, "{\"e\":\"trade\",\"E\":1723%09u,\"T\":1723%09u,\"s\":\"BTCUSDT\",\"t\":5%09u,", ms, ms, ms);
        at += sprintf(at, "\"p\":\"%u.30\",\"q\":\"%u.%03u\",\"X\":\"MARKET\",\"m\":%s,\"st\":1}}", px, dice(0, 2),
                      dice(0, 1000), dice(0, 2) ? "true" : "false");
    } else {
        at += sprintf(at, "{\"e\":\"depthUpdate\",\"E\":1723%09u,\"T\":1723%09u,\"s\":\"BTCUSDT\",\"ps\":\"BTCUSDT\",",
                      ms, ms);
        at += sprintf(at, "\"U\":5123%09u,\"u\":5124%09u,\"pu\":5122%09u,", ms, ms, ms);
        at = list(at, 'b');
        *at++ = ',';
        at = list(at, 'a');
        (void)sprintf(at, ",\"st\":1}}");
    }
}

int main(int argc, char **argv)
{
    static const char *const readers[] = {"best", "scalar", "avx2", "general"};
    if (argc < 4)
        return 2;
    uint32_t reader = 0;
    while (reader < 3 && strcmp(argv[2], readers[reader]))
        reader++;
    ae_predict_t *predict = reader == 3 ? NULL : calloc(1, ae_predict_bytes());
    ae_symtab_t *tab = calloc(1, sizeof *tab);
    if (!tab || ae_symtab_add(tab, (const uint8_t *)"BTCUSDT", 7, 1, 3) < 0)
        return 2;
    const char *name = predict ? ae_predict_init(predict, reader) : "none";
    if (reader == 2 && strcmp(name, "avx2"))
        return 77; /* not on this machine */
    for (uint32_t i = 0; i < SHAPES; i++) {
        make(argv[1], frames[i]);
        sizes[i] = (uint32_t)strlen(frames[i]);
    }
    uint64_t records = 0;
    for (uint32_t i = 0, count = (uint32_t)atoi(argv[3]); i < count; i++) {
        ae_parsed_t parsed;
        int n = ae_tick_parse((const uint8_t *)frames[i % SHAPES], sizes[i % SHAPES], tab, predict, out, LEVELS + 2,
                              &parsed);
        if (n < 1)
            return 3;
        records += (uint64_t)n;
    }
    printf("%s %llu %llu\n", name, (unsigned long long)records,
           (unsigned long long)(predict ? ae_predict_hits(predict) : 0));
    return 0;
}
