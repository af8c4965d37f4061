/* What C and Python of one process say to each other: structs that never leave it, and every prototype. Read after
 * aegis_abi.h by the compiler (through ae_internal.h) and by cffi, under the same law: integer defines, enums, plain
 * structs and prototypes only. Results: >= 0 count, AE_BAD, AE_MORE, AE_END. No function allocates, save where
 * its comment says so (opening a TLS connection). */

/* Columns of features.c, by index; AE_FEATURES_VERSION rises when one changes its meaning. Signals, never money:
 * middle, micro_price in quote money; lean, flow_*, trade_flow_* from -1 (sellers) to 1; spread_bps in 1/10000 of the
 * middle; traded_1s in base units a second; volatility_*: of the middle's relative change, per square root of a second. */
enum ae_feature {
    AE_FEATURE_MIDDLE = 0, AE_FEATURE_MICRO_PRICE = 1, AE_FEATURE_LEAN = 2, AE_FEATURE_SPREAD_BPS = 3,
    AE_FEATURE_FLOW_100MS = 4, AE_FEATURE_FLOW_1S = 5, AE_FEATURE_FLOW_10S = 6, AE_FEATURE_TRADE_FLOW_100MS = 7,
    AE_FEATURE_TRADE_FLOW_1S = 8, AE_FEATURE_TRADE_FLOW_10S = 9, AE_FEATURE_TRADED_1S = 10,
    AE_FEATURE_VOLATILITY_1S = 11, AE_FEATURE_VOLATILITY_10S = 12
};

/* One symbol's features: the columns, the newest quote as exact integers (recv time 0: none yet), the sums behind. */
typedef struct ae_feature_row {
    double value[13];
    int64_t quoted_ns;
    int64_t traded_ns;
    uint64_t quotes;
    uint64_t trades;
    int64_t bid;
    int64_t bid_qty;
    int64_t ask;
    int64_t ask_qty;
    uint8_t px_exp;
    uint8_t qty_exp;
    uint8_t single_trades;
    uint8_t reserved[5];
    uint64_t batch;
    double bid_last;
    double ask_last;
    double bid_qty_last;
    double ask_qty_last;
    double flow_sum[3];
    double flow_size[3];
    double trade_sum[3];
    double trade_size[3];
    double square_sum[2];
    uint8_t reserved_end[56];
} ae_feature_row_t;

/* Memory of the reader that folds; symbols are the market ring's indices. */
typedef struct ae_features {
    uint64_t batch;
    uint32_t changed_count;
    uint32_t reserved;
    uint16_t changed[1024];
    double changed_value[13312];
    ae_feature_row_t row[1024];
} ae_features_t;

/* How far the bytes of a placed order came. UNSENT: certainly not one of them left. PART: taken, the rest waits for
 * ae_conn_flush. */
enum ae_sent { AE_UNSENT = 0, AE_SENT = 1, AE_SENT_PART = 2 };

/* What became of an armed trigger. FIRED: its order was placed, or refused by the gate (then refusal says why). */
enum ae_ended {
    AE_ENDED_NOT = 0, AE_ENDED_FIRED = 1, AE_ENDED_EXPIRED = 2, AE_ENDED_HALTED = 3, AE_ENDED_UNTRUSTED = 4,
    AE_ENDED_ASKED = 5
};

/* An order once: when the best bid (side 1) or ask (side -1) of symbol `market` of the market ring is at or below px
 * (above 0) or at or above it (above 1), before until_ns (wall). px: at the exponent of the intent's slot. */
typedef struct ae_trigger {
    int64_t px;
    int64_t until_ns;
    uint16_t market;
    int8_t side;
    uint8_t above;
    uint8_t reserved[4];
    ae_intent_t intent;
} ae_trigger_t;

/* What became of an intent. seq: number in its client id; accepted: the gate's count with it; record: its INTENT on the
 * orders ring; 0 when refused. recv_ns: the tick that fired it, trigger: its handle, -1 and 0 without one. */
