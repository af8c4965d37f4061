/* The venue's side of the path bench: streams with marked ticks, order API, and the little REST a start needs.
 *
 * `peer CPU [CERT KEY]` prints its port and then obeys lines on standard input, one line of JSON each:
 *   ready N              {"stream", "api"}: what client N has open. A client is named by the first part of its paths, /cN.
 *   run N RATE MS EVERY ONE GRACE  ticks to client N at RATE a second for MS ms, each EVERYth marked; what became of
 *                        the marks. ONE 1: the next mark waits until the one before it was answered. GRACE: ms after
 *                        the last tick until which an order may come; the run ends as soon as all have.
 *   frames N             {"frames"}: ticks sent to its stream connection so far.
 *   sample N             hex of the last order's text, for whoever wants to check its signature.
 * Problem: tick to order must be measured where neither side can flatter itself. So the venue stamps both ends with one
 * clock: just before the send of a marked tick and just after the receive that brought its order.
 * What must stay true: a mark is told by its price, its number by its quantity, and an order names that quantity: so an
 * order that is missing, doubled or answers nothing is seen; every order is answered, so that books go on; all clients
 * get the same frames by the same calls.
 */
#include "wire.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#define CONNS 64
#define CLIENTS 8
#define ROOM 65536
#define MARKS_LOW 1000
#define MARKS_HIGH 10000
#define WARM_NS 250000000
#define LISTED 20000

enum role { FREE = 0, FRESH, STREAM, API, REST };

typedef struct conn {
    wire_t wire;
    enum role role;
    int client;
    int subscribed;
    size_t used;
    uint8_t in[ROOM];
} conn_t;

typedef struct client {
    conn_t *stream, *api;
    uint64_t u, trade, depth, frames; /* frames: ticks sent on the present stream connection */
    uint32_t mark;
    uint64_t marks, missed, doubled, stray, orders, rest_orders;
    int64_t warm_until;
    int64_t sent_ns[MARKS_HIGH];
    uint8_t state[MARKS_HIGH]; /* 0 free, 1 waits for its order, 2 answered */
    uint64_t listed;
    int64_t took_ns[LISTED];
    char sample[4096];
} client_t;

static conn_t conns[CONNS];
static client_t clients[CLIENTS];
static SSL_CTX *tls;
static int listener;
static uint64_t order_id = 8886774;

static const char INFO[] =
    "{\"timezone\":\"UTC\",\"serverTime\":1,\"futuresType\":\"U_MARGINED\",\"rateLimits\":[],\"exchangeFilters\":[],"
    "\"assets\":[{\"asset\":\"USDT\",\"marginAvailable\":true,\"autoAssetExchange\":\"-10000\"}],\"symbols\":[{"
    "\"symbol\":\"BTCUSDT\",\"pair\":\"BTCUSDT\",\"contractType\":\"PERPETUAL\",\"deliveryDate\":4133404800000,"
    "\"onboardDate\":1569398400000,\"status\":\"TRADING\",\"maintMarginPercent\":\"2.5000\","
    "\"requiredMarginPercent\":\"5.0000\",\"baseAsset\":\"BTC\",\"quoteAsset\":\"USDT\",\"marginAsset\":\"USDT\","
    "\"pricePrecision\":2,\"quantityPrecision\":3,\"baseAssetPrecision\":8,\"quotePrecision\":8,\"filters\":["
    "{\"filterType\":\"PRICE_FILTER\",\"minPrice\":\"261.10\",\"maxPrice\":\"809484\",\"tickSize\":\"0.10\"},"
    "{\"filterType\":\"LOT_SIZE\",\"minQty\":\"0.001\",\"maxQty\":\"1000\",\"stepSize\":\"0.001\"},"
    "{\"filterType\":\"MARKET_LOT_SIZE\",\"minQty\":\"0.001\",\"maxQty\":\"120\",\"stepSize\":\"0.001\"},"
    "{\"filterType\":\"MAX_NUM_ORDERS\",\"limit\":10000},{\"filterType\":\"MIN_NOTIONAL\",\"notional\":\"50\"},"
    "{\"filterType\":\"PERCENT_PRICE\",\"multiplierUp\":\"1.0500\",\"multiplierDown\":\"0.9500\","
    "\"multiplierDecimal\":\"4\"}],\"orderTypes\":[\"LIMIT\",\"MARKET\"],\"timeInForce\":[\"GTC\",\"IOC\",\"GTX\"]}]}";

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Let a connection go. */
static void drop(conn_t *c)
{
    client_t *k = &clients[c->client];
    if (k->stream == c)
        k->stream = NULL;
    if (k->api == c)
        k->api = NULL;
    if (c->wire.ssl)
        SSL_free(c->wire.ssl);
    close(c->wire.fd);
    memset(c, 0, offsetof(conn_t, in));
}

