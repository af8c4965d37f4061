"""Client ids: unique, reserved ahead, readable."""

import re

from aegis.orders.ids import ClientIds, base36


def test_no_id_before_its_block_is_durable() -> None:
    """An id is handed out only when the reservation that covers it has returned."""
    covered = [0]
    ids = ClientIds(35, lambda limit: covered.append(limit), block=3)
    taken = []
    for n in range(10):
        taken.append(ids.take())
        assert covered[-1] > n
    assert len(set(taken)) == 10
    assert all(re.fullmatch(r"ae-z-[a-z0-9]+", name) for name in taken)


def test_base36() -> None:
    """Digits then letters."""
    assert [base36(n) for n in (0, 35, 36)] == ["0", "z", "10"]
