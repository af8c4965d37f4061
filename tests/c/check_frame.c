/* frame.c against its short cut: whatever ae_ws_text takes, ae_ws_parse takes as the same whole text message, and it
 * takes every such message under 64 KiB. All first two bytes, all lengths near the borders, all cuts of the header. Says
 * nothing and ends with 0 when it holds. */
#include <stdio.h>
#include <stdlib.h>

#include "ae_internal.h"

static uint8_t data[70000];

static void judge(uint32_t bytes, uint32_t most)
{
    ae_ws_frame_t frame = {0};
    uint32_t reason = 0, payload = 0;
    uint32_t header = ae_ws_text(data, bytes, most, &payload);
    int used = ae_ws_parse(data, bytes, most, &frame, &reason);
    int text = used > 0 && bytes >= 4 && frame.opcode == 1 && frame.fin && frame.payload_bytes < 65536 && frame.header_bytes <= 4;
    if (header ? !text || header != frame.header_bytes || payload != frame.payload_bytes : text) {
        fprintf(stderr, "%02x %02x %02x %02x of %u, at most %u: short cut %u + %u, parser %d\n", data[0], data[1], data[2],
                data[3], bytes, most, header, payload, used);
        exit(1);
    }
}

int main(void)
{
    static const uint32_t lengths[] = {0, 1, 2, 3, 124, 125, 126, 127, 128, 1000, 65519, 65520, 65521, 65535};
    for (uint32_t first = 0; first < 65536; first++)
        for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            uint32_t length = lengths[i];
            data[0] = (uint8_t)(first >> 8);
            data[1] = (uint8_t)first;
            data[2] = (uint8_t)(length >> 8);
            data[3] = (uint8_t)length;
            for (uint32_t bytes = 0; bytes <= 6; bytes++)
                judge(bytes, 65520);
            for (uint32_t more = 0; more < 6; more++)
                judge(length + more, 65520);
            judge(sizeof data, 65520);
            judge(sizeof data, 1 << 20);
        }
    return 0;
}