/* One unmasked frame; a client that is gone is dropped. */
static void send_frame(conn_t *c, int opcode, const char *text, size_t n)
{
    uint8_t out[ROOM];
    size_t head = frame_head(out, n, opcode, 0);
    memcpy(out + head, text, n);
    if (wire_send(&c->wire, out, head + n))
        drop(c);
}

/* ---- ticks */

/* Text of the next tick: 'b' best prices, 'm' the same marked, 't' trade, 'd' depth. */
static size_t tick_text(client_t *k, char kind, char *out, size_t room)
{
    long long ms = wall_ms();
    unsigned long long u = 429012276615ull + k->u++;
    int n;
    if (kind == 'm') {
        k->mark = k->mark + 1 < MARKS_HIGH && k->mark >= MARKS_LOW ? k->mark + 1 : MARKS_LOW;
        k->missed += k->state[k->mark] == 1; /* the number comes round and its order never came */
    }
    if (kind == 'b' || kind == 'm') {
        uint32_t lots = kind == 'm' ? k->mark : 5000 + (uint32_t)(u % 4000);
        n = snprintf(out, room, "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":%llu,\"s\":\"BTCUSDT\","
                     "\"ps\":\"BTCUSDT\",\"b\":\"76947.30\",\"B\":\"0.374\",\"a\":\"%s\",\"A\":\"%u.%03u\",\"T\":%lld,"
                     "\"E\":%lld,\"st\":1}}", u, kind == 'm' ? "76960.30" : "76968.30", lots / 1000, lots % 1000, ms, ms);
    } else if (kind == 't') {
        n = snprintf(out, room, "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":%lld,\"T\":%lld,\"s\":\"BTCUSDT\","
                     "\"t\":%llu,\"p\":\"76968.30\",\"q\":\"0.%03u\",\"X\":\"MARKET\",\"m\":%s}}", ms, ms,
                     7297376207ull + k->trade++, (uint32_t)(u % 999) + 1, u & 1 ? "true" : "false");
    } else {
        unsigned long long first = 529012275424ull + 2 * k->depth++;
        uint32_t q = (uint32_t)(u % 900) + 100;
        n = snprintf(out, room, "{\"stream\":\"btcusdt@depth@100ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":%lld,\"T\":%lld,"
                     "\"s\":\"BTCUSDT\",\"ps\":\"BTCUSDT\",\"U\":%llu,\"u\":%llu,\"pu\":%llu,\"b\":[[\"76947.30\",\"1.%03u\"],"
                     "[\"76946.10\",\"3.%03u\"]],\"a\":[[\"76968.30\",\"2.%03u\"],[\"76970.00\",\"4.%03u\"]],\"st\":1}}",
                     ms, ms, first, first + 1, first - 1, q, q, q, q);
    }
    return (size_t)n;
}

/* Send one tick; the stamp of a mark is taken between the last write to memory and the send. */
static void tick(client_t *k, char kind)
{
    char text[1024];
    uint8_t out[1100];
    if (!k->stream)
        return;
    size_t n = tick_text(k, kind, text, sizeof text), head = frame_head(out, n, 1, 0);
    memcpy(out + head, text, n);
    if (kind == 'm') {
        k->marks++;
        k->state[k->mark] = 1;
        k->sent_ns[k->mark] = now_ns();
    }
    k->frames++;
    if (wire_send(&k->stream->wire, out, head + n))
        drop(k->stream);
}

