/* The symbol table: exact UTF-8 names to 16-bit indices.
 *
 * The predecessor had no symbol in its records and booked one coin at another's price; so a name is compared
 * byte for byte, an index is never given twice, and an unknown name is refused, never guessed. */
#include "ae_internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_name(const char *name, uint64_t bytes) {
    uint32_t h = 2166136261u;
    for (uint64_t i = 0; i < bytes; i++) h = (h ^ (uint8_t)name[i]) * 16777619u;
    return h;
}

ae_symbols *ae_symbols_new(void) { return calloc(1, sizeof(ae_symbols)); }

void ae_symbols_free(ae_symbols *t) { free(t); }

int ae_symbols_find(const ae_symbols *t, const char *name, uint64_t bytes) {
    for (uint32_t at = hash_name(name, bytes);; at++) {
        uint16_t found = t->slot[at % AE_SYMBOL_SLOTS];
        if (found == 0) return AE_BAD;
        const ae_symbol *s = &t->symbol[found - 1];
        if (s->bytes == bytes && memcmp(s->name, name, bytes) == 0) return found - 1;
    }
}

int ae_symbols_add(ae_symbols *t, const char *name, uint8_t px_exp, uint8_t qty_exp) {
    uint64_t bytes = strlen(name);
    if (bytes == 0 || bytes >= AE_NAME_BYTES || t->count == AE_SYMBOLS_MAX || px_exp > 18 || qty_exp > 18)
        return AE_BAD;
    if (ae_symbols_find(t, name, bytes) >= 0) return AE_BAD;
    ae_symbol *s = &t->symbol[t->count++];
    memcpy(s->name, name, bytes);
    s->bytes = (uint32_t)bytes;
    s->px_exp = px_exp;
    s->qty_exp = qty_exp;
    uint32_t at = hash_name(name, bytes);
    while (t->slot[at % AE_SYMBOL_SLOTS] != 0) at++;
    t->slot[at % AE_SYMBOL_SLOTS] = (uint16_t)t->count;
    return (int)t->count - 1;
}
