/* An intent as the bytes that leave: one masked WebSocket text frame with `order.place`, signed or not.
 *
 *   signed text   apiKey=K&newClientOrderId=ae-E- | S&newOrderRespType=ACK&price= | P&quantity=Q&recvWindow=..&type=LIMIT
 *   hashed        once                            | after the order before it      | when it is placed
 *
 * Problem: what a general JSON encoder, a parameter sort and a one-shot HMAC do per order is known ahead but for the id,
 * two numbers and the time. So the texts stand ready per symbol and side, and the signature goes on from a state that has
 * taken in the pads, the API key and the next id already.
 * What must stay true: frame and signature equal those of aegis/venue/request.py and sign.py byte for byte; the secret is
 * not kept, only the two states made from it, in locked memory that no core dump shows; nothing is written past
 * AE_ORDER_FRAME_BYTES. Copies go in whole 16 bytes and over-write: the next piece begins where the text ended. */
#define _GNU_SOURCE
#include "ae_internal.h"

#include <sys/mman.h>
#include <sys/random.h>

enum { KEY_MAX = 120, START_MAX = 320, PAYLOAD_MAX = 768, FRAME_HEAD = 8, ID_MAX = 36 };
enum { LIMIT = 1, MARKET = 2, TIF_MAX = 5 };

/* A piece of text, copied whole (128 bytes). */
typedef struct {
    char text[124];
    uint32_t bytes;
} piece_t;

/* A number or an id, copied whole (48 bytes). */
typedef struct {
    char text[44];
    uint32_t bytes;
} word_t;

typedef struct {
    piece_t json;    /* ","method":"order.place","params":{"symbol":"X","side":"BUY","type":" */
    piece_t payload; /* &selfTradePreventionMode=EXPIRE_MAKER&side=BUY&symbol=X */
} side_t;

typedef struct {
    uint8_t used;
    uint8_t px_exp;
    uint8_t qty_exp;
} slot_t;

struct ae_encoder {
    uint32_t inner[8];
    uint32_t outer[8];
    uint32_t fixed[8]; /* inner, and the whole blocks of what all payloads begin with */
    uint32_t ahead[8]; /* fixed, and the whole blocks of `start` */
    uint32_t fixed_bytes; /* of start, a multiple of 64 */
    uint32_t ahead_bytes;
    word_t id;         /* of the next order */
    word_t ms;         /* time of the last one */
    uint64_t ms_since; /* it without its last eight digits */
    uint64_t seq;
    uint64_t draw;
    uint32_t id_fixed; /* bytes of ae-E- */
    uint32_t start_bytes; /* before S */
    int32_t simd;
    int32_t with_key;
    int32_t locked;
    char start[START_MAX]; /* apiKey=K&newClientOrderId=ae-E- S&newOrderRespType=ACK&price= */
    uint32_t price_at;     /* bytes of it before price= */
    piece_t key;      /* K */
    piece_t settings; /* ","newOrderRespType": .. "timestamp": */
    word_t window[2]; /* &recvWindow=5000, and with &reduceOnly=true */
    slot_t slots[AE_SYMBOLS_MAX];
    side_t sides[AE_SYMBOLS_MAX][2];
};

static const word_t TYPE_JSON[TIF_MAX + 1] = {
    {"MARKET\",\"quantity\":\"", 20},
    {"LIMIT\",\"timeInForce\":\"GTC\",\"quantity\":\"", 39},
    {"LIMIT\",\"timeInForce\":\"IOC\",\"quantity\":\"", 39},
    {"LIMIT\",\"timeInForce\":\"FOK\",\"quantity\":\"", 39},
    {"LIMIT\",\"timeInForce\":\"GTX\",\"quantity\":\"", 39},
    {"LIMIT\",\"timeInForce\":\"GTD\",\"quantity\":\"", 39},
};
static const word_t TYPE_PAYLOAD[TIF_MAX + 1] = {
    {"&timestamp=", 11},
    {"&timeInForce=GTC&timestamp=", 27},
    {"&timeInForce=IOC&timestamp=", 27},
    {"&timeInForce=FOK&timestamp=", 27},
    {"&timeInForce=GTX&timestamp=", 27},
    {"&timeInForce=GTD&timestamp=", 27},
};
static const word_t ID_JSON[2] = {
    {"\",\"newClientOrderId\":\"", 22},
    {"\",\"reduceOnly\":\"true\",\"newClientOrderId\":\"", 42},
};