/* Ten ticks: six best prices, three trades, one depth. */
static char kind_of(uint64_t i)
{
    return "bbtbbtbdbt"[i % 10];
}

/* ---- orders */

/* Value of `"key":` as it stands in compact JSON, without quotes; 0 when absent. */
static int value_of(const char *text, size_t n, const char *key, char *to, size_t room)
{
    char name[40];
    int bytes = snprintf(name, sizeof name, "\"%s\":", key);
    const char *at = memmem(text, n, name, (size_t)bytes), *end = text + n;
    if (!at)
        return 0;
    at += bytes;
    int quoted = at < end && *at == '"';
    at += quoted;
    size_t i = 0;
    while (at < end && i + 1 < room && (quoted ? *at != '"' : *at != ',' && *at != '}'))
        to[i++] = *at++;
    to[i] = 0;
    return 1 + quoted;
}

/* Thousandths of a decimal text. */
static uint32_t lots_of(const char *text)
{
    uint32_t lots = (uint32_t)strtoul(text, NULL, 10) * 1000, unit = 100;
    const char *dot = strchr(text, '.');
    for (; dot && dot[1] >= '0' && dot[1] <= '9' && unit; dot++, unit /= 10)
        lots += (uint32_t)(dot[1] - '0') * unit;
    return lots;
}

/* An order that arrived at `at_ns`: whose mark is it? */
static void judge(client_t *k, const char *text, size_t n, const char *qty, int64_t at_ns)
{
    uint32_t lots = lots_of(qty);
    char price[24] = "", symbol[24] = "";
    value_of(text, n, "price", price, sizeof price);
    value_of(text, n, "symbol", symbol, sizeof symbol);
    k->orders++;
    if (lots < MARKS_LOW || lots >= MARKS_HIGH || !k->state[lots] || strcmp(symbol, "BTCUSDT") ||
        strncmp(price, "76960.3", 7)) {
        k->stray++;
    } else if (k->state[lots] == 2) {
        k->doubled++;
    } else {
        k->state[lots] = 2;
        if (k->sent_ns[lots] >= k->warm_until && k->listed < LISTED)
            k->took_ns[k->listed++] = at_ns - k->sent_ns[lots];
    }
    n = n < sizeof k->sample ? n : 0;
    memcpy(k->sample, text, n);
    k->sample[n < sizeof k->sample ? n : 0] = 0;
}

/* One message on an order connection: an order is judged and answered as expired unfilled, the rest is agreed to. */
static void on_api(conn_t *c, const char *text, size_t n, int64_t at_ns)
{
    char id[64] = "1", method[40] = "", qty[24] = "0", name[40] = "", out[1024];
    int quoted = value_of(text, n, "id", id, sizeof id) == 2;
    const char *q = quoted ? "\"" : "";
    int bytes;
    value_of(text, n, "method", method, sizeof method);
    if (!strcmp(method, "order.place")) {
        value_of(text, n, "quantity", qty, sizeof qty);
        judge(&clients[c->client], text, n, qty, at_ns);
        value_of(text, n, "newClientOrderId", name, sizeof name);
        bytes = snprintf(out, sizeof out, "{\"id\":%s%s%s,\"status\":200,\"result\":{\"orderId\":%llu,\"symbol\":\"BTCUSDT\","
                         "\"status\":\"EXPIRED\",\"clientOrderId\":\"%s\",\"price\":\"76960.30\",\"origQty\":\"%s\","
                         "\"executedQty\":\"0.000\",\"cumQty\":\"0.000\",\"cumQuote\":\"0.00000\",\"timeInForce\":\"IOC\","
                         "\"type\":\"LIMIT\",\"reduceOnly\":false,\"closePosition\":false,\"side\":\"BUY\",\"positionSide\":"
                         "\"BOTH\",\"stopPrice\":\"0.00\",\"workingType\":\"CONTRACT_PRICE\",\"priceProtect\":false,"
                         "\"origType\":\"LIMIT\",\"priceMatch\":\"NONE\",\"selfTradePreventionMode\":\"EXPIRE_MAKER\","
                         "\"goodTillDate\":0,\"updateTime\":%lld},\"rateLimits\":[]}",
                         q, id, q, (unsigned long long)order_id++, name, qty, (long long)wall_ms());
    } else {
        bytes = snprintf(out, sizeof out, "{\"id\":%s%s%s,\"status\":200,\"result\":{\"serverTime\":%lld}}", q, id, q,
                         (long long)wall_ms());
    }
    send_frame(c, 1, out, (size_t)bytes);
}

