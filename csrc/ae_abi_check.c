/* Sizes and offsets that shared files depend on, asserted where the compiler can see them. */
#include "ae_internal.h"

#define AE_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size")
#define AE_AT(type, field, bytes) _Static_assert(offsetof(type, field) == (bytes), #type "." #field " moved")

AE_SIZE(ae_tick_t, AE_TICK_BYTES);
AE_AT(ae_tick_t, symbol, 24);
AE_AT(ae_tick_t, a, 32);
AE_SIZE(ae_account_t, AE_RECORD_BYTES);
AE_AT(ae_account_t, text, 120);
AE_SIZE(ae_intent_t, 40);
AE_SIZE(ae_order_t, AE_RECORD_BYTES);
AE_AT(ae_order_t, text, 88);
AE_SIZE(ae_ring_header_t, 320);
AE_AT(ae_ring_header_t, head, 128);
AE_AT(ae_ring_header_t, wake, 192);
AE_AT(ae_ring_header_t, claim, 256);
AE_SIZE(ae_control_header_t, 4096);
AE_SIZE(ae_control_block_t, 4160);
AE_SIZE(ae_counter_cell_t, 40);
AE_SIZE(ae_books_header_t, AE_BOOKS_HEADER_BYTES);
AE_SIZE(ae_book_entry_t, 768);
AE_AT(ae_book_entry_t, name, 48);
AE_AT(ae_book_entry_t, bid, 128);
AE_SIZE(ae_feature_row_t, 384);
AE_SIZE(((ae_feature_row_t *)0)->value, AE_FEATURES * 8);
AE_SIZE(((ae_features_t *)0)->changed, AE_SYMBOLS_MAX * 2);
AE_SIZE(((ae_features_t *)0)->changed_value, AE_SYMBOLS_MAX * AE_FEATURES * 8);
AE_SIZE(((ae_turn_t *)0)->batch, AE_TURN_BATCH * AE_TICK_BYTES);
_Static_assert(AE_TURN_OTHERS == AE_WAIT_FD, "a turn and a wait name the descriptor alike");
AE_SIZE(ae_hist_t, 16 + 8 * AE_HIST_CELLS);
AE_SIZE(ae_hist_block_t, 64 + AE_HOPS * sizeof(ae_hist_t));
AE_SIZE(ae_hist_header_t, 4096);
AE_SIZE(ae_event_t, 24);
AE_SIZE(ae_link_t, 112);
AE_SIZE(ae_wait_t, 192);
AE_AT(ae_wait_t, word, 128);
AE_SIZE(ae_cell_t, 32);
AE_SIZE(ae_caps_t, 48);
AE_SIZE(ae_gate_rules_t, 104);
AE_SIZE(ae_gate_exposure_t, 64);
AE_SIZE(ae_gate_account_t, 40);
AE_SIZE(ae_gate_quote_t, 24);
AE_SIZE(ae_hist_t, 16 + 8 * AE_HIST_CELLS);
AE_SIZE(ae_hist_block_t, 64 + AE_HOPS * sizeof(ae_hist_t));
AE_SIZE(ae_hist_header_t, 4096);
AE_SIZE(ae_trigger_t, 64);
AE_SIZE(ae_placed_t, 152);
AE_SIZE(ae_take_t, 40 + 4 * 4 * AE_SYMBOLS_MAX);
