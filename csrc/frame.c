/* Bytes from a server to WebSocket frames (RFC 6455 section 5.2): where the frame lies, or more, or bad. No copies. */
#include "ae_internal.h"

int64_t ae_frame_scan(const uint8_t *p, uint64_t bytes, ae_frame_t *out, uint32_t *reason) {
    if (bytes < 2) return AE_MORE;
    uint64_t length = p[1] & 0x7f, head = 2;
    uint8_t opcode = p[0] & 0x0f;
    *reason = AE_R_FRAME;
    if ((p[0] & 0x70) != 0) return AE_BAD; /* extensions were never offered */
    if ((opcode > 2 && opcode < 8) || opcode > 10) return AE_BAD;
    if (opcode >= 8 && ((p[0] & 0x80) == 0 || length > 125)) return AE_BAD;
    if ((p[1] & 0x80) != 0) {
        *reason = AE_R_MASKED; /* a server must not mask */
        return AE_BAD;
    }
    if (length >= 126) {
        uint64_t more = length == 126 ? 2 : 8;
        if (bytes < head + more) return AE_MORE;
        length = 0;
        for (uint64_t i = 0; i < more; i++) length = length << 8 | p[head + i];
        head += more;
        if (length < (more == 2 ? 126u : 65536u)) return AE_BAD; /* the shortest form is required */
    }
    if (length > AE_FRAME_BYTES_MAX) {
        *reason = AE_R_FRAME_TOO_LONG;
        return AE_BAD;
    }
    if (bytes < head + length) return AE_MORE;
    out->fin = p[0] >> 7;
    out->opcode = opcode;
    out->head = (uint32_t)head;
    out->length = length;
    return (int64_t)(head + length);
}
