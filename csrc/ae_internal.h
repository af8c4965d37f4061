/* Guard and includes around the one truth of layouts (aegis_abi.h may hold neither), and what only C files share. */
#ifndef AE_INTERNAL_H
#define AE_INTERNAL_H
#include <stddef.h>
#include <stdint.h>

#include "aegis_abi.h"

#define AE_SYMBOL_SLOTS 4096u /* four times AE_SYMBOLS_MAX: short probes */

typedef struct {
    char name[AE_NAME_BYTES];
    uint32_t bytes;
    uint8_t px_exp, qty_exp;
} ae_symbol;

struct ae_symbols {
    uint32_t count;
    uint16_t slot[AE_SYMBOL_SLOTS]; /* index + 1; 0 is empty */
    ae_symbol symbol[AE_SYMBOLS_MAX];
};

/* A decimal as read: m * 10**-e, no trailing zero in the fraction. */
typedef struct {
    int64_t m;
    uint32_t e;
} ae_dec;

/* json.c: flat scanning of one object. */
#define AE_KEYS_MAX 64
enum { AE_T_STRING, AE_T_NUMBER, AE_T_OBJECT, AE_T_ARRAY, AE_T_WORD };
typedef struct {
    const uint8_t *key, *at; /* at: of a string, behind its quote */
    uint32_t key_bytes, bytes;
    uint8_t type, escaped;
} ae_field;
typedef struct {
    uint32_t count;
    ae_field field[AE_KEYS_MAX];
} ae_object;

const uint8_t *ae_json_object(const uint8_t *p, const uint8_t *end, ae_object *out, uint32_t *reason);
const uint8_t *ae_json_string(const uint8_t *p, const uint8_t *end, ae_field *out);
const uint8_t *ae_json_space(const uint8_t *p, const uint8_t *end);
const ae_field *ae_json_get(const ae_object *o, const char *key);
uint32_t ae_json_decimal(const ae_field *f, ae_dec *out);
uint32_t ae_json_integer(const ae_field *f, int64_t *out);
int ae_scale(ae_dec d, uint32_t exp, int64_t *out);

#endif