typedef struct ae_placed {
    uint64_t seq;
    uint64_t accepted;
    uint64_t record;
    int64_t now_ns;
    int64_t gated_ns;
    int64_t written_ns;
    int64_t recv_ns;
    int32_t trigger;
    int32_t refusal;
    int32_t sent;
    int32_t ended;
    ae_intent_t intent;
    char id[40];
} ae_placed_t;

typedef struct ae_encoder ae_encoder_t;
typedef struct ae_desk ae_desk_t;

/* What only a restart raises; money in units of 10**-AE_MONEY_EXP of the quote asset. Read-only once sealed. */
typedef struct ae_caps {
    int64_t order_notional;
    int64_t position_notional;
    int64_t total_notional;
    int64_t loss_limit;
    uint32_t orders_per_s;
    uint32_t open_orders;
    uint32_t collar_bps;
    uint32_t reserved;
} ae_caps_t;

/* The venue's filters of one slot. tick, px_min, px_max at px_exp; lots and quantities at qty_exp; 0 = no bound. */
typedef struct ae_gate_rules {
    int64_t tick;
    int64_t px_min;
    int64_t px_max;
    int64_t lot;
    int64_t qty_min;
    int64_t qty_max;
    int64_t market_lot;
    int64_t market_qty_min;
    int64_t market_qty_max;
    int64_t min_notional;
    int64_t multiplier_up;
    int64_t multiplier_down;
    uint8_t px_exp;
    uint8_t qty_exp;
    uint8_t min_notional_exp;
    uint8_t multiplier_exp;
    uint8_t trading;
    uint8_t reserved[3];
} ae_gate_rules_t;

/* What is held and may still fill on one slot, at its qty_exp. low, high: the position rounded down and up (equal but
 * for dust); buy, sell: unfilled quantity of all unfinished orders, rounded up, UNKNOWN in full; their reduce-only
 * parts. px: a price to value it by while the market showed none (0 none). blocked: AE_GATE_HALTED the symbol is
 * halted, AE_GATE_UNRECONCILED it is not reconciled. */
typedef struct ae_gate_exposure {
    int64_t low;
    int64_t high;
    int64_t buy;
    int64_t sell;
    int64_t buy_reduce;
    int64_t sell_reduce;
    int64_t px;
    uint32_t blocked;
    uint32_t reserved;
} ae_gate_exposure_t;

/* The account now. pnl: rounded down; foreign: worst-case notional of what has no slot, rounded up. */
typedef struct ae_gate_account {
    int64_t pnl;
    int64_t foreign;
    int64_t reconciled_until_ns;
    int64_t paused_until_ns;
    uint32_t open_orders;
    uint32_t halted;
} ae_gate_account_t;

/* Best prices of a slot, at its px_exp. */
typedef struct ae_gate_quote {
    int64_t bid;
    int64_t ask;
    int64_t recv_ns;
} ae_gate_quote_t;

typedef struct ae_gate ae_gate_t;

typedef struct ae_tls ae_tls_t;
typedef struct ae_conn ae_conn_t;

typedef struct ae_loop ae_loop_t;

/* One connection of a loop. The loop's lock guards it; bytes_in may be looked at any time. over: CLOSED was said or is
 * stuck; stuck: the event that found no room; starved: waits for room; watched: what epoll is asked for. */
typedef struct ae_link {
    ae_pump_t pump;
    ae_conn_t *conn;
    uint64_t bytes_in;
    int64_t heard_ns;
    uint32_t id;
    uint32_t slot;
    uint32_t watched;
    uint8_t mode;
    uint8_t tap;
    uint8_t tap_cut;
    uint8_t over;
    uint8_t stuck;
    uint8_t starved;
    uint8_t again;
    uint8_t reserved[5];
} ae_link_t;

/* What a loop tells its owner; `bytes` of it follow, padded to 8. cut: taps before this one were dropped. reason: of a
 * CLOSED, the enum ae_ws_reason when the peer broke the protocol; else the bytes are the connection's error line. */
