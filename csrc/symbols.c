/* The symbol table: exact UTF-8 names to 16-bit indices.
 *
 * A record names its symbol by index, so a wrong index books one coin at another's price. Hence names are compared byte
 * for byte, an index is given once and never again, and an unknown name is refused, never guessed.
 * The hot path does not come here: a shape of predict.c that fits has the name among its bytes. */
#include "ae_internal.h"

static uint32_t hash_of(const uint8_t *name, uint32_t bytes)
{
    uint64_t h = bytes, w = 0;
    for (; bytes >= 8; bytes -= 8, name += 8) {
        memcpy(&w, name, 8);
        h = (h ^ w) * 0x9e3779b97f4a7c15U;
        h ^= h >> 29;
    }
    for (w = 0; bytes; bytes--)
        w = w << 8 | name[bytes - 1];
    h = (h ^ w) * 0xc2b2ae3d27d4eb4fU;
    return (uint32_t)(h >> 52);
}

/* Index of a name (exact UTF-8 bytes), AE_BAD when unknown. */
int ae_symtab_find(const ae_symtab_t *tab, const uint8_t *name, uint32_t bytes)
{
    for (uint32_t h = hash_of(name, bytes);; h = (h + 1) & 4095) {
        if (!tab->hash[h])
            return AE_BAD;
        const ae_symbol_t *s = &tab->symbols[tab->hash[h] - 1];
        if (s->name_bytes == bytes && memcmp(s->name, name, bytes) == 0)
            return tab->hash[h] - 1;
    }
}

/* Append a name; returns its index (the old one when known), AE_BAD when full or too long. */
int ae_symtab_add(ae_symtab_t *tab, const uint8_t *name, uint32_t bytes, uint8_t px_exp, uint8_t qty_exp)
{
    if (!bytes || bytes >= AE_SYMBOL_BYTES || px_exp > AE_EXP_MAX || qty_exp > AE_EXP_MAX)
        return AE_BAD;
    int known = ae_symtab_find(tab, name, bytes);
    if (known >= 0)
        return known;
    if (tab->count >= AE_SYMBOLS_MAX)
        return AE_BAD;
    uint32_t h = hash_of(name, bytes);
    while (tab->hash[h])
        h = (h + 1) & 4095;
    ae_symbol_t *s = &tab->symbols[tab->count];
    memcpy(s->name, name, bytes);
    s->name_bytes = (uint8_t)bytes;
    s->px_exp = px_exp;
    s->qty_exp = qty_exp;
    tab->hash[h] = (uint16_t)++tab->count;
    return (int)tab->count - 1;
}
