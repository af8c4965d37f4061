/* Features per symbol, folded from market records: one row of named columns each, the same code live, in replay and for
 * training.
 *
 * Problem: a strategy that folds quotes in Python pays for each of them; one that keeps averages in its own way cannot
 * be compared with what a model was trained on. Here a batch is folded in one call, each record in constant time, and
 * the symbols it changed stand in a list with a copy of their columns, so that Python does one vector operation.
 * What must stay true: the columns are a function of the records alone (no clock; time is recv_ns, and runs backwards
 * for nobody); folding in pieces is folding at once, to the last bit; only + - * / and sqrt, each rounded as IEEE 754
 * says and never contracted (ISO mode), so another machine and the Python oracle get the same bits. Columns are signals,
 * never prices or quantities to send: those are the integers beside them.
 *
 * Averages forget by half-lives of 0.1, 1 and 10 s. flow: order-flow imbalance, size added at the bid and taken from
 * the ask less the opposite, over the sizes that stood there. trade_flow: bought less sold, over traded. */
#include "ae_internal.h"

#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { FLOWS = 3, TRADED_AT = 1, VOLATILITIES = 2 };
#define HALF_NS 10000000000 /* the longest half-life; the others are a tenth and a hundredth of it */
#define HALVES_MAX 64       /* older than that is forgotten */
#define LN2 0.6931471805599453

static const double TENS[AE_EXP_MAX + 1] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
                                            1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};

/* 1 / n! */
static const double SERIES[10] = {1.0, 1.0, 0.5, 0.16666666666666666, 0.041666666666666664, 0.008333333333333333,
                                  0.001388888888888889, 0.0001984126984126984, 2.48015873015873e-05,
                                  2.7557319223985893e-06};

static double tenth_power(double x)
{
    double two = x * x, four = two * two;
    return four * four * two;
}

/* Time from `then` (never negative) to `now`; 0 when it runs backwards. */
static int64_t since(int64_t now, int64_t then)
{
    return now > then ? now - then : 0;
}

/* What `ns` of time leave of a sum, for the half-lives 0.1, 1 and 10 s: 2 ** -(ns / half-life). The fraction by a
 * polynomial around its middle (relative error below 1e-9), the shorter half-lives as tenth powers. */
static void decays(int64_t ns, double keep[FLOWS])
{
    if (ns <= 0) {
        keep[0] = keep[1] = keep[2] = 1.0;
        return;
    }
    int64_t halves = ns / HALF_NS;
    if (halves >= HALVES_MAX) {
        keep[0] = keep[1] = keep[2] = 0.0;
        return;
    }
    double x = (0.5 - (double)(ns - halves * HALF_NS) / (double)HALF_NS) * LN2;
    double sum = SERIES[9];
#pragma GCC unroll 9
    for (int i = 8; i >= 0; i--)
        sum = sum * x + SERIES[i];
    double scale = 0.7071067811865476; /* 2 ** -0.5: the middle */
    for (int64_t i = 0; i < halves; i++)
        scale = scale * 0.5;
    keep[2] = sum * scale;
    keep[1] = tenth_power(keep[2]);
    keep[0] = tenth_power(keep[1]);
}

static void add(double *sum, double *size, double keep, double moved, double stood)
{
    *sum = *sum * keep + moved;
    *size = *size * keep + stood;
}

static double ratio(double sum, double size)
{
    return size > 0.0 ? sum / size : 0.0;
}

