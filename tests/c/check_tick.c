/* Prediction and its digit kernels against the general path, over every exponent, number of places and width.
 *
 * Laws: same verdict and same records from the general path alone and from prediction with scalar, AVX2 and AVX-512
 * kernels; prediction really reads (most frames, not none); a frame that is otherwise in one byte is never read by
 * shape; nothing beyond the frame is read (it ends at a guard page). */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "predict.h"

#define READERS 4
#define ROOM 4096
#define RECORDS 64

static uint64_t state = 88172645463325252U;
static ae_symtab_t tab;
static ae_predict_t *predicts[READERS];
static ae_tick_t outs[READERS][RECORDS];
static uint8_t *wall;

static uint32_t dice(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static void die(const char *why, const char *frame)
{
    fprintf(stderr, "check_tick: %s: %s\n", why, frame);
    exit(1);
}

/* A number of `whole` digits before and `places` behind the point; no leading zero unless it stands alone. */
static void number(char *to, uint32_t whole, uint32_t places, int zeros)
{
    char *p = to;
    for (uint32_t i = 0; i < whole; i++)
        *p++ = (char)('0' + (i || whole == 1 ? dice(10) : 1 + dice(9)));
    if (places)
        *p++ = '.';
    for (uint32_t i = 0; i < places; i++)
        *p++ = (char)('0' + (zeros ? 0 : dice(10)));
    *p = 0;
}

typedef struct form {
    uint32_t kind, symbol, combined, px_places, qty_places, px_whole, qty_whole, levels, fit;
} form_t;

/* Places that a symbol's exponent cannot hold are zeros when `fit`, else anything. */
static void value(char *to, const form_t *f, uint32_t price)
{
    const ae_symbol_t *s = &tab.symbols[f->symbol];
    uint32_t exp = price ? s->px_exp : s->qty_exp, places = price ? f->px_places : f->qty_places;
    uint32_t whole = (price ? f->px_whole : f->qty_whole) + (price || f->levels == 0 ? 0 : dice(3));
    number(to, whole, places, 0);
    for (uint32_t i = exp; f->fit && i < places; i++)
        to[whole + 1 + i] = '0';
}

static void list(char **at, const form_t *f, uint32_t levels)
{
    char px[64], qty[64];
    *at += sprintf(*at, "[");
    for (uint32_t i = 0; i < levels; i++) {
        value(px, f, 1);
        value(qty, f, 0);
        *at += sprintf(*at, "%s[\"%s\",\"%s\"]", i ? "," : "", px, qty);
    }
    *at += sprintf(*at, "]");
}

static void make(char *to, const form_t *f)
{
    static const char *const streams[] = {"bookTicker", "trade", "aggTrade", "depth@100ms"};
    char t[4][64], *at = to;
    const char *name = tab.symbols[f->symbol].name;
    for (uint32_t i = 0; i < 4; i++)
        value(t[i], f, i % 2 == 0);
    unsigned long long ms = 1700000000000U + dice(1000000000);
    if (f->combined)
        at += sprintf(at, "{\"stream\":\"%s@%s\",\"data\":", name, streams[f->kind]);
    if (f->kind == 0)
        at += sprintf(at, "{\"e\":\"bookTicker\",\"u\":%u%06u,\"s\":\"%s\",\"b\":\"%s\",\"B\":\"%s\",\"a\":\"%s\","
                          "\"A\":\"%s\",\"T\":%llu,\"E\":%llu}", 1 + dice(8), dice(1000000), name, t[0], t[1], t[2], t[3],
                      ms, ms);
    else if (f->kind == 1)
        at += sprintf(at, "{\"e\":\"trade\",\"E\":%llu,\"T\":%llu,\"s\":\"%s\",\"t\":%u,\"p\":\"%s\",\"q\":\"%s\","
                          "\"X\":\"%s\",\"m\":%s,\"st\":%u}", ms, ms, name, 1000000 + dice(1000000), t[0], t[1],
                      dice(9) ? "MARKET" : "RPI", dice(2) ? "true" : "false", dice(3));
    else if (f->kind == 2)
        at += sprintf(at, "{\"e\":\"aggTrade\",\"E\":%llu,\"a\":%u,\"s\":\"%s\",\"p\":\"%s\",\"q\":\"%s\",\"nq\":\"%s\","
                          "\"f\":1%05u,\"l\":1%05u,\"T\":%llu,\"m\":%s}", ms, dice(10), name, t[0], t[1], t[3],
                      dice(100000), dice(100000), ms, dice(2) ? "true" : "false");
    else {
        at += sprintf(at, "{\"e\":\"depthUpdate\",\"E\":%llu,\"T\":%llu,\"s\":\"%s\",\"U\":1%05u,\"u\":2%05u,"
                          "\"pu\":1%05u,\"b\":", ms, ms, name, dice(100000), dice(100000), dice(100000));
        list(&at, f, dice(f->levels));
        at += sprintf(at, ",\"a\":");
        list(&at, f, dice(f->levels));
        at += sprintf(at, "}");
    }
    (void)sprintf(at, f->combined ? "}" : "");
}

/* All readers say the same. Returns the number of records. */
static int agree(const char *frame, uint32_t bytes)
{
    uint8_t *at = wall - bytes;
    ae_parsed_t parsed[READERS];
    int n[READERS];
    memcpy(at, frame, bytes);
    for (uint32_t i = 0; i < READERS; i++) {
        n[i] = ae_tick_parse(at, bytes, &tab, predicts[i], outs[i], RECORDS, &parsed[i]);
        if (n[i] != n[0] || memcmp(&parsed[i], &parsed[0], sizeof parsed[0]) != 0)
            die("another verdict", frame);
        if (n[0] > 0 && memcmp(outs[i], outs[0], (size_t)n[0] * sizeof outs[0][0]) != 0)
            die("other records", frame);
    }
    return n[0];
}

/* Frames of one form: enough to be learned, then read by shape, then with one byte otherwise. */
static void one_form(const form_t *f)
{
    char frame[ROOM];
    for (uint32_t i = 0; i < 6; i++) {
        make(frame, f);
        int n = agree(frame, (uint32_t)strlen(frame));
        if (f->fit && f->px_whole + f->px_places < 16 && f->qty_whole + f->qty_places < 14 && n == AE_BAD &&
            tab.symbols[f->symbol].px_exp < 3 && tab.symbols[f->symbol].qty_exp < 3)
            die("refused", frame);
    }
    for (uint32_t i = 0; i < 4; i++) {
        make(frame, f);
        uint32_t bytes = (uint32_t)strlen(frame);
        frame[dice(bytes)] = "0123456789.\",:[]{}-e "[dice(21)];
        (void)agree(frame, bytes);
    }
}

static void append(uint32_t px_exp, uint32_t qty_exp)
{
    char name[16];
    int n = sprintf(name, "S%c%cUSDT", 'A' + (int)px_exp, 'A' + (int)qty_exp);
    if (ae_symtab_add(&tab, (const uint8_t *)name, (uint32_t)n, (uint8_t)px_exp, (uint8_t)qty_exp) < 0)
        die("symbol", name);
}

int main(void)
{
    uint8_t *memory = mmap(NULL, 8192 + ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + 4096 + ROOM, 4096, PROT_NONE))
        return 1;
    wall = memory + 4096 + ROOM;
    for (uint32_t i = 1; i < READERS; i++) {
        predicts[i] = calloc(1, ae_predict_bytes());
        if (!predicts[i])
            return 1;
        (void)ae_predict_init(predicts[i], i);
    }
    for (uint32_t exp = 0; exp <= AE_EXP_MAX; exp++)
        append(exp, exp * 7 % 19);
    uint64_t forms = 0;
    for (uint32_t symbol = 0; symbol < tab.count; symbol++)
        for (uint32_t places = 0; places < 19; places++)
            for (uint32_t whole = 1; whole < 18; whole++)
                for (uint32_t kind = 0; kind < 4; kind++, forms++)
                    one_form(&(form_t){kind, symbol, dice(2), places, dice(places + 2), whole, 1 + dice(whole),
                                             kind == 3 ? 1 + dice(24) : 0, dice(4) > 0});
    for (uint32_t i = 1; i < READERS; i++)
        if (ae_predict_hits(predicts[i]) < forms)
            die("prediction hardly ever reads", ae_digits_for(i)->name);
    return 0;
}
