// Frames -> records by us and by others in one process, taking turns: tick_rivals FRAMES ROUNDS [any].
// With a third word the general path is measured, alone and after a failed prediction, instead of prediction.
//
// The file holds frames, each after its length (u32). Every contender reads the same fields into the same record with
// the same symbol table; the others hand their texts to our exact decimals, so only the reading of JSON differs.
// simdjson gets its padding for free, yyjson a pool instead of malloc. Prints one JSON object: nanoseconds a frame of
// each contender, the median over the rounds, and how far the limit (bytes classified once) moved between rounds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "simdjson.h"
#include "yyjson.h"

extern "C" {
#include "predict.h"
uint64_t bench_classify(const uint8_t *data, uint32_t bytes, uint64_t *masks);
}

namespace {

namespace od = simdjson::ondemand;

std::vector<std::string> frames;
ae_symtab_t symbols;
std::vector<ae_tick_t> out(AE_LEVELS_MAX + 2);
ae_predict_t *best, *avx2, *scalar, *failed;
uint64_t sink;

uint64_t now_ns()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return uint64_t(t.tv_sec) * 1000000000 + uint64_t(t.tv_nsec);
}

void fail(const char *why, const std::string &frame)
{
    fprintf(stderr, "tick_rivals: %s: %.300s\n", why, frame.c_str());
    exit(2);
}

// ---- ours

int ours(ae_predict_t *p, const std::string &f)
{
    ae_parsed_t parsed;
    return ae_tick_parse(reinterpret_cast<const uint8_t *>(f.data()), uint32_t(f.size()), &symbols, p, out.data(),
                         uint32_t(out.size()), &parsed);
}

int run_best(const std::string &f) { return ours(best, f); }
int run_avx2(const std::string &f) { return ours(avx2, f); }
int run_scalar(const std::string &f) { return ours(scalar, f); }
int run_general(const std::string &f) { return ours(nullptr, f); }
int run_failed(const std::string &f) { return ours(failed, f); }

int run_classify(const std::string &f)
{
    static uint64_t masks[2048];
    sink += bench_classify(reinterpret_cast<const uint8_t *>(f.data()), uint32_t(f.size()), masks);
    return 1;
}

// ---- what both rivals need: text -> the same exact numbers

ae_span_t text(std::string_view v)
{
    return ae_span_t{reinterpret_cast<const uint8_t *>(v.data()), uint32_t(v.size()), AE_T_STRING};
}

bool mantissa(std::string_view v, uint8_t *exp, int64_t *to)
{
    ae_span_t span = text(v);
    const ae_span_t *from = &span;
    return !ae_to_mantissas(&from, 1, exp, &to);
}

bool pair(std::string_view v, std::string_view w, uint8_t *exp, int64_t *to, int64_t *also)
{
    ae_span_t spans[2] = {text(v), text(w)};
    const ae_span_t *from[2] = {&spans[0], &spans[1]};
    int64_t *places[2] = {to, also};
    return !ae_to_mantissas(from, 2, exp, places);
}

bool start(std::string_view symbol, uint32_t kind, int64_t ms)
{
    int index = ae_symtab_find(&symbols, reinterpret_cast<const uint8_t *>(symbol.data()), uint32_t(symbol.size()));
    if (index < 0)
        return false;
    out[0] = ae_tick_t{};
    out[0].symbol = uint16_t(index);
    out[0].kind = uint8_t(kind);
    out[0].px_exp = symbols.symbols[index].px_exp;
    out[0].qty_exp = symbols.symbols[index].qty_exp;
    out[0].exch_ns = ms * 1000000;
    return true;
}

bool level(std::string_view px, std::string_view qty, int64_t side, uint32_t *count)
{
    ae_tick_t *t = &out[(*count)++];
    *t = out[0];
    t->flags = 0;
    t->c = side;
    t->d = out[0].b;
    return mantissa(px, &t->px_exp, &t->a) && mantissa(qty, &t->qty_exp, &t->b) && t->b >= 0;
}

int finish(uint32_t count)
{
    out[0].flags = AE_FLAG_BEGIN;
    out[0].d = count - 1;
    out[count - 1].flags |= AE_FLAG_END;
    return int(count);
}

// ---- yyjson

std::vector<char> pool(1 << 22);

std::string_view word(yyjson_val *v) { return {yyjson_get_str(v), yyjson_get_len(v)}; }

int yy_levels(yyjson_val *list, int64_t side, uint32_t *count)
{
    size_t i, n;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, n, one) {
        yyjson_val *px = yyjson_arr_get_first(one), *qty = yyjson_arr_get(one, 1);
        if (!level(word(px), word(qty), side, count))
            return 0;
    }
    return 1;
}

