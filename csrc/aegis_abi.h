/* The one truth of limits, enums and of every layout that lies in shared memory or comes from the wire. Parsed by the
 * C compiler (through ae_internal.h) and by cffi, so it holds only integer defines, enums and plain structs; what C and
 * Python of one process say to each other is in aegis_api.h. Sizes are asserted in ae_abi_check.c, every struct is
 * verified again by aegis/native/abi.py at import. */

#define AE_ABI_VERSION 3
#define AE_BAD -1
#define AE_MORE -2
#define AE_END -3
#define AE_WANT_READ -4
#define AE_WANT_WRITE -5

#define AE_RING_MAGIC 0x41454749535247
#define AE_CONTROL_MAGIC 0x414547495343
#define AE_BOOKS_MAGIC 0x414547495342
#define AE_RING_HEADER_BYTES 4096
#define AE_TICK_BYTES 64
#define AE_RECORD_BYTES 256
#define AE_SYMBOLS_MAX 1024
#define AE_SYMBOL_BYTES 48
#define AE_TOP_LEVELS 20
#define AE_BOOK_LEVELS 4096
#define AE_BOOK_EVENTS 1024
#define AE_BOOK_BUFFER 16384
#define AE_LEVELS_MAX 16384
#define AE_EXP_MAX 18
#define AE_JSON_DEPTH 32
#define AE_KINDS 16
#define AE_INTERVALS 17
#define AE_CONTROL_BLOCKS 8
#define AE_COUNTERS_MAX 96
#define AE_COUNTER_NAME_BYTES 32
#define AE_BOOKS_HEADER_BYTES 4096
#define AE_TURN_BATCH 4096
#define AE_FEATURES 13
#define AE_FEATURES_VERSION 1
#define AE_ORDER_FRAME_BYTES 1024
#define AE_TRIGGERS_MAX 256
#define AE_MONEY_EXP 8
#define AE_GATE_RATE_MAX 1024
#define AE_GATE_UNSEEN_MAX 1024
#define AE_GATE_REDUCE_ONLY 1
#define AE_GATE_HALTED 1
#define AE_GATE_UNRECONCILED 2
#define AE_LOOP_LINKS 256
#define AE_HIST_MAGIC 0x41454749534c
#define AE_HIST_BLOCKS 8
#define AE_HOPS 16
#define AE_HIST_CELLS 1152
#define AE_WAIT_RINGS 4
#define AE_WAIT_FD 16

enum ae_kind {
    AE_KIND_BOOK_TICKER = 1, AE_KIND_TRADE = 2, AE_KIND_AGG_TRADE = 3, AE_KIND_DEPTH = 4,
    AE_KIND_DEPTH_SNAPSHOT = 5, AE_KIND_MARK = 6, AE_KIND_KLINE = 7, AE_KIND_FORCE_ORDER = 8,
    AE_KIND_TICKER_24H = 9, AE_KIND_BOOK_STATE = 10
};

enum ae_flag {
    AE_FLAG_BEGIN = 1, AE_FLAG_END = 2, AE_FLAG_FILLED = 4, AE_FLAG_CLOSED = 8, AE_FLAG_RPI = 16,
    AE_FLAG_NO_FUNDING = 32
};

/* Why a frame was refused (nothing of it is published) or, from NOT_MARKET_TRADE on, dropped on purpose. */
enum ae_reason {
    AE_REASON_NONE = 0, AE_REASON_BAD_JSON = 1, AE_REASON_TOO_DEEP = 2, AE_REASON_ESCAPE = 3,
    AE_REASON_MISSING_FIELD = 4, AE_REASON_BAD_NUMBER = 5, AE_REASON_OVERFLOW = 6, AE_REASON_EXPONENT = 7,
    AE_REASON_BAD_INTEGER = 8, AE_REASON_UNKNOWN_SYMBOL = 9, AE_REASON_BAD_LEVELS = 10,
    AE_REASON_TOO_MANY_LEVELS = 11, AE_REASON_UNKNOWN_INTERVAL = 12, AE_REASON_BAD_VALUE = 13,
    AE_REASON_NOT_MARKET_TRADE = 14, AE_REASON_DUPLICATE = 15
};

/* Counters of a market context, by index. */
enum ae_counter {
    AE_C_FRAMES = 0, AE_C_RECORDS = 1, AE_C_TEXTS = 2, AE_C_DUPLICATES = 3, AE_C_DROPPED_NA = 4,
    AE_C_BOOK_BREAKS = 5, AE_C_BOOK_JOINS = 6, AE_C_BOOK_LEVELS_DROPPED = 7, AE_C_BOOK_BUFFER_DROPPED = 8,
    AE_C_BOOK_INEXACT = 9, AE_C_TOP_CHECKED = 10, AE_C_TOP_MISMATCH = 11, AE_C_FRAMES_BAD = 12,
    AE_C_FILLED = 13, AE_C_REFUSED = 16, AE_C_COUNT = 32
};