static inline void copy(void *to, const void *from, unsigned sixteens)
{
#pragma GCC unroll 8
    for (unsigned i = 0; i < sixteens; i++)
        memcpy((uint8_t *)to + i * 16, (const uint8_t *)from + i * 16, 16);
}

static inline uint8_t *put_piece(uint8_t *to, const piece_t *piece)
{
    copy(to, piece, 4);
    if (piece->bytes > 64)
        copy(to + 64, piece->text + 64, 4);
    return to + piece->bytes;
}

static inline uint8_t *put_word(uint8_t *to, const word_t *word)
{
    copy(to, word, 1);
    if (word->bytes > 16)
        copy(to + 16, word->text + 16, 2);
    return to + word->bytes;
}

#define PUT(to, literal) (memcpy((to), (literal), sizeof(literal) - 1), (to) + sizeof(literal) - 1)

/* Eight decimal digits of v < 10^8 as text, the first in the lowest byte. */
static inline uint64_t eight(uint64_t v)
{
    uint64_t x = v / 10000 | v % 10000 << 32;
    uint64_t q = x * 10486 >> 20 & 0x0000007f0000007f;
    x = q | (x - q * 100) << 16;
    q = x * 103 >> 10 & 0x000f000f000f000f;
    return q | (x - q * 10) << 8 | 0x3030303030303030;
}

/* m * 10**-places as plain text without padding zeros; m > 0, places <= AE_EXP_MAX. */
static inline void write_number(word_t *out, uint64_t m, unsigned places)
{
    const uint64_t zeros = 0x3030303030303030;
    char digits[64]; /* 24 of them; the rest is only copied along */
    unsigned first, padding;
    uint64_t c;
    memcpy(digits + 8, &zeros, 8);
    if (m < 100000000) {
        c = eight(m);
        if (places > 15)
            memcpy(digits, &zeros, 8);
        first = 16 + (unsigned)__builtin_ctzll(c ^ zeros) / 8;
        padding = (unsigned)__builtin_clzll(c ^ zeros) / 8;
    } else {
        uint64_t rest = m / 100000000, a = eight(rest / 100000000), b = eight(rest % 100000000);
        c = eight(m % 100000000);
        memcpy(digits, &a, 8);
        memcpy(digits + 8, &b, 8);
        first = a != zeros ? (unsigned)__builtin_ctzll(a ^ zeros) / 8 : 8 + (unsigned)__builtin_ctzll(b ^ zeros) / 8;
        if (c != zeros)
            padding = (unsigned)__builtin_clzll(c ^ zeros) / 8;
        else
            padding = b != zeros ? 8 + (unsigned)__builtin_clzll(b ^ zeros) / 8 : 16 + (unsigned)__builtin_clzll(a ^ zeros) / 8;
    }
    memcpy(digits + 16, &c, 8);
    unsigned point = 24 - places;
    if (first >= point)
        first = point - 1;
    places = places > padding ? places - padding : 0;
    unsigned whole = point - first;
    copy(out->text, digits + first, whole > 16 ? 2 : 1); /* at most 19 digits before the point */
    if (places) {
        out->text[whole] = '.';
        copy(out->text + whole + 1, digits + point, places > 16 ? 2 : 1);
        whole += 1 + places;
    }
    out->bytes = whole;
}

/* Time in ms as text, kept in *out: only what changed since the last call is written. */
static inline void write_time(word_t *out, uint64_t *since, uint64_t ms)
{
    uint64_t low = ms - *since; /* of the last eight digits */
    if (low >= 100000000 || out->bytes < 9) {
        low = ms % 100000000;
        *since = ms - low;
        write_number(out, ms, 0);
        return;
    }
    uint64_t digits = eight(low);
    memcpy(out->text + out->bytes - 8, &digits, 8);
}

