"""The connection owned by C: bytes as they were written, refusals told apart, messages whole or not at all."""

from __future__ import annotations

import itertools
import os
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certs
import pytest

from aegis.errors import ConfigError, Unreachable
from aegis.native.conn import Conn, Tls, Want

LIMIT_S = 10.0
Behave = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certs")
    certs.make(made)
    return made


class Server:
    """Serves each connection in a thread of its own: TLS with a context, then `behave`."""

    def __init__(self, behave: Behave, context: ssl.SSLContext | None) -> None:
        self._behave, self._context = behave, context
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            self._behave(sock)
        except OSError:
            pass  # refused by the client, which is what some tests are about
        finally:
            sock.close()

    def close(self) -> None:
        self._door.close()


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def wait(conn: Conn, *, write: bool = False) -> None:
    assert any(select.select([conn.fd], [conn.fd] if write else [], [], LIMIT_S)), "the socket stayed silent"


def opened(port: int, tls: Tls | None, host: str = "localhost") -> Conn:
    conn = Conn(socket.create_connection(("127.0.0.1", port)).detach(), host, tls)
    while (want := conn.handshake()) is not Want.NOTHING:
        assert any(select.select([conn.fd], [conn.fd] if want is Want.WRITE else [], [], LIMIT_S))
    return conn


def read_all(conn: Conn, size: int, rooms: Iterator[int]) -> bytes:
    """`size` bytes, through rooms of changing size, flushing what waits."""
    got = b""
    while len(got) < size:
        room = bytearray(next(rooms))
        n = conn.read(room)
        got += room[:n]
        if not n:
            wait(conn, write=conn.unsent > 0)
            conn.flush()
    return got


@pytest.fixture(params=["plain", "tls"])
def secure(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[ssl.SSLContext | None, Tls | None]]:
    if request.param == "plain":
        yield None, None
    else:
        yield certs.server_context(folder), Tls(str(folder / certs.CA_FILE))


def test_bytes_come_back_as_they_were_written(secure: tuple[ssl.SSLContext | None, Tls | None]) -> None:
    """Law: whatever the sizes of messages and rooms, the bytes are the same in the same order."""
    luck = random.Random(4)
    server = Server(echo, secure[0])
    conn = opened(server.port, secure[1])
    for _ in range(60):
        data = luck.randbytes(luck.choice([1, 5, 200, 16384, 16385, 100_000]))
        before_ns = time.time_ns()
        conn.write(data)
        rooms = [1, 3, 1000, 70_000] if len(data) < 20_000 else [70_000]
        assert read_all(conn, len(data), itertools.cycle(luck.sample(rooms, len(rooms)))) == data
        assert before_ns <= conn.stamp_ns <= time.time_ns()
    server.close()
    conn.close()


def test_a_message_is_taken_whole_or_not_at_all(secure: tuple[ssl.SSLContext | None, Tls | None]) -> None:
    """Law: towards a peer that does not read, writes are kept, then refused; what was taken arrives, whole, once."""
    go, sums = threading.Event(), []

    def slow(sock: socket.socket) -> None:
        go.wait(LIMIT_S)
        got = b""
        while not got.endswith(b"END"):
            got += sock.recv(65536)
        sums.append(got)
        sock.sendall(b"done")

    server = Server(slow, secure[0])
    conn = opened(server.port, secure[1])
    sent, kept = b"", 0
    for number in range(1_000_000):
        message = b"%07d" % number * 800
        try:
            kept += not conn.write(message)
        except Unreachable as refused:
            assert "send buffer full" in str(refused)
            break
        sent += message
    assert kept and conn.unsent
    go.set()
    while conn.unsent:
        wait(conn, write=True)
        conn.flush()
    assert conn.write(b"END") in (True, False)
    assert read_all(conn, 4, itertools.repeat(64)) == b"done"
    assert sums == [sent + b"END"]
    server.close()
    conn.close()


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("wrong_host", "localhost: tls: wrong host name: the certificate is for other.example"),
        ("expired", "localhost: tls: the certificate expired on "),
        ("early", "localhost: tls: the certificate is not valid before "),
        ("self_signed", "localhost: tls: the certificate is self-signed"),
        ("stranger", "localhost: tls: the certificate's authority is not trusted"),
    ],
)
def test_each_bad_certificate_is_refused_by_its_own_name(folder: Path, kind: str, line: str) -> None:
    """Law: one clear line says which of the faults it is, and no byte of ours was sent after it."""
    heard: list[bytes] = []
    server = Server(lambda sock: heard.append(sock.recv(10)), certs.server_context(folder, kind))
    with pytest.raises(Unreachable) as refused:
        opened(server.port, Tls(str(folder / certs.CA_FILE)))
    assert str(refused.value).startswith(line) and "\n" not in str(refused.value)
    assert not heard
    server.close()


