/* `[["px","qty"],...]` -> level records: by plan as long as the levels look alike, one by one where they do not.
 *
 * What must stay true: every level that the slow way takes the fast way takes alike or leaves to it; a list is taken
 * whole or refused. */
#include "levels.h"

/* One half of a plan: numbers with `places` decimal places, to be held at exponent `exp`; 0 when windows of sixteen
 * bytes cannot. Places beyond the exponent must be zeros, missing ones are made. */
static int plan_half(ae_level_plan_t *plan, uint32_t half, uint32_t places, uint32_t exp)
{
    uint8_t *base = plan->base + half * 16, *span = plan->span + half * 16, *shuffle = plan->shuffle + half * 16;
    uint32_t tail = places ? places + 1 : 0; /* bytes from the point on */
    if (tail > 14 || exp > 14)
        return 0;
    memset(base, '0', 16);
    memset(span, 9, 16);
    memset(shuffle, 0x80, 16);
    if (places) {
        base[15 - places] = '.';
        span[15 - places] = 0;
    }
    for (uint32_t place = exp + 1; place <= places; place++)
        span[15 - places + place] = 0;
    for (uint32_t place = 1; place <= exp && place <= places; place++)
        shuffle[15 - exp + place] = (uint8_t)(15 - places + place);
    uint32_t most = 16 - tail < 16 - exp ? 16 - tail : 16 - exp; /* whole digits: of the window, of the number */
    for (uint32_t digit = 1; digit <= most; digit++)
        shuffle[16 - exp - digit] = (uint8_t)(16 - tail - digit);
    plan->places[half] = (uint8_t)places;
    plan->exp[half] = (uint8_t)exp;
    plan->least[half] = (uint8_t)(tail + 1);
    plan->most[half] = (uint8_t)(tail + most);
    return 1;
}

static uint32_t places_of(const ae_span_t *v)
{
    const uint8_t *point = memchr(v->at, '.', v->bytes);
    return point ? (uint32_t)(v->at + v->bytes - point) - 1 : 0;
}

static void make_plan(ae_levels_t *l, const ae_span_t *px, const ae_span_t *qty)
{
    l->plan->ready = px->type == AE_T_STRING && qty->type == AE_T_STRING &&
                     plan_half(l->plan, 0, places_of(px), l->like.px_exp) &&
                     plan_half(l->plan, 1, places_of(qty), l->like.qty_exp);
}

/* One level at p (at its '['), of any look; *after is behind its ']'. */
static uint32_t one_level(ae_levels_t *l, const uint8_t *p, const uint8_t **after)
{
    ae_scan_t s = {l->end, 0};
    ae_span_t pair[2] = {{0}, {0}}, rest;
    uint32_t n = 0;
    if (p >= l->end || *p != '[')
        return AE_REASON_BAD_LEVELS;
    p = ae_skip_space(p + 1, l->end);
    while (p < l->end && *p != ']') {
        p = ae_scan_value(&s, p, l->depth, n < 2 ? &pair[n] : &rest);
        if (!p)
            return s.reason;
        n++;
        p = ae_skip_space(p, l->end);
        if (p >= l->end || (*p != ']' && *p != ','))
            return AE_REASON_BAD_JSON;
        if (*p == ',') {
            p = ae_skip_space(p + 1, l->end);
            if (p < l->end && *p == ']')
                return AE_REASON_BAD_JSON;
        }
    }
    if (p >= l->end || n < 2)
        return p >= l->end ? AE_REASON_BAD_JSON : AE_REASON_BAD_LEVELS;
    *after = p + 1;
    if (l->count >= l->out_max || l->count > AE_LEVELS_MAX)
        return AE_REASON_TOO_MANY_LEVELS;
    ae_tick_t *t = &l->out[l->count++];
    *t = l->like;
    const ae_span_t *const px = &pair[0], *const qty = &pair[1];
    int64_t *const to_px = &t->a, *const to_qty = &t->b;
    uint32_t reason = ae_to_mantissas(&px, 1, &t->px_exp, &to_px);
    if (!reason)
        reason = ae_to_mantissas(&qty, 1, &t->qty_exp, &to_qty);
    if (!reason && l->digits && !l->plan->ready)
        make_plan(l, px, qty);
    return !reason && t->b < 0 ? (uint32_t)AE_REASON_BAD_NUMBER : reason;
}

/* Levels of one list, p at its '['. 0 with *after behind its ']', or a reason. Allocates: no; linear in bytes. */
uint32_t ae_levels_read(ae_levels_t *l, const uint8_t *p, const uint8_t **after)
{
    if (p >= l->end || *p != '[')
        return AE_REASON_BAD_LEVELS;
    p = ae_skip_space(p + 1, l->end);
    if (p < l->end && *p == ']') {
        *after = p + 1;
        return 0;
    }
    for (;;) {
        uint32_t most = l->out_max < AE_LEVELS_MAX + 1 ? l->out_max : AE_LEVELS_MAX + 1, got = 0;
        if (l->digits && l->plan->ready && p - l->from >= 16 && l->count < most)
            got = l->digits->levels(l->plan, p, l->end, &l->like, l->out + l->count, most - l->count, &p);
        l->count += got;
        uint32_t reason = got ? 0 : one_level(l, p, &p);
        if (reason)
            return reason;
        p = ae_skip_space(p, l->end);
        if (p >= l->end || (*p != ',' && *p != ']'))
            return AE_REASON_BAD_JSON;
        if (*p++ == ']') {
            *after = p;
            return 0;
        }
        p = ae_skip_space(p, l->end);
    }
}