/* Bytes of an encoder. The memory is the caller's: page-aligned and zeroed. */
uint64_t ae_encoder_bytes(void)
{
    return sizeof(ae_encoder_t);
}

static void add_piece(piece_t *piece, const void *text, size_t bytes)
{
    memcpy(piece->text + piece->bytes, text, bytes);
    piece->bytes += (uint32_t)bytes;
}

static void add_base36(char *text, uint32_t *bytes, uint64_t n)
{
    char digits[16];
    unsigned used = 0;
    do {
        digits[used++] = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36];
        n /= 36;
    } while (n);
    while (used)
        text[(*bytes)++] = digits[--used];
}

/* Write the next order's beginning, and hash of it what is whole blocks (for LIMIT; MARKET is rarer and goes on from what
 * all payloads share). */
static void prepare(ae_encoder_t *e)
{
    uint8_t *start = (uint8_t *)e->start;
    copy(start + e->start_bytes, e->id.text + e->id_fixed, 1);
    uint8_t *end = PUT(start + e->start_bytes + e->id.bytes - e->id_fixed, "&newOrderRespType=ACK&price=");
    e->price_at = (uint32_t)(end - start) - 6;
    e->ahead_bytes = (uint32_t)(end - start) / 64 * 64;
    memcpy(e->ahead, e->fixed, sizeof e->ahead);
    ae_sha256_blocks(e->ahead, start + e->fixed_bytes, (e->ahead_bytes - e->fixed_bytes) / 64, e->simd);
}

/* Set up an encoder: API key (1 to 120 printable bytes without quote, backslash, & and =), secret (any bytes, used here
 * and not kept), window of validity in ms, and the epoch of its client ids. Memory as ae_encoder_bytes says; it is locked
 * and left out of core dumps where that is permitted (ae_encoder_locked). Any thread, once. 0, or AE_BAD. */
int ae_encoder_init(ae_encoder_t *e, const uint8_t *api_key, uint32_t key_bytes, const uint8_t *secret,
                    uint32_t secret_bytes, uint32_t recv_window_ms, uint64_t epoch)
{
    if (!key_bytes || key_bytes > KEY_MAX || !recv_window_ms || recv_window_ms > 60000)
        return AE_BAD;
    for (uint32_t i = 0; i < key_bytes; i++)
        if (api_key[i] <= ' ' || api_key[i] > '~' || strchr("\"\\&=", api_key[i]))
            return AE_BAD;
    memset(e, 0, sizeof *e);
    e->locked = mlock(e, sizeof *e) == 0 || mlock(e, offsetof(ae_encoder_t, slots)) == 0; /* at least what signs */
    (void)madvise(e, sizeof *e, MADV_DONTDUMP); /* refused when not page-aligned: then a core dump shows the states */
    if (getrandom(&e->draw, sizeof e->draw, 0) != sizeof e->draw)
        return AE_BAD;
    e->simd = ae_sha256_simd();
    e->with_key = 1;
    uint8_t *id = PUT((uint8_t *)e->id.text, "ae-");
    e->id.bytes = (uint32_t)(id - (uint8_t *)e->id.text);
    add_base36(e->id.text, &e->id.bytes, epoch);
    e->id.text[e->id.bytes++] = '-';
    e->id_fixed = e->id.bytes;
    e->id.text[e->id.bytes++] = '0';
    uint8_t *at = PUT((uint8_t *)e->start, "apiKey=");
    memcpy(at, api_key, key_bytes);
    at = PUT(at + key_bytes, "&newClientOrderId=");
    memcpy(at, e->id.text, e->id_fixed);
    e->start_bytes = (uint32_t)(at + e->id_fixed - (uint8_t *)e->start);
    add_piece(&e->key, api_key, key_bytes);
    char window[8];
    uint32_t digits = 0;
    for (uint32_t unit = 10000; unit; unit /= 10)
        if (digits || recv_window_ms >= unit)
            window[digits++] = (char)('0' + recv_window_ms / unit % 10);
    static const char before[] = "\",\"newOrderRespType\":\"ACK\",\"selfTradePreventionMode\":\"EXPIRE_MAKER\",\"recvWindow\":";
    add_piece(&e->settings, before, sizeof before - 1);
    add_piece(&e->settings, window, digits);
    add_piece(&e->settings, ",\"timestamp\":", 13);
    for (unsigned reduce = 0; reduce < 2; reduce++) {
        uint8_t *to = (uint8_t *)e->window[reduce].text, *end = PUT(to, "&recvWindow=");
        memcpy(end, window, digits);
        end += digits;
        if (reduce)
            end = PUT(end, "&reduceOnly=true");
        e->window[reduce].bytes = (uint32_t)(end - to);
    }
    ae_hmac_start(secret, secret_bytes, e->inner, e->outer, e->simd);
    memcpy(e->fixed, e->inner, sizeof e->fixed);
#ifndef AE_MUTANT_NOT_AHEAD
    e->fixed_bytes = e->start_bytes / 64 * 64;
#endif
    ae_sha256_blocks(e->fixed, (const uint8_t *)e->start, e->fixed_bytes / 64, e->simd);
    prepare(e);
    return 0;
}