/* One bookTicker. False: no quote that can be used (a side is empty or crossed the other). */
static int fold_quote(ae_feature_row_t *row, const ae_tick_t *tick)
{
    if (tick->a <= 0 || tick->c <= 0 || tick->b < 0 || tick->d < 0 || tick->a > tick->c)
        return 0;
    double price_unit = TENS[tick->px_exp], size_unit = TENS[tick->qty_exp];
    double bid = (double)tick->a / price_unit, ask = (double)tick->c / price_unit;
    double bid_qty = (double)tick->b / size_unit, ask_qty = (double)tick->d / size_unit;
    double both = bid_qty + ask_qty, middle = (bid + ask) * 0.5;
    double *out = row->value;
    if (row->quotes) {
        double keep[FLOWS];
        decays(since(tick->recv_ns, row->quoted_ns), keep);
        double bought = (bid >= row->bid_last ? bid_qty : 0.0) - (bid <= row->bid_last ? row->bid_qty_last : 0.0);
        double sold = (ask <= row->ask_last ? ask_qty : 0.0) - (ask >= row->ask_last ? row->ask_qty_last : 0.0);
        double before = row->bid_qty_last + row->ask_qty_last;
        double stood = both > before ? both : before;
        double moved = bought - sold;
        moved = moved > stood ? stood : moved < -stood ? -stood : moved;
#pragma GCC unroll 3
        for (int i = 0; i < FLOWS; i++)
            add(&row->flow_sum[i], &row->flow_size[i], keep[i], moved, stood);
        double change = (middle - out[AE_FEATURE_MIDDLE]) / out[AE_FEATURE_MIDDLE];
#pragma GCC unroll 2
        for (int i = 0; i < VOLATILITIES; i++)
            row->square_sum[i] = row->square_sum[i] * keep[i + 1] + change * change;
    } else {
#pragma GCC unroll 3
        for (int i = 0; i < FLOWS; i++)
            row->flow_size[i] = both;
    }
    row->bid_last = bid;
    row->ask_last = ask;
    row->bid_qty_last = bid_qty;
    row->ask_qty_last = ask_qty;
    out[AE_FEATURE_MIDDLE] = middle;
    out[AE_FEATURE_MICRO_PRICE] = both > 0.0 ? (bid * ask_qty + ask * bid_qty) / both : middle;
    out[AE_FEATURE_LEAN] = ratio(bid_qty - ask_qty, both);
    out[AE_FEATURE_SPREAD_BPS] = (ask - bid) / middle * 10000.0;
#pragma GCC unroll 3
    for (int i = 0; i < FLOWS; i++)
        out[AE_FEATURE_FLOW_100MS + i] = ratio(row->flow_sum[i], row->flow_size[i]);
    /* a sum that halves every h seconds holds h / ln 2 seconds of squares */
    out[AE_FEATURE_VOLATILITY_1S] = sqrt(row->square_sum[0] * LN2);
    out[AE_FEATURE_VOLATILITY_10S] = sqrt(row->square_sum[1] * (LN2 / 10.0));
    row->bid = tick->a;
    row->bid_qty = tick->b;
    row->ask = tick->c;
    row->ask_qty = tick->d;
    row->px_exp = tick->px_exp;
    row->qty_exp = tick->qty_exp;
    if (tick->recv_ns > row->quoted_ns)
        row->quoted_ns = tick->recv_ns;
    row->quotes++;
    return 1;
}

/* One trade: price a, size b, side of the aggressor d. Of two streams that tell the same trades the finer one counts. */
static int fold_trade(ae_feature_row_t *row, const ae_tick_t *tick)
{
    if (tick->kind == AE_KIND_TRADE)
        row->single_trades = 1;
    else if (row->single_trades)
        return 0;
    if (tick->b <= 0 || (tick->flags & AE_FLAG_FILLED))
        return 0;
    double size = (double)tick->b / TENS[tick->qty_exp], keep[FLOWS];
    decays(row->trades ? since(tick->recv_ns, row->traded_ns) : 0, keep);
    double moved = tick->d > 0 ? size : tick->d < 0 ? -size : 0.0;
#pragma GCC unroll 3
    for (int i = 0; i < FLOWS; i++) {
        add(&row->trade_sum[i], &row->trade_size[i], keep[i], moved, size);
        row->value[AE_FEATURE_TRADE_FLOW_100MS + i] = ratio(row->trade_sum[i], row->trade_size[i]);
    }
    row->value[AE_FEATURE_TRADED_1S] = row->trade_size[TRADED_AT] * LN2;
    if (tick->recv_ns > row->traded_ns)
        row->traded_ns = tick->recv_ns;
    row->trades++;
    return 1;
}

/* Forget everything seen (the feed is a new one). Any zeroed memory is already so. allocates: no. */
void ae_features_reset(ae_features_t *features)
{
    memset(features, 0, sizeof *features);
}

/* Fold `count` records in their order; then `changed` holds the symbols whose columns changed, each once, first come
 * first, and `changed_value` a copy of their columns, row by row. Records of other kinds, of unknown exponents and fills
 * of a gap (they come late) are passed over. One thread. allocates: no. Work: constant per record. Returns how many
 * symbols changed. */
int ae_features_fold(ae_features_t *features, const ae_tick_t *ticks, uint32_t count)
{
    uint32_t changed = 0;
    uint64_t batch = ++features->batch;
    for (uint32_t i = 0; i < count; i++) {
        const ae_tick_t *tick = ticks + i;
        if (tick->symbol >= AE_SYMBOLS_MAX || tick->px_exp > AE_EXP_MAX || tick->qty_exp > AE_EXP_MAX)
            continue;
        ae_feature_row_t *row = features->row + tick->symbol;
        int moved = 0;
        if (tick->kind == AE_KIND_BOOK_TICKER)
            moved = fold_quote(row, tick);
        else if (tick->kind == AE_KIND_TRADE || tick->kind == AE_KIND_AGG_TRADE)
            moved = fold_trade(row, tick);
        if (moved && row->batch != batch) {
            row->batch = batch;
            features->changed[changed++] = tick->symbol;
        }
    }
    for (uint32_t i = 0; i < changed; i++)
        memcpy(features->changed_value + (size_t)i * AE_FEATURES, features->row[features->changed[i]].value,
               sizeof features->row->value);
    features->changed_count = changed;
    return (int)changed;
}