typedef struct ae_event {
    int64_t recv_ns;
    uint32_t link;
    uint32_t bytes;
    uint16_t reason;
    uint8_t kind;
    uint8_t cut;
    uint8_t reserved[4];
} ae_event_t;

/* One thread's waiting: on rings, each with the reader's cursor, and on one epoll descriptor. Owner: that thread, but
 * for `word`, which its helper thread moves. */
typedef struct ae_wait {
    const ae_ring_t *rings[4];
    const ae_cursor_t *cursors[4];
    int64_t spin_ns;
    int64_t looked_ns;
    uint64_t helper;
    uint32_t how;
    uint32_t single;
    uint32_t seen;
    uint32_t hot;
    int32_t fd;
    int32_t outer;
    int32_t stop;
    uint8_t reserved0[12];
    uint32_t word;
    uint32_t asleep;
    uint8_t reserved1[56];
} ae_wait_t;

/* What one reader of the market ring remembers between batches. books: page whose symbols with a book may lose depth
 * runs; last: 1 + place in the batch of the newest record (or head of a run) of what conflates, by kind and symbol. */
typedef struct ae_take {
    const ae_books_header_t *books;
    uint64_t next;
    uint64_t conflated;
    uint64_t cut;
    uint32_t run;
    uint32_t lagging;
    uint32_t last[4][1024];
} ae_take_t;

/* What a turn of the brain found (enum ae_turn_found, as bits). */
enum ae_turn_found {
    AE_TURN_MARKET = 1, AE_TURN_ACCOUNT = 2, AE_TURN_OTHERS = 16, AE_TURN_LOOK = 32, AE_TURN_TIMER = 64,
    AE_TURN_IDLE = 128, AE_TURN_ANEW = 256, AE_TURN_ENDED = 512,
    AE_TURN_DUE = 1024
};

/* The brain's turn: what it reads, what it folds into, when it last looked. NULL: not there (yet). Owner: the thread
 * that turns. now_ns is the wall clock when the batch was taken, mono_ns the monotonic one; lag: more records behind,
 * and a batch is conflated (0 never); warm_slot: whose way of an order is kept in the caches. */
typedef struct ae_turn {
    ae_wait_t *wait;
    ae_features_t *features;
    ae_hist_block_t *hist;
    ae_control_block_t *block;
    ae_gate_t *gate;
    ae_desk_t *desk;
    int64_t now_ns;
    int64_t mono_ns;
    int64_t looked_ns;
    int64_t timed_ns;
    int64_t timer_ns;
    int64_t budget_ns;
    int64_t worst_ns;
    uint64_t over_budget;
    uint64_t turns;
    uint64_t records;
    uint64_t conflated;
    uint64_t lag;
    uint64_t epoch;
    uint32_t count;
    uint32_t undecided;
    uint32_t warm_slot;
    uint32_t reserved;
    const ae_ring_t *market;
    ae_cursor_t *taken;
    ae_take_t take;
    ae_tick_t batch[4096];
} ae_turn_t;

/* ring.c */
uint64_t ae_ring_bytes(uint64_t capacity, uint32_t slot_bytes);
int ae_ring_check(const void *base, uint64_t bytes, uint64_t capacity, uint32_t slot_bytes, const char *name);
void ae_ring_init(void *base, uint64_t capacity, uint32_t slot_bytes, const char *name);
void ae_ring_attach(ae_ring_t *ring, void *base);
void ae_ring_take(ae_ring_t *ring, void *base, uint64_t pid);
uint64_t ae_ring_publish(ae_ring_t *ring, const void *records, uint32_t count);
void ae_ring_wake(ae_ring_t *ring);
uint32_t ae_ring_sleepy(const ae_ring_t *ring);
uint64_t ae_ring_newest(const ae_ring_t *ring);
uint64_t ae_ring_oldest(const ae_ring_t *ring);
int ae_ring_read(const ae_ring_t *ring, ae_cursor_t *cursor, void *out, uint32_t max);
int ae_ring_wait(const ae_ring_t *ring, const ae_cursor_t *cursor, int64_t timeout_ns);

