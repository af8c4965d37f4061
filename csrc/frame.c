/* Bytes -> WebSocket frames, server to client (RFC 6455 5.2). No copies, no state: one header at a time.
 * A frame is only reported when it is whole; payload follows the header in the caller's bytes. */
#include "ae_internal.h"

/* Read the frame at data[0..bytes). payload_max bounds the payload. Returns header + payload bytes consumed, AE_MORE,
 * or AE_BAD with *reason (enum ae_ws_reason). Any thread; allocates: no; worst case: constant. */
int ae_ws_parse(const uint8_t *data, uint32_t bytes, uint32_t payload_max, ae_ws_frame_t *frame, uint32_t *reason)
{
    if (bytes < 1)
        return AE_MORE;
    uint8_t opcode = data[0] & 15;
    int control = opcode >= 8;
    *reason = AE_WS_NONE;
    if (data[0] & 0x70)
        *reason = AE_WS_RESERVED_BITS;
    else if ((opcode > 2 && opcode < 8) || opcode > 10)
        *reason = AE_WS_OPCODE;
    else if (control && !(data[0] & 0x80))
        *reason = AE_WS_CONTROL_FRAGMENT;
    if (*reason)
        return AE_BAD;
    if (bytes < 2)
        return AE_MORE;
    uint32_t form = data[1] & 127;
    if (data[1] & 0x80)
        *reason = AE_WS_MASKED;
    else if (control && form > 125)
        *reason = AE_WS_CONTROL_LENGTH;
    if (*reason)
        return AE_BAD;
    uint32_t header = form == 126 ? 4 : form == 127 ? 10 : 2;
    if (bytes < header)
        return AE_MORE;
    uint64_t length = form;
    if (form >= 126) {
        length = 0;
        for (uint32_t i = 2; i < header; i++)
            length = length << 8 | data[i];
        if (length < (form == 126 ? 126U : 65536U))
            *reason = AE_WS_LENGTH_FORM; /* not the shortest form */
    }
    if (!*reason && length > payload_max)
        *reason = AE_WS_TOO_BIG;
    if (*reason)
        return AE_BAD;
    if (bytes - header < length)
        return AE_MORE;
    frame->header_bytes = header;
    frame->payload_bytes = (uint32_t)length;
    frame->opcode = opcode;
    frame->fin = data[0] >> 7;
    return (int)(header + (uint32_t)length);
}