enum ae_ws_reason {
    AE_WS_NONE = 0, AE_WS_RESERVED_BITS = 1, AE_WS_MASKED = 2, AE_WS_OPCODE = 3, AE_WS_CONTROL_LENGTH = 4,
    AE_WS_CONTROL_FRAGMENT = 5, AE_WS_LENGTH_FORM = 6, AE_WS_TOO_BIG = 7, AE_WS_CONTINUATION = 8,
    AE_WS_UNFINISHED = 9
};

/* Implementations of the digit kernels; BEST: what this machine can. */
enum ae_digits_kind { AE_DIGITS_BEST = 0, AE_DIGITS_SCALAR = 1, AE_DIGITS_AVX2 = 2, AE_DIGITS_AVX512 = 3 };

enum ae_pump_event { AE_PUMP_NEED = 0, AE_PUMP_CONTROL = 1, AE_PUMP_TEXT = 2, AE_PUMP_BAD = 3 };
enum ae_link_mode { AE_LINK_PAUSED = 0, AE_LINK_RUNS = 1, AE_LINK_HOLDS = 2 };
enum ae_event_kind {
    AE_EVENT_CONTROL = 1, AE_EVENT_TEXT = 2, AE_EVENT_TAP = 3, AE_EVENT_HELD = 4, AE_EVENT_CLOSED = 5
};
enum ae_loop_counter {
    AE_LOOP_TURNS = 0, AE_LOOP_READS = 1, AE_LOOP_TAPS_DROPPED = 2, AE_LOOP_STARVED = 3, AE_LOOP_COUNTERS = 4
};
enum ae_book_state { AE_BOOK_BUFFERING = 0, AE_BOOK_WAITING = 1, AE_BOOK_LIVE = 2 };
enum ae_book_reason {
    AE_BOOK_JOINED = 0, AE_BOOK_BREAK = 1, AE_BOOK_RESET = 2, AE_BOOK_MISSED = 3, AE_BOOK_INEXACT = 4
};
enum ae_account_type {
    AE_ACCOUNT_ORDER = 1, AE_ACCOUNT_TRADE_LITE = 2, AE_ACCOUNT_BALANCE = 3, AE_ACCOUNT_POSITION = 4,
    AE_ACCOUNT_NOTE = 5
};

/* How a reader waits: asleep, some time spinning and then asleep, or spinning. */
enum ae_wait_how { AE_WAIT_BLOCK = 0, AE_WAIT_ADAPTIVE = 1, AE_WAIT_SPIN = 2 };
/* Why the gate refused; values of aegis.messages.Refusal. */
enum ae_refusal {
    AE_REFUSAL_ACCEPTED = 0, AE_REFUSAL_HALTED = 1, AE_REFUSAL_BOOK_UNTRUSTED = 2, AE_REFUSAL_NOT_RECONCILED = 3,
    AE_REFUSAL_UNKNOWN_SYMBOL = 4, AE_REFUSAL_BAD_TICK = 5, AE_REFUSAL_BAD_LOT = 6, AE_REFUSAL_MIN_NOTIONAL = 7,
    AE_REFUSAL_ORDER_NOTIONAL = 8, AE_REFUSAL_POSITION_NOTIONAL = 9, AE_REFUSAL_PRICE_COLLAR = 10,
    AE_REFUSAL_ORDER_RATE = 11, AE_REFUSAL_LOSS_LIMIT = 12, AE_REFUSAL_UNKNOWN_ORDERS = 13,
    AE_REFUSAL_OPEN_ORDERS = 14, AE_REFUSAL_REDUCE_ONLY = 15, AE_REFUSAL_SYMBOL_HALTED = 16,
    AE_REFUSAL_NOT_CONNECTED = 17, AE_REFUSAL_BAD_INTENT = 18, AE_REFUSAL_TOTAL_NOTIONAL = 19,
    AE_REFUSAL_NO_IDS = 20
};