int run_yyjson(const std::string &f)
{
    yyjson_alc alc;
    yyjson_alc_pool_init(&alc, pool.data(), pool.size());
    yyjson_doc *doc = yyjson_read_opts(const_cast<char *>(f.data()), f.size(), 0, &alc, nullptr);
    yyjson_val *root = yyjson_doc_get_root(doc), *m = yyjson_obj_get(root, "data");
    m = m ? m : root;
    std::string_view event, symbol, b, B, a, A, p, q;
    int64_t u = 0, T = 0, U = 0, pu = 0, t = 0;
    bool maker = false;
    yyjson_val *bids = nullptr, *asks = nullptr, *key;
    yyjson_obj_iter it = yyjson_obj_iter_with(m);
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        std::string_view k = word(key);
        if (k.size() == 2 && k == "pu")
            pu = yyjson_get_sint(v);
        if (k.size() != 1)
            continue;
        switch (k[0]) {
        case 'e': event = word(v); break;
        case 's': symbol = word(v); break;
        case 'b': yyjson_is_arr(v) ? void(bids = v) : void(b = word(v)); break;
        case 'B': B = word(v); break;
        case 'a': yyjson_is_arr(v) ? void(asks = v) : void(a = word(v)); break;
        case 'A': A = word(v); break;
        case 'p': p = word(v); break;
        case 'q': q = word(v); break;
        case 'u': u = yyjson_get_sint(v); break;
        case 'T': T = yyjson_get_sint(v); break;
        case 'U': U = yyjson_get_sint(v); break;
        case 't': t = yyjson_get_sint(v); break;
        case 'm': maker = yyjson_get_bool(v); break;
        default: break;
        }
    }
    if (event == "bookTicker") {
        if (!start(symbol, AE_KIND_BOOK_TICKER, T) || !pair(b, a, &out[0].px_exp, &out[0].a, &out[0].c) ||
            !pair(B, A, &out[0].qty_exp, &out[0].b, &out[0].d))
            return 0;
        sink += uint64_t(u);
        return 1;
    }
    if (event == "trade") {
        if (!start(symbol, AE_KIND_TRADE, T) || !mantissa(p, &out[0].px_exp, &out[0].a) ||
            !mantissa(q, &out[0].qty_exp, &out[0].b))
            return 0;
        out[0].c = t;
        out[0].d = maker ? -1 : 1;
        return 1;
    }
    if (event != "depthUpdate" || !start(symbol, AE_KIND_DEPTH, T))
        return 0;
    out[0].a = U;
    out[0].b = u;
    out[0].c = pu;
    uint32_t count = 1;
    return yy_levels(bids, 0, &count) && yy_levels(asks, 1, &count) ? finish(count) : 0;
}

// ---- simdjson on demand: keys in the order of the wire, or by find_field_unordered

od::parser parser;

template <bool unordered> auto field(od::object &m, const char *key)
{
    if constexpr (unordered)
        return m.find_field_unordered(key);
    else
        return m.find_field(key);
}

template <bool unordered> int sj_ticker(od::object &m)
{
    int64_t u = field<unordered>(m, "u").get_int64();
    std::string_view symbol = field<unordered>(m, "s").get_string();
    std::string_view b = field<unordered>(m, "b").get_string(), B = field<unordered>(m, "B").get_string();
    std::string_view a = field<unordered>(m, "a").get_string(), A = field<unordered>(m, "A").get_string();
    int64_t T = field<unordered>(m, "T").get_int64();
    sink += uint64_t(u);
    return start(symbol, AE_KIND_BOOK_TICKER, T) && pair(b, a, &out[0].px_exp, &out[0].a, &out[0].c) &&
           pair(B, A, &out[0].qty_exp, &out[0].b, &out[0].d);
}

template <bool unordered> int sj_trade(od::object &m)
{
    int64_t T = field<unordered>(m, "T").get_int64();
    std::string_view symbol = field<unordered>(m, "s").get_string();
    int64_t t = field<unordered>(m, "t").get_int64();
    std::string_view p = field<unordered>(m, "p").get_string(), q = field<unordered>(m, "q").get_string();
    bool maker = field<unordered>(m, "m").get_bool();
    if (!start(symbol, AE_KIND_TRADE, T) || !mantissa(p, &out[0].px_exp, &out[0].a) ||
        !mantissa(q, &out[0].qty_exp, &out[0].b))
        return 0;
    out[0].c = t;
    out[0].d = maker ? -1 : 1;
    return 1;
}

int sj_levels(od::array list, int64_t side, uint32_t *count)
{
    for (auto one : list) {
        auto number = one.get_array().begin().value();
        std::string_view px = (*number).get_string();
        ++number;
        std::string_view qty = (*number).get_string();
        ++number;
        if (!level(px, qty, side, count))
            return 0;
    }
    return 1;
}

