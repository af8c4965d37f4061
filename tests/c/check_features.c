/* features.c on hostile records: no undefined step, every column a finite number in its range, each symbol listed once. */
#include "ae_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(law) \
    do { \
        if (!(law)) { \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #law); \
            exit(1); \
        } \
    } while (0)

static uint64_t state = 88172645463325252u;

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t number(void)
{
    static const int64_t edges[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1000, 10000000000, INT64_MAX - 1};
    uint64_t pick = draw();
    return pick % 3 ? edges[pick / 3 % 8] : (int64_t)draw();
}

static ae_tick_t record(void)
{
    ae_tick_t tick = {0};
    tick.symbol = (uint16_t)(draw() % 8 ? draw() % 5 : draw());
    tick.kind = (uint8_t)(draw() % 4 ? 1 + draw() % 3 : draw());
    tick.flags = (uint8_t)(draw() % 2 ? 0 : draw());
    tick.px_exp = (uint8_t)(draw() % 4 ? draw() % 19 : draw());
    tick.qty_exp = (uint8_t)(draw() % 4 ? draw() % 19 : draw());
    tick.recv_ns = draw() % 2 ? number() : (int64_t)(draw() % 100000000000);
    tick.a = number();
    tick.b = number();
    tick.c = number();
    tick.d = number();
    return tick;
}

static void check(const ae_features_t *features)
{
    static uint8_t seen[AE_SYMBOLS_MAX];
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < features->changed_count; i++) {
        uint16_t symbol = features->changed[i];
        CHECK(symbol < AE_SYMBOLS_MAX && !seen[symbol]);
        seen[symbol] = 1;
        const double *value = features->row[symbol].value;
        for (int c = 0; c < AE_FEATURES; c++)
            CHECK(isfinite(value[c]));
        for (int c = AE_FEATURE_FLOW_100MS; c <= AE_FEATURE_TRADE_FLOW_10S; c++)
            CHECK(fabs(value[c]) <= 1.000001);
        CHECK(fabs(value[AE_FEATURE_LEAN]) <= 1.0);
        CHECK(value[AE_FEATURE_SPREAD_BPS] >= 0 && value[AE_FEATURE_VOLATILITY_1S] >= 0);
        CHECK(memcmp(value, features->changed_value + i * AE_FEATURES, sizeof features->row->value) == 0);
    }
}

int main(void)
{
    ae_features_t *features = calloc(1, sizeof *features);
    CHECK(features);
    for (int round = 0; round < 20000; round++) {
        uint32_t count = (uint32_t)(draw() % 40);
        ae_tick_t *batch = malloc((count ? count : 1) * sizeof *batch); /* its end is watched */
        CHECK(batch);
        for (uint32_t i = 0; i < count; i++)
            batch[i] = record();
        CHECK(ae_features_fold(features, batch, count) == (int)features->changed_count);
        check(features);
        free(batch);
        if (draw() % 1000 == 0)
            ae_features_reset(features);
    }
    free(features);
    return 0;
}