def test_the_system_does_not_trust_a_test_authority(folder: Path) -> None:
    """Law: without a file the system's authorities decide; an address is a name like any other."""
    server = Server(echo, certs.server_context(folder))
    with pytest.raises(Unreachable, match="authority is not trusted"):
        opened(server.port, Tls())
    trusting = Tls(str(folder / certs.CA_FILE))
    opened(server.port, trusting, "127.0.0.1").close()
    with pytest.raises(Unreachable, match=r"wrong host name: the certificate is for localhost, 127\.0\.0\.1$"):
        opened(server.port, trusting, "127.0.0.2")
    with pytest.raises(Unreachable, match="not a host name"):
        opened(server.port, trusting, "")
    server.close()


def test_what_speaks_no_tls_is_said_so(folder: Path) -> None:
    """Law: a plain server, one that hangs up, and an authority file that is none, each have their own line."""
    tls = Tls(str(folder / certs.CA_FILE))
    server = Server(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), None)
    with pytest.raises(Unreachable, match="does not speak TLS"):
        opened(server.port, tls)
    server.close()
    server = Server(socket.socket.close, None)
    with pytest.raises(Unreachable, match=r"closed during the handshake|reset by peer|Broken pipe"):
        opened(server.port, tls)
    server.close()
    with pytest.raises(ConfigError, match="No such file"):
        Tls(str(folder / "missing.pem"))
    (folder / "no.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="cannot be used"):
        Tls(str(folder / "no.pem"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_second_connection_resumes_the_session(folder: Path, version: ssl.TLSVersion) -> None:
    """Law: a session is resumed for the host name it was made with, and for no other."""
    context = certs.server_context(folder)
    context.minimum_version = context.maximum_version = version
    server, tls = Server(echo, context), Tls(str(folder / certs.CA_FILE))
    seen = []
    for host in ("localhost", "127.0.0.1", "localhost"):
        conn = opened(server.port, tls, host)
        conn.write(b"x")
        assert read_all(conn, 1, itertools.repeat(10)) == b"x"
        seen.append(conn.about.endswith(" resumed"))
        conn.close()
    assert seen == [False, False, True]
    server.close()


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3 TLS_AES_128_GCM_SHA256"),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256"),
    ],
)
def test_aes_128_gcm_comes_first(folder: Path, version: ssl.TLSVersion, cipher: str) -> None:
    """Law: where the server leaves the choice to us, it is AES-128-GCM."""
    context = certs.server_context(folder)
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.maximum_version = version
    server = Server(echo, context)
    conn = opened(server.port, Tls(str(folder / certs.CA_FILE)))
    assert conn.about == cipher
    conn.close()
    server.close()


def test_an_end_says_who_ended_it(secure: tuple[ssl.SSLContext | None, Tls | None]) -> None:
    """Law: what came before the end is read first; then the end is an error with a line; a closed one stays closed."""
    server = Server(lambda sock: sock.sendall(b"last"), secure[0])
    conn = opened(server.port, secure[1])
    assert read_all(conn, 4, itertools.repeat(10)) == b"last"
    with pytest.raises(Unreachable, match=r"localhost: (closed by the peer|receive: Connection reset)"):
        read_all(conn, 1, itertools.repeat(10))
    conn.close()
    conn.close()
    assert conn.fd == -1
    for use in (lambda: conn.write(b"x"), conn.flush, lambda: conn.read(bytearray(9)), conn.handshake):
        with pytest.raises(Unreachable):
            use()
    server.close()


def test_a_stamp_is_the_kernels() -> None:
    """Law: bytes that waited are stamped with their arrival, not with the moment they were read."""
    mine, theirs = socket.create_server(("127.0.0.1", 0)), socket.socket()
    theirs.connect(mine.getsockname())
    conn = Conn(mine.accept()[0].detach(), "peer")
    assert conn.handshake() is Want.NOTHING
    for _ in range(20):  # the first segments may be older than the kernel's decision to stamp
        theirs.sendall(b"x")
        wait(conn)
        sent_ns = time.time_ns()
        while time.time_ns() - sent_ns < 2_000_000:
            pass
        conn.read(bytearray(10))
        if conn.stamp_ns <= sent_ns + 1_000_000:
            break
    else:
        pytest.fail("stamps follow the reading")
    conn.close()


def test_a_descriptor_that_is_no_socket_is_refused_and_closed() -> None:
    """Law: the connection owns what it was given, even when it cannot use it."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    conn = Conn(read_end, "x")
    conn.handshake()
    with pytest.raises(Unreachable, match="x: receive: Socket operation on non-socket"):
        conn.read(bytearray(5))
    conn.close()
    with pytest.raises(OSError):
        os.fstat(read_end)
