/* What feed.c and the budgets of the pump send: combined-stream frames as the venue writes them, update ids rising,
 * prices and quantities moving in their last digits. Three bookTickers to one aggTrade, over WIRE_SYMBOLS symbols a connection. */
#ifndef WIRE_FEED_H
#define WIRE_FEED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ae_internal.h"

#define WIRE_SYMBOLS 8
#define WIRE_FRAME_MAX 400

typedef struct wire_frame {
    char text[WIRE_FRAME_MAX];
    uint32_t bytes;
    uint32_t id_end;    /* behind the last digit of the rising id */
    uint32_t moving[2]; /* digits that change from frame to frame */
} wire_frame_t;

typedef struct wire {
    wire_frame_t frames[WIRE_SYMBOLS][2];
    uint64_t sent;
    uint32_t seed;
} wire_t;

static uint32_t wire_head(char *to, uint32_t bytes)
{
    to[0] = (char)0x81;
    to[1] = (char)(bytes < 126 ? bytes : 126);
    to[2] = (char)(bytes >> 8);
    to[3] = (char)bytes;
    return bytes < 126 ? 2 : 4;
}

static void wire_close(wire_frame_t *frame, const char *body, int bytes, const char *id, const char *px, const char *qty)
{
    uint32_t head = wire_head(frame->text, (uint32_t)bytes);
    memcpy(frame->text + head, body, (size_t)bytes);
    frame->bytes = head + (uint32_t)bytes;
    frame->id_end = head + (uint32_t)(id - body);
    frame->moving[0] = head + (uint32_t)(px - body);
    frame->moving[1] = head + (uint32_t)(qty - body);
}

/* Frames of the symbols first .. first + WIRE_SYMBOLS - 1. */
static void wire_init(wire_t *wire, uint32_t first)
{
    char body[WIRE_FRAME_MAX];
    memset(wire, 0, sizeof *wire);
    wire->seed = 1;
    for (uint32_t s = 0; s < WIRE_SYMBOLS; s++) {
        uint32_t n0 = first + s;
        int n = snprintf(body, sizeof body,
                         "{\"stream\":\"coin%02uusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":429012276000,"
                         "\"s\":\"COIN%02uUSDT\",\"ps\":\"COIN%02uUSDT\",\"b\":\"%u.40\",\"B\":\"6.582\",\"a\":\"%u.50\","
                         "\"A\":\"10.697\",\"T\":1789469121836,\"E\":1789469121904,\"st\":0}}",
                         n0, n0, n0, 59546 + n0, 59546 + n0);
        wire_close(&wire->frames[s][0], body, n, strstr(body, "\"u\":") + 16, strstr(body, "\"b\":") + 10,
                   strstr(body, "\"A\":") + 10);
        n = snprintf(body, sizeof body,
                     "{\"stream\":\"coin%02uusdt@aggTrade\",\"data\":{\"e\":\"aggTrade\",\"E\":1789469121872,"
                     "\"a\":3002312300,\"s\":\"COIN%02uUSDT\",\"p\":\"%u.40\",\"q\":\"0.132\",\"nq\":\"0.132\","
                     "\"f\":6126585299,\"l\":6126585299,\"T\":1789469121836,\"m\":false}}",
                     n0, n0, 59546 + n0);
        wire_close(&wire->frames[s][1], body, n, strstr(body, "\"a\":") + 14, strstr(body, "\"p\":") + 10,
                   strstr(body, "\"q\":") + 9);
    }
}

/* Append the next frame; returns its bytes. */
static uint32_t wire_next(wire_t *wire, uint8_t *to)
{
    wire_frame_t *frame = &wire->frames[wire->sent % WIRE_SYMBOLS][wire->sent / WIRE_SYMBOLS % 4 == 3];
    wire->sent++;
    char *digit = frame->text + frame->id_end - 1;
    while (*digit == '9')
        *digit-- = '0';
    ++*digit;
    wire->seed = wire->seed * 1664525U + 1013904223U;
    frame->text[frame->moving[0]] = (char)('0' + (wire->seed >> 16) % 10);
    frame->text[frame->moving[1]] = (char)('0' + (wire->seed >> 24) % 10);
    memcpy(to, frame->text, frame->bytes);
    return frame->bytes;
}

/* The first `count` symbols into a market. */
static void wire_symbols(ae_market_t *market, uint32_t count)
{
    for (uint32_t s = 0; s < count; s++) {
        char name[16];
        int n = snprintf(name, sizeof name, "COIN%02uUSDT", s);
        if (ae_market_append(market, (const uint8_t *)name, (uint32_t)n, 2, 3, NULL) != (int)s)
            abort();
    }
}

#endif