/* take.c */
void ae_take_init(ae_take_t *take, const void *books_page);
int ae_take(ae_take_t *take, const ae_ring_t *ring, ae_cursor_t *cursor, ae_tick_t *out, uint32_t room, uint64_t lag);

/* wait.c */
void ae_wait_init(ae_wait_t *wait, uint32_t how, int64_t spin_ns);
int ae_wait_watch(ae_wait_t *wait, int fd);
void ae_wait_ring(ae_wait_t *wait, uint32_t at, const ae_ring_t *ring, const ae_cursor_t *cursor);
int ae_wait_any(ae_wait_t *wait, int64_t timeout_ns);
void ae_wait_close(ae_wait_t *wait);

/* hist.c */
int64_t ae_hist_now(void);
void ae_hist_add(ae_hist_block_t *block, uint32_t hop, int64_t ns);
void ae_hist_begin(ae_hist_block_t *block, uint64_t pid, int64_t now_ns);
void ae_hist_copy(const ae_hist_block_t *block, uint32_t hop, ae_hist_t *out);
int64_t ae_hist_edge(uint32_t cell);

/* frame.c */
int ae_ws_parse(const uint8_t *data, uint32_t bytes, uint32_t payload_max, ae_ws_frame_t *frame, uint32_t *reason);

/* tick.c */
int ae_symtab_add(ae_symtab_t *tab, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp);
int ae_symtab_find(const ae_symtab_t *tab, const uint8_t *name, uint32_t bytes);
int ae_tick_parse(const uint8_t *data, uint32_t bytes, const ae_symtab_t *tab, ae_predict_t *predict, ae_tick_t *out,
                  uint32_t out_max, ae_parsed_t *parsed);

/* predict.c */
uint64_t ae_predict_bytes(void);
const char *ae_predict_init(ae_predict_t *predict, uint32_t digits);
uint64_t ae_predict_hits(const ae_predict_t *predict);

/* book.c */
void ae_book_reset(ae_book_t *book);
int ae_book_apply(ae_book_t *book, const ae_tick_t *run, uint32_t count, uint8_t px_exp, uint8_t qty_exp);
int ae_book_snapshot(ae_book_t *book, int64_t last_id, const ae_level_t *bids, uint32_t bid_count,
                     const ae_level_t *asks, uint32_t ask_count);
void ae_book_publish(const ae_book_t *book, ae_book_entry_t *entry, int64_t recv_ns);
int ae_book_read(const ae_book_entry_t *entry, ae_book_entry_t *out);

/* turn.c */
void ae_turn_init(ae_turn_t *turn, ae_wait_t *wait, ae_features_t *features, int64_t timer_ns, int64_t budget_ns);
void ae_turn_market(ae_turn_t *turn, const ae_ring_t *ring, ae_cursor_t *cursor, const void *books_page);
int ae_turn_step(ae_turn_t *turn, int64_t until_ns);
int64_t ae_turn_decided(ae_turn_t *turn);
int ae_memory_lock(void);

/* features.c */
void ae_features_reset(ae_features_t *features);
int ae_features_fold(ae_features_t *features, const ae_tick_t *ticks, uint32_t count);

/* pump.c */
uint64_t ae_market_bytes(void);
void ae_market_init(ae_market_t *market, ae_ring_t *ring, void *books_page);
int ae_market_append(ae_market_t *market, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp,
                     ae_book_t *book);
int ae_market_snapshot(ae_market_t *market, uint32_t symbol, int64_t last_id, const ae_level_t *bids,
                       uint32_t bid_count, const ae_level_t *asks, uint32_t ask_count, int64_t recv_ns);