template <bool unordered> int sj_depth(od::object &m)
{
    int64_t T = field<unordered>(m, "T").get_int64();
    std::string_view symbol = field<unordered>(m, "s").get_string();
    if (!start(symbol, AE_KIND_DEPTH, T))
        return 0;
    out[0].a = field<unordered>(m, "U").get_int64();
    out[0].b = field<unordered>(m, "u").get_int64();
    out[0].c = field<unordered>(m, "pu").get_int64();
    uint32_t count = 1;
    return sj_levels(field<unordered>(m, "b").get_array(), 0, &count) &&
                   sj_levels(field<unordered>(m, "a").get_array(), 1, &count)
               ? finish(count)
               : 0;
}

template <bool unordered> int simdjson_read(const std::string &f)
{
    simdjson::padded_string_view view(f.data(), f.size(), f.capacity());
    od::document doc = parser.iterate(view);
    od::object root = doc.get_object(), m;
    if (root.find_field("data").get_object().get(m)) {
        doc.rewind();
        m = doc.get_object();
    }
    std::string_view event = field<unordered>(m, "e").get_string();
    if (event == "bookTicker")
        return sj_ticker<unordered>(m);
    if (event == "trade")
        return sj_trade<unordered>(m);
    return event == "depthUpdate" ? sj_depth<unordered>(m) : 0;
}

int run_simdjson(const std::string &f) { return simdjson_read<false>(f); }
int run_simdjson_unordered(const std::string &f) { return simdjson_read<true>(f); }

// ---- turns

struct contender {
    const char *name;
    int (*run)(const std::string &);
    std::vector<double> ns;
};

double lap(int (*run)(const std::string &))
{
    uint64_t from = now_ns();
    for (const std::string &f : frames)
        sink += uint64_t(run(f));
    return double(now_ns() - from) / double(frames.size());
}

// Every contender gives the records we give, frame by frame; a wrong rival would be a fast one.
void same(int (*run)(const std::string &))
{
    std::vector<ae_tick_t> wanted;
    for (const std::string &f : frames) {
        int n = ours(nullptr, f);
        if (n < 1)
            fail("not taken by us", f);
        wanted.assign(out.begin(), out.begin() + n);
        if (run(f) != n || memcmp(wanted.data(), out.data(), size_t(n) * sizeof(ae_tick_t)) != 0)
            fail("another answer", f);
    }
}

double median(std::vector<double> v)
{
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
}

void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint32_t n;
    while (file && fread(&n, 4, 1, file) == 1) {
        std::string f(n, ' ');
        f.reserve(n + 64);
        if (fread(&f[0], 1, n, file) != n)
            break;
        frames.push_back(std::move(f));
    }
    if (frames.empty())
        fail("no frames", path);
    fclose(file);
}

ae_predict_t *predict(uint32_t kind)
{
    auto *p = static_cast<ae_predict_t *>(calloc(1, ae_predict_bytes()));
    ae_predict_init(p, kind);
    return p;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    load(argv[1]);
    int rounds = atoi(argv[2]);
    ae_symtab_add(&symbols, reinterpret_cast<const uint8_t *>("BTCUSDT"), 7, 1, 3);
    best = predict(AE_DIGITS_BEST);
    avx2 = predict(AE_DIGITS_AVX2);
    scalar = predict(AE_DIGITS_SCALAR);
    failed = predict(AE_DIGITS_BEST);
    std::vector<contender> all;
    if (argc > 3)
        all = {{"general", run_general, {}},
               {"failed", run_failed, {}},
               {"yyjson", run_yyjson, {}},
               {"simdjson_unordered", run_simdjson_unordered, {}}};
    else
        all = {{"predicted", run_best, {}}, {"avx2", run_avx2, {}},     {"scalar", run_scalar, {}},
               {"yyjson", run_yyjson, {}},  {"simdjson", run_simdjson, {}}};
    std::vector<double> limits;
    int dropped = 0;
    for (auto &c : all)
        same(c.run);
    for (int round = 0; round < rounds; round++) {
        double before = std::min(lap(run_classify), lap(run_classify));
        std::vector<double> found;
        for (auto &c : all)
            found.push_back(std::min(lap(c.run), lap(c.run)));
        double after = std::min(lap(run_classify), lap(run_classify));
        if (std::abs(before - after) > 0.1 * std::min(before, after)) {
            dropped++;
            continue;
        }
        limits.push_back((before + after) / 2);
        for (size_t i = 0; i < all.size(); i++)
            all[i].ns.push_back(found[i]);
    }
    if (limits.empty())
        fail("no round with a steady limit", "");
    printf("{\"frames\": %zu, \"rounds\": %zu, \"dropped\": %d, \"digits\": \"%s\", \"hits\": %llu, \"classify\": %.2f",
           frames.size(), limits.size(), dropped, best->digits->name, static_cast<unsigned long long>(best->hits),
           median(limits));
    for (auto &c : all)
        printf(", \"%s\": %.2f", c.name, median(c.ns));
    printf("}\n");
    return sink == 42;
}
