"""The load: an open loop that a stalled server cannot slow down."""

import contextlib
import socket
import threading
import time

import pytest

from asynclog.trial.load import Asked, OpenLoop, Sample
from asynclog.trial.plan import Due

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each connection on a thread of its own with what ``answer`` does to it."""

    def __init__(self, answer):
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            request = connection.recv(65536)
            self._answer(connection, request)

    def close(self):
        self._socket.close()


@pytest.fixture
def serve():
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1].port

    yield start
    for server in servers:
        server.close()


def run(port, plan, patience=20.0, start=None):
    samples, waiting = [], []

    def tell(done, now_waiting):
        samples.extend(done)
        waiting.append(now_waiting)

    OpenLoop([port], plan, patience=patience, tell=tell).run(start or time.monotonic() + 0.05)
    return sorted(samples, key=lambda sample: sample.due), waiting


def test_latency_counts_from_the_due_time_while_the_server_stalls(serve):
    released = threading.Event()
    released_at = []

    def release():
        released_at.append(time.monotonic())
        released.set()

    def stalled(connection, _):
        released.wait(20)
        connection.sendall(OK)

    port = serve(stalled)
    threading.Timer(1.0, release).start()
    plan = [Due(number / 50, 0, False) for number in range(40)]
    start = time.monotonic()
    samples, waiting = run(port, plan, start=start)
    # All were sent although none was answered; a closed loop would have sent one and hidden 39 stalls.
    assert [sample.due for sample in samples] == [due.at for due in plan]
    assert all(sample.status == 200 for sample in samples)
    # Sent when due, and answered after the release: each waited at least for the rest of the stall.
    assert all(sample.latency >= released_at[0] - start - sample.due for sample in samples)
    assert max(count for ((count, _),) in waiting) > 10


def test_its_own_lateness_is_told_and_counts(serve):
    port = serve(lambda connection, _: connection.sendall(OK))
    samples = []
    loop = OpenLoop([port], [Due(0.0, 0, False)], patience=20, tell=lambda done, _: samples.extend(done))
    loop.run(time.monotonic() - 0.5)  # started half a second late
    assert samples[0].late >= 0.5
    assert samples[0].latency >= samples[0].late
    assert samples[0].status == 200


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (OK, 200),
        (b"HTTP/1.1 500 INTERNAL SERVER ERROR\r\ncontent-length: 0\r\n\r\n", 500),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 0),
        (b"SSH-2.0-OpenSSH or what not\r\n\r\n", 0),
        (b"", 0),
    ],
)
def test_only_a_whole_answer_is_an_answer(serve, answer, status):
    samples, _ = run(serve(lambda connection, _: connection.sendall(answer)), [Due(0.0, 0, False)])
    assert [sample.status for sample in samples] == [status]


def test_an_answer_in_small_pieces_is_one_answer(serve):
    def piecewise(connection, _):
        for byte in OK:
            connection.sendall(bytes([byte]))

    samples, _ = run(serve(piecewise), [Due(0.0, 0, False)])
    assert samples[0].status == 200


def test_a_refused_connection_is_a_failed_request():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    samples, _ = run(port, [Due(0.0, 0, False), Due(0.01, 0, False)])
    assert [sample.status for sample in samples] == [0, 0]
    assert all(sample.failed for sample in samples)


def test_a_server_that_never_answers_is_given_up_after_the_patience_and_not_before(serve):
    never = threading.Event()
    port = serve(lambda *_: never.wait(20))
    samples, _ = run(port, [Due(0.0, 0, False), Due(0.1, 0, False)], patience=0.5)
    never.set()
    assert [sample.status for sample in samples] == [0, 0]
    assert all(sample.latency >= 0.5 for sample in samples)


def test_a_request_that_raises_asks_for_the_page_that_raises(serve):
    asked = []

    def answer(connection, request):
        asked.append(request.split(b" ")[1])
        connection.sendall(OK)

    run(serve(answer), [Due(0.0, 0, True), Due(0.05, 0, False)])
    assert sorted(asked) == [b"/checkout", b"/product/7"]


def test_paths_take_turns_and_headers_are_sent_the_later_in_place_of_the_earlier():
    asked = Asked(
        plain=("/a", "/b?c=d"),
        raising=("/a", "/b?c=d"),
        headers=(("host", "shop.example"), ("Cookie", "session=1")),
        raising_headers=(("X-Raise", "1"),),
    )
    first, second = (asked.request(Due(0.0, 0, number == 1, number), 8000).split(b"\r\n") for number in range(2))
    assert first == [
        b"GET /a HTTP/1.1", b"host: shop.example", b"Cookie: session=1", b"Connection: close", b"", b""
    ]  # fmt: skip
    assert second[0] == b"GET /b?c=d HTTP/1.1"
    assert b"X-Raise: 1" in second
    assert Asked.of({"plain": ["/a"], "raising": ["/a"], "headers": [["A", "b"]], "raising_headers": []}) == Asked(
        ("/a",), ("/a",), (("A", "b"),), ()
    )


@pytest.mark.parametrize(("status", "failed"), [(200, False), (302, False), (0, True), (404, True), (500, True)])
@pytest.mark.parametrize("raises", [False, True])
def test_of_the_readers_own_app_any_answer_that_is_no_error_will_do(status, failed, raises):
    assert Sample(0, 0.0, 0.0, 0.01, status, raises, lenient=True).failed is failed