void ae_market_reset(ae_market_t *market, uint32_t symbol, uint32_t kind, int64_t recv_ns);
int ae_market_publish(ae_market_t *market, const ae_tick_t *records, uint32_t count);
void ae_market_measure(ae_market_t *market, ae_hist_block_t *hist);
int ae_market_fill(ae_market_t *market, ae_tick_t *records, uint32_t count);
ae_cell_t *ae_market_cells(ae_market_t *market);
uint64_t *ae_market_counters(ae_market_t *market);
ae_symtab_t *ae_market_symbols(ae_market_t *market);
void ae_pump_init(ae_pump_t *pump, uint8_t *data, uint8_t *joined, uint32_t capacity, ae_market_t *market);
uint32_t ae_pump_room(ae_pump_t *pump);
int ae_pump_step(ae_pump_t *pump, uint32_t bytes, int64_t recv_ns);

/* sha256.c */
int ae_sha256_simd(void);
void ae_sha256_start(uint32_t *state);
void ae_sha256_blocks(uint32_t *state, const uint8_t *data, uint32_t blocks, int simd);
void ae_sha256_digest(const uint32_t *state, uint8_t *out);
uint32_t ae_sha256_finish(uint32_t *state, uint8_t *text, uint32_t bytes, uint64_t total, int simd);
void ae_hmac_finish(const uint32_t *inner, const uint32_t *outer, uint8_t *text, uint32_t bytes, uint64_t total,
                    uint32_t *mac, int simd);
void ae_hmac_start(const uint8_t *key, uint32_t bytes, uint32_t *inner, uint32_t *outer, int simd);

/* order.c */
uint64_t ae_encoder_bytes(void);
int ae_encoder_init(ae_encoder_t *e, const uint8_t *api_key, uint32_t key_bytes, const uint8_t *secret,
                    uint32_t secret_bytes, uint32_t recv_window_ms, uint64_t epoch);
void ae_encoder_wipe(ae_encoder_t *e);
int ae_encoder_locked(const ae_encoder_t *e);
int ae_encoder_slot(ae_encoder_t *e, uint32_t slot, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp);
void ae_encoder_logon(ae_encoder_t *e, int on);
uint64_t ae_encoder_seq(const ae_encoder_t *e);
int ae_encoder_id(const ae_encoder_t *e, char *out);
void ae_encoder_next(ae_encoder_t *e);
int ae_encoder_check(const ae_encoder_t *e, const ae_intent_t *intent);
int ae_encoder_place(ae_encoder_t *e, const ae_intent_t *intent, int64_t now_ms, uint8_t *out);
void ae_encoder_warm(ae_encoder_t *e, uint32_t slot, int64_t now_ms, uint8_t *out);

/* gate.c */
uint64_t ae_gate_bytes(void);
int ae_gate_init(ae_gate_t *gate, const ae_caps_t *caps);
int ae_gate_slot(ae_gate_t *gate, const ae_gate_rules_t *rules);
int ae_gate_seal(ae_gate_t *gate, int forever);
const ae_caps_t *ae_gate_caps(const ae_gate_t *gate);
void ae_gate_control(ae_gate_t *gate, const void *control_page);
void ae_gate_books(ae_gate_t *gate, const void *books_page);
int ae_gate_map(ae_gate_t *gate, uint32_t market, uint32_t slot);
void ae_gate_forget(ae_gate_t *gate);
void ae_gate_ticks(ae_gate_t *gate, const ae_tick_t *ticks, uint32_t count);
void ae_gate_look(ae_gate_t *gate);
int ae_gate_exposure(ae_gate_t *gate, uint32_t slot, const ae_gate_exposure_t *exposure);
void ae_gate_account(ae_gate_t *gate, const ae_gate_account_t *account);
uint64_t ae_gate_accepted(const ae_gate_t *gate);
void ae_gate_seen(ae_gate_t *gate, uint64_t accepted);
int ae_gate_halted(const ae_gate_t *gate);
int ae_gate_quote(const ae_gate_t *gate, uint32_t slot, int64_t now_ns, ae_gate_quote_t *quote);
int ae_gate_check(ae_gate_t *gate, const ae_intent_t *intent, int64_t now_ns);
/* loop.c */
uint64_t ae_loop_bytes(void);
int ae_loop_init(ae_loop_t *loop, ae_market_t *market, uint8_t *queue, uint64_t half_bytes);
int ae_loop_start(ae_loop_t *loop, uint32_t wait, int cpu);
void ae_loop_stop(ae_loop_t *loop);
void ae_loop_close(ae_loop_t *loop);
int ae_loop_fd(const ae_loop_t *loop);
uint64_t *ae_loop_counters(ae_loop_t *loop);
void ae_link_init(ae_link_t *link, ae_conn_t *conn, uint8_t *data, uint8_t *joined, uint32_t capacity,
                  ae_market_t *market);
