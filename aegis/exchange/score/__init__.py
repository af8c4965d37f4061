"""The score: a scripted set of cases that any client can be put through, judged by the venue's own truth.

A client's word about itself is worth nothing here. Each case arranges something at the venue (an order book, a fault,
another hand on the account), asks the client to act or to say what it believes, and compares that with what the venue
knows. So a client passes by being right, not by being quiet.
"""

SPEECH = """\
The client is started with these in its environment (keys of this simulator only, drawn anew each time):
  AEGIS_REST      http://127.0.0.1:PORT           REST
  AEGIS_STREAMS   ws://127.0.0.1:PORT             market and user streams, with their routes
  AEGIS_WSAPI     ws://127.0.0.1:PORT/ws-fapi/v1  WebSocket API
  AEGIS_API_KEY, AEGIS_API_SECRET                 HMAC key
  AEGIS_ED25519_FILE                              PEM file of an Ed25519 key of the same API key
It reads one JSON object a line from standard input and writes one a line to standard output, nothing else.
  asked     {"id":1,"do":"place","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","price":"61000.1","quantity":"0.01",...}
  answered  {"id":1,"ok":true,...}  or  {"id":1,"ok":false,"error":{"kind":"...","code":-2019,"message":"..."}}
All prices, quantities and amounts are decimal text. `code` is the venue's, where the venue refused.

verb          asked with                                           answered with
hello                                                              name, verbs (list)
connect                                                            when streams and account are usable
place         symbol side type quantity [price time_in_force       client_id, status
              reduce_only position_side client_id trigger_price]
batch         orders (list of what place takes)                    orders (list of answers as of place)
amend         symbol client_id price quantity
cancel        symbol client_id                                     when the end is known
cancel_all    symbol                                               when their end is known
order         symbol client_id                                     order {client_id status quantity filled price}
open_orders                                                        orders (list as above)
positions                                                          positions [{symbol quantity position_side}]
balances                                                           balances {"USDT": wallet balance}
top           symbol                                               bid ask trusted (may they be traded on now?)
health                                                             market, account: trusted | suspect | dead;
                                                                   trading: may new risk be opened now?; reason
reconcile                                                          clean (true | false), differences (list of text)
position_mode hedge (true | false)
leverage      symbol leverage
deadman       symbol seconds                                       from now on the venue cancels when the client dies
stop                                                               when stopped, leaving no order working

order status  NEW PARTIALLY_FILLED FILLED CANCELED EXPIRED REJECTED, or PENDING / UNKNOWN while it is not known
error kinds   unsupported  the client does not know the verb, or this use of it
              refused      it will not happen: refused by the venue (code) or by the client itself (reason in message)
              unknown      sent, and nobody knows what became of it; client_id names it
              rate_limited the venue said wait
              unreachable  nothing was sent
"""