static void on_stream(conn_t *c, const char *text, size_t n)
{
    char id[32] = "1", out[96];
    value_of(text, n, "id", id, sizeof id);
    int bytes = snprintf(out, sizeof out, "{\"result\":null,\"id\":%s}", id);
    send_frame(c, 1, out, (size_t)bytes);
    if (c->role == FREE)
        return;
    if (clients[c->client].stream != c)
        clients[c->client].frames = 0;
    clients[c->client].stream = c;
    c->subscribed = 1;
    for (const char *kind = "bdtbdt"; *kind && c->role != FREE; kind++)
        tick(&clients[c->client], *kind);
}

/* ---- HTTP */

static void on_rest(conn_t *c, const char *head)
{
    char out[4096], body[2048] = "[]";
    const char *text = body;
    int status = 200;
    client_t *k = &clients[c->client];
    if (strstr(head, "/exchangeInfo")) {
        text = INFO;
    } else if (strstr(head, "/time")) {
        snprintf(body, sizeof body, "{\"serverTime\":%lld}", (long long)wall_ms());
    } else if (strstr(head, "/depth")) {
        snprintf(body, sizeof body, "{\"lastUpdateId\":%llu,\"E\":1,\"T\":1,\"bids\":[[\"76947.30\",\"1.000\"],"
                 "[\"76946.10\",\"3.000\"]],\"asks\":[[\"76968.30\",\"2.000\"],[\"76970.00\",\"4.000\"]]}",
                 529012275424ull + 2 * k->depth - 1);
    } else if (strstr(head, "/fapi/v1/order?")) {
        k->rest_orders += !strncmp(head, "POST", 4);
        status = 400;
        snprintf(body, sizeof body, "{\"code\":-2013,\"msg\":\"Order does not exist.\"}");
    } else if (strstr(head, "/allOpenOrders")) {
        snprintf(body, sizeof body, "{\"code\":200,\"msg\":\"done\"}");
    }
    int n = snprintf(out, sizeof out, "HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     status, strlen(text), text);
    if (wire_send(&c->wire, (uint8_t *)out, (size_t)n))
        drop(c);
}

/* Answer a WebSocket handshake. */
static void upgrade(conn_t *c, const char *head)
{
    const char *key = strcasestr(head, "sec-websocket-key:");
    char joined[128], out[256];
    uint8_t digest[SHA_DIGEST_LENGTH], encoded[64];
    if (!key || sscanf(key + 18, " %40[^\r\n ]", joined) != 1) {
        drop(c);
        return;
    }
    strcat(joined, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    SHA1((uint8_t *)joined, strlen(joined), digest);
    EVP_EncodeBlock(encoded, digest, sizeof digest);
    int n = snprintf(out, sizeof out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %s\r\n\r\n", encoded);
    c->role = strstr(head, "/ws-api") ? API : STREAM;
    if (wire_send(&c->wire, (uint8_t *)out, (size_t)n)) {
        drop(c);
        return;
    }
    if (c->role == API)
        clients[c->client].api = c;
}

/* One request from `in`; 0 when its head is not whole yet. */
static int on_http(conn_t *c)
{
    uint8_t *end = memmem(c->in, c->used, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t n = (size_t)(end - c->in) + 4;
    char head[4096];
    snprintf(head, sizeof head, "%.*s", (int)n, (char *)c->in);
    const char *path = strchr(head, '/');
    c->client = path && path[1] == 'c' && path[2] >= '0' && path[2] < '0' + CLIENTS ? path[2] - '0' : 0;
    memmove(c->in, c->in + n, c->used - n);
    c->used -= n;
    if (strcasestr(head, "upgrade: websocket"))
        upgrade(c, head);
    else
        on_rest(c, head);
    return 1;
}

/* ---- connections */

static void on_frame(conn_t *c, int opcode, uint8_t *payload, size_t size, int64_t at_ns)
{
    if (opcode == 8) {
        send_frame(c, 8, (char *)payload, size);
        if (c->role != FREE)
            drop(c);
    } else if (opcode == 9) {
        send_frame(c, 10, (char *)payload, size);
    } else if (opcode == 1 && c->role == API) {
        on_api(c, (char *)payload, size, at_ns);
    } else if (opcode == 1) {
        on_stream(c, (char *)payload, size);
    }
}

/* Read what is there and act on it. 1 when something came. */
static int service(conn_t *c)
{
    int got = wire_recv(&c->wire, c->in + c->used, ROOM - c->used);
    int64_t at_ns = now_ns();
    if (got <= 0) {
        if (got < 0)
            drop(c);
        return 0;
    }
    c->used += (size_t)got;
    while (c->role == FRESH && on_http(c))
        ;
    size_t at = 0, took, size = 0;
    int opcode;
    uint8_t *payload;
    while ((c->role == STREAM || c->role == API) &&
           (took = frame_next(c->in + at, c->used - at, &opcode, &payload, &size))) {
        at += took;
        on_frame(c, opcode, payload, size, at_ns);
    }
    if (c->role == FREE)
        return 1;
    memmove(c->in, c->in + at, c->used - at);
    c->used -= at;
    return 1;
}

static void welcome(void)
{
    int fd = accept(listener, NULL, NULL), one = 1;
    conn_t *c = conns;
    while (c < conns + CONNS && c->role != FREE)
        c++;
    if (fd < 0)
        return;
    if (c == conns + CONNS) {
        close(fd);
        return;
    }
    c->wire = (wire_t){fd, NULL};
    c->role = FRESH;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls) {
        struct timeval limit = {2, 0};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        c->wire.ssl = SSL_new(tls);
        SSL_set_fd(c->wire.ssl, fd);
        if (SSL_accept(c->wire.ssl) != 1) {
            ERR_print_errors_fp(stderr);
            drop(c);
            return;
        }
    }
    set_blocking(fd, 0);
}

/* ---- commands */

static uint64_t waiting(const client_t *k)
{
    uint64_t n = 0;
    for (uint32_t i = MARKS_LOW; i < MARKS_HIGH; i++)
        n += k->state[i] == 1;
    return n;
}

/* Ticks at a rate; a schedule that fell 1 ms behind (this side stalled) goes on from now instead of bursting. */
static void run(client_t *k, uint64_t rate, int64_t ms, uint64_t every, int one, int64_t grace_ms)
{
    int64_t began = now_ns(), end = began + ms * 1000000, step = 1000000000 / (int64_t)rate, next = began, late = 0;
    uint64_t sent = 0, turn = 0, since = 0;
    k->marks = k->missed = k->doubled = k->stray = k->orders = k->rest_orders = k->listed = 0;
    memset(k->state, 0, sizeof k->state);
    k->warm_until = began + WARM_NS;
    for (int64_t now = began; now < end; now = now_ns()) {
        if (k->api)
            service(k->api);
        if (now >= next) {
            late = now - next > late ? now - next : late;
            int due = ++since >= every && !(one && k->mark && k->state[k->mark] == 1);
            tick(k, due ? 'm' : kind_of(sent));
            since = due ? 0 : since;
            sent++;
            next = now - next > 1000000 ? now + step : next + step;
        }
        conn_t *other = &conns[++turn / 16 % CONNS]; /* pings and requests of the rest, now and then */
        if (turn % 16 == 0 && other->role != FREE)
            service(other);
    }
    int64_t took = now_ns() - began, grace = now_ns() + grace_ms * 1000000;
    while (waiting(k) && now_ns() < grace) {
        welcome();
        for (conn_t *c = conns; c < conns + CONNS; c++)
            if (c->role != FREE)
                service(c);
    }
    k->missed += waiting(k);
    printf("{\"sent\":%llu,\"took_ns\":%lld,\"late_ns\":%lld,\"marks\":%llu,\"orders\":%llu,\"missed\":%llu,\"doubled\":%llu,"
           "\"stray\":%llu,\"rest_orders\":%llu,\"ns\":[", (unsigned long long)sent, (long long)took, (long long)late,
           (unsigned long long)k->marks, (unsigned long long)k->orders, (unsigned long long)k->missed,
           (unsigned long long)k->doubled, (unsigned long long)k->stray, (unsigned long long)k->rest_orders);
    for (uint64_t i = 0; i < k->listed; i++)
        printf("%s%lld", i ? "," : "", (long long)k->took_ns[i]);
    printf("]}\n");
}

static void obey(char *line)
{
    unsigned n = 0, every = 1, one = 0;
    unsigned long long rate = 1;
    long long ms = 0, grace = 0;
    if (sscanf(line, "run %u %llu %lld %u %u %lld", &n, &rate, &ms, &every, &one, &grace) == 6 && n < CLIENTS && rate &&
        every) {
        run(&clients[n], rate, ms, every, one != 0, grace);
    } else if (sscanf(line, "ready %u", &n) == 1 && n < CLIENTS) {
        printf("{\"stream\":%s,\"api\":%s}\n", clients[n].stream ? "true" : "false", clients[n].api ? "true" : "false");
    } else if (sscanf(line, "frames %u", &n) == 1 && n < CLIENTS) {
        printf("{\"frames\":%llu}\n", (unsigned long long)clients[n].frames);
    } else if (sscanf(line, "sample %u", &n) == 1 && n < CLIENTS) {
        for (const char *at = clients[n].sample; *at; at++)
            printf("%02x", (unsigned)(uint8_t)*at);
        printf("\n");
    } else {
        printf("{\"error\":\"unknown command\"}\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    socklen_t bytes = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pin(argc > 1 ? atoi(argv[1]) : -1);
    if (argc > 3) {
        tls = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256");
        if (SSL_CTX_use_certificate_chain_file(tls, argv[2]) != 1 ||
            SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1)
            die("certificate");
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&here, &bytes))
        die("listen");
    set_blocking(listener, 0);
    printf("{\"port\":%d}\n", ntohs(here.sin_port));
    fflush(stdout);
    char line[256];
    size_t used = 0;
    int64_t next_ns = 0;
    for (;;) {
        struct pollfd wait[CONNS + 2] = {{0, POLLIN, 0}, {listener, POLLIN, 0}};
        nfds_t n = 2;
        for (conn_t *c = conns; c < conns + CONNS; c++)
            if (c->role != FREE)
                wait[n++] = (struct pollfd){c->wire.fd, POLLIN, 0};
        poll(wait, n, 100);
        if (wait[1].revents)
            welcome();
        for (conn_t *c = conns; c < conns + CONNS; c++)
            while (c->role != FREE && service(c))
                ;
        if (now_ns() > next_ns) { /* between runs a trickle, so that books and quotes stay alive */
            next_ns = now_ns() + 200000000;
            for (client_t *k = clients; k < clients + CLIENTS; k++)
                for (const char *kind = "bdt"; *kind; kind++)
                    tick(k, *kind);
        }
        if (!wait[0].revents)
            continue;
        ssize_t got = read(0, line + used, sizeof line - 1 - used);
        if (got <= 0)
            return 0;
        used += (size_t)got;
        line[used] = 0;
        char *end = strchr(line, '\n');
        if (end) {
            obey(line);
            used = 0;
        }
    }
}