int ae_loop_add(ae_loop_t *loop, ae_link_t *link);
void ae_loop_remove(ae_loop_t *loop, ae_link_t *link);
void ae_loop_mode(ae_loop_t *loop, ae_link_t *link, uint32_t mode, uint32_t with_tap);
int ae_loop_write(ae_loop_t *loop, ae_link_t *link, const uint8_t *data, uint32_t bytes);
uint32_t ae_loop_replay(ae_loop_t *loop, ae_link_t *link, const uint8_t *data, uint32_t bytes, int64_t recv_ns);
uint64_t ae_loop_take(ae_loop_t *loop, uint8_t **events);

/* tls.c */
ae_tls_t *ae_tls_new(const char *ca_file, char *error, uint32_t room);
void ae_tls_free(ae_tls_t *tls);

/* conn.c */
uint64_t ae_conn_bytes(void);
int ae_conn_init(ae_conn_t *conn, int fd, ae_tls_t *tls, const char *host);
int ae_conn_busy_poll(ae_conn_t *conn, uint32_t us);
int ae_conn_handshake(ae_conn_t *conn);
int ae_conn_read(ae_conn_t *conn, uint8_t *to, uint32_t room, int64_t *stamp_ns);
int ae_conn_write(ae_conn_t *conn, const uint8_t *data, uint32_t bytes);
int ae_conn_flush(ae_conn_t *conn);
int ae_conn_pending(const ae_conn_t *conn);
int ae_conn_unsent(const ae_conn_t *conn);
int ae_conn_fd(const ae_conn_t *conn);
const char *ae_conn_error(const ae_conn_t *conn);
const char *ae_conn_about(const ae_conn_t *conn);
void ae_conn_close(ae_conn_t *conn);

/* desk.c */
uint64_t ae_desk_bytes(void);
void ae_desk_init(ae_desk_t *desk, ae_gate_t *gate, ae_encoder_t *encoder, ae_ring_t *orders);
int ae_desk_slot(ae_desk_t *desk, uint32_t slot, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp);
void ae_desk_link(ae_desk_t *desk, ae_conn_t *conn, int logged_on);
void ae_desk_ids(ae_desk_t *desk, uint64_t limit);
void ae_desk_clock(ae_desk_t *desk, int64_t offset_ms);
void ae_desk_hist(ae_desk_t *desk, ae_hist_block_t *block);
int ae_desk_place(ae_desk_t *desk, const ae_intent_t *intent, int64_t now_ns, ae_placed_t *out);
int ae_desk_order(ae_desk_t *desk, uint32_t slot, int side, int type, int tif, int reduce_only, int64_t px, int px_exp,
                  int64_t qty, int qty_exp, const char *tag, int64_t now_ns, ae_placed_t *out);
int ae_desk_arm(ae_desk_t *desk, const ae_trigger_t *trigger, int64_t now_ns, int *refusal);
int ae_desk_disarm(ae_desk_t *desk, int trigger);
void ae_desk_disarm_all(ae_desk_t *desk, int why);
int ae_desk_armed(const ae_desk_t *desk);
int ae_desk_look(ae_desk_t *desk, const ae_tick_t *ticks, uint32_t count, int64_t now_ns);
int ae_desk_ended(ae_desk_t *desk, ae_placed_t *out, uint32_t max);
void ae_desk_warm(ae_desk_t *desk, uint32_t slot, int64_t now_ns);