/* Forget the key. */
void ae_encoder_wipe(ae_encoder_t *e)
{
    explicit_bzero(e, sizeof *e);
    (void)munlock(e, sizeof *e);
}

/* 1 when the memory, or at least its secret part, is locked, 0 when the limit of this process does not allow it. */
int ae_encoder_locked(const ae_encoder_t *e)
{
    return e->locked;
}

/* Prepare slot `slot` (the gate's own index): name of 1 to AE_SYMBOL_BYTES - 1 bytes UTF-8 without quote, backslash,
 * & and =, exponents of its price and quantity. 0, or AE_BAD and nothing is changed. */
int ae_encoder_slot(ae_encoder_t *e, uint32_t slot, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp)
{
    if (slot >= AE_SYMBOLS_MAX || !bytes || bytes >= AE_SYMBOL_BYTES || px_exp > AE_EXP_MAX || qty_exp > AE_EXP_MAX)
        return AE_BAD;
    for (uint32_t i = 0; i < bytes; i++)
        if (name[i] <= ' ' || strchr("\"\\&=", name[i]))
            return AE_BAD;
    for (unsigned buy = 0; buy < 2; buy++) {
        side_t *side = &e->sides[slot][buy];
        static const char symbol[] = "\",\"method\":\"order.place\",\"params\":{\"symbol\":\"";
        static const char policy[] = "&selfTradePreventionMode=EXPIRE_MAKER";
        memset(side, 0, sizeof *side);
        add_piece(&side->json, symbol, sizeof symbol - 1);
        add_piece(&side->json, name, bytes);
        add_piece(&side->json, "\",\"side\":\"", 10);
        add_piece(&side->json, buy ? "BUY" : "SELL", buy ? 3 : 4);
        add_piece(&side->json, "\",\"type\":\"", 10);
        add_piece(&side->payload, policy, sizeof policy - 1);
        add_piece(&side->payload, buy ? "&side=BUY" : "&side=SELL", buy ? 9 : 10);
        add_piece(&side->payload, "&symbol=", 8);
        add_piece(&side->payload, name, bytes);
    }
    e->slots[slot] = (slot_t){1, px_exp, qty_exp};
    return 0;
}

/* on: the connection is logged on, frames carry no key and no signature; off: each is signed. */
void ae_encoder_logon(ae_encoder_t *e, int on)
{
    e->with_key = !on;
    prepare(e);
}

/* Number of the next order's id, and the id itself: its bytes into out (room for 36), their count returned. */
uint64_t ae_encoder_seq(const ae_encoder_t *e)
{
    return e->seq;
}

int ae_encoder_id(const ae_encoder_t *e, char *out)
{
    memcpy(out, e->id.text, ID_MAX);
    return (int)e->id.bytes;
}