/* Where time is measured on the way of a tick; each is the time since the hop named in brackets. */
enum ae_hop {
    AE_HOP_RECEIVE = 0, /* [kernel's receive stamp] bytes read from the socket */
    AE_HOP_PARSED = 1, /* [receive] frame decoded into records */
    AE_HOP_PUBLISHED = 2, /* [parsed] records on the ring, readers woken */
    AE_HOP_TAKEN = 3, /* [kernel's receive stamp] record in the brain's batch */
    AE_HOP_DECIDED = 4, /* [taken] strategy returned */
    AE_HOP_GATED = 5, /* [decided] gate said yes */
    AE_HOP_WRITTEN = 6, /* [gated] last byte of the order given to the kernel */
    AE_HOP_ACKNOWLEDGED = 7, /* [written] the venue's answer read */
    AE_HOP_TICK_TO_WIRE = 8, /* [kernel's receive stamp] written */
    AE_HOP_COUNT = 9
};

/* One market record. Writer: feed. */
typedef struct ae_tick {
    uint64_t seq;
    int64_t exch_ns;
    int64_t recv_ns;
    uint16_t symbol;
    uint8_t kind;
    uint8_t flags;
    uint8_t px_exp;
    uint8_t qty_exp;
    uint16_t aux;
    int64_t a;
    int64_t b;
    int64_t c;
    int64_t d;
} ae_tick_t;

/* One account record (OrderUpdate, TradeLite, BalanceUpdate, PositionUpdate, Note). Writer: feed.
 * num: OrderUpdate qty, price, filled_qty, avg_price, last_qty, last_price, commission, realised; TradeLite qty,
 * last_qty, last_price; BalanceUpdate wallet, cross_wallet, change; PositionUpdate qty, entry, realised, unrealised.
 * text: strings, each one length byte and its UTF-8. */
typedef struct ae_account {
    uint64_t seq;
    int64_t exch_ns;
    int64_t recv_ns;
    int64_t order_id;
    int64_t trade_id;
    int64_t num[8];
    uint8_t exp[8];
    uint8_t type;
    int8_t side;
    uint8_t order_type;
    uint8_t tif;
    uint8_t exec_type;
    uint8_t status;
    uint8_t bits;
    uint8_t expiry_reason;
    uint8_t text[136];
} ae_account_t;

/* An order wanted: symbol is the gate's own slot, px and qty mantissas at that slot's exponents; px 0 for MARKET.
 * type, tif, side: values of aegis.messages; bits: 1 reduce-only. tag: the strategy's word, NUL-padded. */
typedef struct ae_intent {
    uint16_t symbol;
    int8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t bits;
    uint8_t reserved[2];
    int64_t px;
    int64_t qty;
    char tag[16];
} ae_intent_t;

/* One orders record. Writer: brain. num: qty, price, filled_qty. */
typedef struct ae_order {
    uint64_t seq;
    int64_t now_ns;
    int64_t order_id;
    int64_t market_seq;
    int64_t account_seq;
    uint64_t digest;
    int64_t num[3];
    uint8_t exp[3];
    uint8_t step;
    int8_t side;
    uint8_t type;
    uint8_t tif;
    uint8_t bits;
    int32_t state;
    int32_t reason;
    uint8_t text[168];
} ae_order_t;

typedef struct ae_ring_header {
    uint64_t magic;
    uint32_t abi;
    uint32_t header_bytes;
    uint32_t slot_bytes;
    uint32_t reserved0;
    uint64_t capacity;
    char name[16];
    char boot_id[40];
    uint64_t epoch;
    uint64_t writer_pid;
    uint8_t reserved1[24];
    uint64_t head;
    uint8_t reserved2[56];
    uint32_t wake;
    uint32_t waiters;
    uint8_t reserved3[56];
    uint64_t claim;
    uint8_t reserved4[56];
} ae_ring_header_t;

typedef struct ae_ring {
    ae_ring_header_t *header;
    uint8_t *slots;
    uint64_t mask;
    uint64_t claim;
    uint32_t slot_bytes;
    uint32_t reserved;
} ae_ring_t;

typedef struct ae_cursor {
    uint64_t taken;
    uint64_t laps;
    uint64_t lost;
} ae_cursor_t;

typedef struct ae_counter_cell {
    char name[32];
    int64_t value;
} ae_counter_cell_t;

/* Control page: header, then one block per process; each block has one writer. A block is a page and a line long: whoever
 * looks at all halt words would otherwise need as many ways of one cache set. */
typedef struct ae_control_header {
    uint64_t magic;
    uint32_t abi;
    uint32_t header_bytes;
    uint32_t block_bytes;
    uint32_t blocks;
    uint8_t reserved[4072];
} ae_control_header_t;

