"""The loop lets other threads of its process have their turn."""

from __future__ import annotations

import subprocess
import sys

from mockforge_nb import Mock
from mockforge_nb.pytest_plugin import WsMock
from mockforge_nb.wire.courtesy import AFTER, NAP, Courtesy

from .raw import PATIENCE

READER = """
import socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.sendall(
    b"GET /ws HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n"
)
buffer = bytearray(1 << 20)
while peer.recv_into(buffer):
    pass
"""


class Machine:
    """A clock and a processor time that stand where they are put."""

    def __init__(self) -> None:
        self.now = self.used = 0.0
        self.slept: list[float] = []
        self.courtesy = Courtesy(lambda: self.now, lambda: self.used, self.slept.append)

    def passes(self, seconds: float, *, working: float) -> None:
        """Let time pass, of which the loop's thread works a part, in events of 0.1 ms."""
        for _ in range(round(seconds / 0.0001)):
            self.now += 0.0001
            self.used += 0.0001 * working
            self.courtesy.turn(self.now)


def test_a_loop_that_works_on_end_rests_now_and_then() -> None:
    machine = Machine()
    machine.passes(1, working=1)
    assert 0.8 / AFTER <= len(machine.slept) <= 1 / AFTER
    assert set(machine.slept) == {NAP}


def test_a_loop_that_waits_for_its_peers_does_not_rest_besides() -> None:
    machine = Machine()
    machine.passes(1, working=0.5)
    assert machine.slept == []


def test_a_loop_that_was_idle_for_long_is_not_told_to_rest_by_what_it_did_before() -> None:
    machine = Machine()
    machine.passes(0.0019, working=1)
    machine.now += 60
    machine.courtesy.turn(machine.now)
    assert machine.slept == []


def test_a_cell_is_served_while_a_template_is_pushed_without_end(ws_mock: WsMock) -> None:
    # Both on threads of this process: without rests, each of these round trips took seconds.
    script = [{"text": '{"id": "{{uuid}}", "n": {{randInt 10 99}}}'}] * 1000
    server = ws_mock(Mock().replay(script, speed="max", loop=True).route("/echo", Mock().echo()))
    reader = subprocess.Popen([sys.executable, "-c", READER, str(server.port)])
    try:
        server.wait_connected(timeout=PATIENCE)
        for turn in range(10):
            with server.client("/echo") as client:
                client.send(str(turn))
                assert client.recv(timeout=PATIENCE) == str(turn)
        assert len(server.traffic) > 1000
    finally:
        reader.kill()
        reader.wait()