/* Go on to the next id, and hash what is known of its order. After the order is on the wire. */
void ae_encoder_next(ae_encoder_t *e)
{
    char *text = e->id.text;
    uint32_t at = e->id.bytes;
    e->seq++;
    while (at-- > e->id_fixed) {
        if (text[at] != 'z') {
            text[at] = text[at] == '9' ? 'a' : (char)(text[at] + 1);
            break;
        }
        text[at] = '0';
    }
    if (at < e->id_fixed) { /* all were z: one digit more */
        text[e->id_fixed] = '1';
        text[e->id.bytes++] = '0';
    }
    if (e->with_key)
        prepare(e);
}

/* Whether an intent can be written down at all: 0, or AE_BAD (slot unknown, side, type, time in force, a price where none
 * belongs or none where one does, a quantity of nothing). */
int ae_encoder_check(const ae_encoder_t *e, const ae_intent_t *intent)
{
    if (intent->symbol >= AE_SYMBOLS_MAX || !e->slots[intent->symbol].used || intent->qty <= 0)
        return AE_BAD;
    if (intent->side != 1 && intent->side != -1)
        return AE_BAD;
    if (intent->type == MARKET)
        return intent->px == 0 ? 0 : AE_BAD;
    return intent->type == LIMIT && intent->px > 0 && intent->tif >= 1 && intent->tif <= TIF_MAX ? 0 : AE_BAD;
}

/* Eight hex digits of each word of a signature. */
static inline void write_hex(uint8_t *out, const uint32_t *mac)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t x = __builtin_bswap32(mac[i]);
        x = (x & 0xffff) | (x & 0xffff0000) << 16;
        x = (x & 0x000000ff000000ff) | (x & 0x0000ff000000ff00) << 8;
        x = (x >> 4 & 0x000f000f000f000f) | (x & 0x000f000f000f000f) << 8;
        uint64_t letters = (x + 0x0606060606060606) >> 4 & 0x0101010101010101;
        x += 0x3030303030303030 + letters * ('a' - '0' - 10);
        memcpy(out + i * 8, &x, 8);
    }
}

/* XOR `bytes` with the mask, up to 31 bytes beyond. */
static inline void apply_mask(uint8_t *data, uint32_t bytes, uint32_t mask)
{
    typedef uint32_t four_t __attribute__((vector_size(16)));
    const four_t with = {mask, mask, mask, mask};
    for (uint32_t at = 0; at < bytes; at += 32) {
        four_t a, b;
        memcpy(&a, data + at, 16);
        memcpy(&b, data + at + 16, 16);
        a ^= with;
        b ^= with;
        memcpy(data + at, &a, 16);
        memcpy(data + at + 16, &b, 16);
    }
}

/* What an order consists of, for the two texts it is written into. px->bytes 0: MARKET. */
typedef struct {
    const side_t *side;
    word_t qty;
    word_t px;
    unsigned tif;
    unsigned reduce;
} order_t;

/* The signed text from its byte `from` on, which is hashed up to there. Returns its bytes. */
static inline uint32_t write_payload(const ae_encoder_t *e, const order_t *order, uint32_t from, uint8_t *text)
{
    uint32_t bytes = e->price_at - from + (order->px.bytes ? 6 : 0);
    copy(text, e->start + from, 4);
    if (bytes > 64)
        copy(text + 64, e->start + from + 64, 4);
    uint8_t *to = text + bytes;
    if (order->px.bytes)
        to = put_word(to, &order->px);
    to = order->px.bytes ? PUT(to, "&quantity=") : PUT(to, "quantity=");
    to = put_word(to, &order->qty);
    to = put_word(to, &e->window[order->reduce]);
    to = put_piece(to, &order->side->payload);
    to = put_word(to, &TYPE_PAYLOAD[order->tif]);
    to = put_word(to, &e->ms);
    to = order->px.bytes ? PUT(to, "&type=LIMIT") : PUT(to, "&type=MARKET");
    return (uint32_t)(to - text);
}