typedef struct ae_control_block {
    char name[16];
    uint64_t pid;
    uint64_t progress;
    int64_t beat_ns;
    int64_t halt;
    int64_t halt_ns;
    uint64_t resume_epoch;
    uint64_t counters_used;
    uint8_t reserved[56];
    ae_counter_cell_t counters[96];
    uint8_t reserved_end[192];
} ae_control_block_t;

typedef struct ae_level {
    int64_t px;
    int64_t qty;
} ae_level_t;

typedef struct ae_books_header {
    uint64_t magic;
    uint32_t abi;
    uint32_t header_bytes;
    uint32_t entry_bytes;
    uint32_t capacity;
    uint64_t count;
    uint64_t writer_pid;
    uint64_t epoch;
    uint8_t reserved[4048];
} ae_books_header_t;

/* One symbol of the books page. name and exps are written once, before header.count; the rest under `lock`. */
typedef struct ae_book_entry {
    uint64_t lock;
    int64_t u;
    int64_t exch_ns;
    int64_t recv_ns;
    uint32_t trusted;
    uint32_t bids;
    uint32_t asks;
    uint32_t breaks;
    char name[48];
    uint8_t px_exp;
    uint8_t qty_exp;
    uint8_t with_book;
    uint8_t reserved[29];
    ae_level_t bid[20];
    ae_level_t ask[20];
} ae_book_entry_t;

typedef struct ae_ws_frame {
    uint32_t header_bytes;
    uint32_t payload_bytes;
    uint8_t opcode;
    uint8_t fin;
    uint8_t reserved[6];
} ae_ws_frame_t;

typedef struct ae_symbol {
    char name[48];
    uint8_t name_bytes;
    uint8_t px_exp;
    uint8_t qty_exp;
    uint8_t reserved[5];
} ae_symbol_t;

typedef struct ae_symtab {
    uint32_t count;
    uint32_t reserved;
    uint16_t hash[4096];
    ae_symbol_t symbols[1024];
} ae_symtab_t;

/* What a frame turned out to be: kind 0 = no market event (give it out as text). */
typedef struct ae_parsed {
    uint32_t kind;
    uint32_t reason;
    uint32_t symbol;
    uint32_t interval;
    int64_t order_key;
} ae_parsed_t;

typedef struct ae_book_event {
    int64_t first;
    int64_t last;
    int64_t prev;
    int64_t exch_ns;
    uint32_t at;
    uint32_t levels;
} ae_book_event_t;

typedef struct ae_book_change {
    int64_t px;
    int64_t qty;
    int64_t side;
} ae_book_change_t;

/* One book. Levels are sorted with the best at the end: bids rising, asks falling. */
typedef struct ae_book {
    uint32_t state;
    uint32_t wants;
    uint32_t bids;
    uint32_t asks;
    int64_t u;
    int64_t exch_ns;
    uint64_t dropped;
    uint64_t buffer_dropped;
    uint32_t events;
    uint32_t changes;
    uint32_t snap_bids;
    uint32_t snap_asks;
    ae_level_t bid[4096];
    ae_level_t ask[4096];
    ae_book_event_t event[1024];
    ae_book_change_t change[16384];
} ae_book_t;

/* What a market remembers of one kind of one symbol: frames taken, wall ns of the last one, its rising id. */
typedef struct ae_cell {
    uint64_t count;
    int64_t recv_ns;
    int64_t last;
    int64_t reserved;
} ae_cell_t;

typedef struct ae_market ae_market_t;
typedef struct ae_predict ae_predict_t;

typedef struct ae_pump {
    uint8_t *data;
    uint8_t *joined;
    uint32_t capacity;
    uint32_t read;
    uint32_t write;
    uint32_t joined_bytes;
    uint32_t joining;
    uint32_t reason;
    ae_market_t *market;
    uint8_t *event;
    uint32_t event_bytes;
    uint32_t reserved;
} ae_pump_t;

/* One histogram: cells of ae_hist_edge, values in ns. backwards: values below 0 (the clock was set), kept as 0. */
typedef struct ae_hist {
    int64_t max;
    uint64_t backwards;
    uint64_t cells[1152];
} ae_hist_t;

/* The histograms of one process. Writer: one thread of it. */
typedef struct ae_hist_block {
    char name[16];
    uint64_t pid;
    int64_t since_ns;
    uint8_t reserved[32];
    ae_hist_t hops[16];
} ae_hist_block_t;

typedef struct ae_hist_header {
    uint64_t magic;
    uint32_t abi;
    uint32_t header_bytes;
    uint32_t block_bytes;
    uint32_t blocks;
    uint32_t hops;
    uint32_t cells;
    uint8_t reserved[4064];
} ae_hist_header_t;