/* The message up to and with its timestamp. Returns its end. */
static inline uint8_t *write_message(const ae_encoder_t *e, const order_t *order, uint8_t *to)
{
    to = PUT(to, "{\"id\":\"");
    to = put_word(to, &e->id);
    to = put_piece(to, &order->side->json);
    to = put_word(to, &TYPE_JSON[order->tif]);
    to = put_word(to, &order->qty);
    if (order->px.bytes) {
        to = PUT(to, "\",\"price\":\"");
        to = put_word(to, &order->px);
    }
    to = put_word(to, &ID_JSON[order->reduce]);
    to = put_word(to, &e->id);
    to = put_piece(to, &e->settings);
    return put_word(to, &e->ms);
}

static inline uint32_t draw_mask(ae_encoder_t *e)
{
    e->draw += 0x9e3779b97f4a7c15; /* splitmix64 over a seed of the kernel's: enough for what hides nothing */
    uint64_t mix = (e->draw ^ e->draw >> 30) * 0xbf58476d1ce4e5b9;
    mix = (mix ^ mix >> 27) * 0x94d049bb133111eb;
    return (uint32_t)(mix ^ mix >> 31);
}

/* The frame of an intent that passed ae_encoder_check, under the next id (which ae_encoder_next then leaves), with venue
 * time now_ms > 0. out: AE_ORDER_FRAME_BYTES of the caller, all of them may be written. Returns the frame's bytes.
 * Thread: the encoder's one; allocates: no; work: two numbers, three or four blocks, one pass of the mask. The message is
 * written between payload and signature: meanwhile the payload's bytes settle, which the hash reads in other pieces. */
int ae_encoder_place(ae_encoder_t *e, const ae_intent_t *intent, int64_t now_ms, uint8_t *out)
{
    const slot_t *slot = &e->slots[intent->symbol];
    const uint32_t *state = intent->type == LIMIT ? e->ahead : e->fixed;
    uint32_t hashed = intent->type == LIMIT ? e->ahead_bytes : e->fixed_bytes;
    uint8_t text[PAYLOAD_MAX], *body = out + FRAME_HEAD;
    uint32_t bytes = 0, mask = draw_mask(e);
    order_t order;
    order.side = &e->sides[intent->symbol][intent->side > 0];
    order.tif = intent->type == LIMIT ? intent->tif : 0;
    order.reduce = intent->bits & 1;
    order.px.bytes = 0;
    write_number(&order.qty, (uint64_t)intent->qty, slot->qty_exp);
    write_time(&e->ms, &e->ms_since, (uint64_t)now_ms);
    if (intent->type == LIMIT)
        write_number(&order.px, (uint64_t)intent->px, slot->px_exp);
    if (e->with_key) {
        bytes = write_payload(e, &order, hashed, text);
    }
    uint8_t *to = write_message(e, &order, body);
    if (e->with_key) {
        uint32_t mac[8];
        to = PUT(to, ",\"apiKey\":\"");
        to = put_piece(to, &e->key);
        to = PUT(to, "\",\"signature\":\"");
        ae_hmac_finish(state, e->outer, text, bytes, 64 + hashed + bytes, mac, e->simd);
        write_hex(to, mac);
        to = PUT(to + 64, "\"}}");
    } else {
        to = PUT(to, "}}");
    }
    bytes = (uint32_t)(to - body);
    apply_mask(body, bytes, mask);
    out[0] = 0x81; /* FIN, text; an order is never shorter than 126 bytes */
    out[1] = 0x80 | 126;
    out[2] = (uint8_t)(bytes >> 8);
    out[3] = (uint8_t)bytes;
    memcpy(out + 4, &mask, 4);
    return (int)(FRAME_HEAD + bytes);
}

/* Walk the way of an order of this slot without giving one out: code, tables and states stay in the caches. `out` as
 * above; the same thread. */
void ae_encoder_warm(ae_encoder_t *e, uint32_t slot, int64_t now_ms, uint8_t *out)
{
    ae_intent_t intent = {.symbol = (uint16_t)slot, .side = 1, .type = LIMIT, .tif = 1, .px = 1, .qty = 1};
    if (ae_encoder_check(e, &intent) == 0) {
        (void)ae_encoder_place(e, &intent, now_ms, out);
        if (e->with_key)
            prepare(e);
    }
}
