"""Spans and metrics of a mock that an ASGI server serves."""

from __future__ import annotations

import urllib.request

from websockets.sync.client import connect

from mockforge_nb import Mock
from mockforge_nb.telemetry import names
from tests.wire.hosts import hosted

from .test_spans import connection, ended


def test_the_same_as_of_a_server() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app = Mock().trace().metrics(prometheus=True).echo().asgi()
    with hosted(app) as url:
        with connect(f"{url}/ws", additional_headers={"traceparent": parent}, proxy=None) as client:
            client.send("x")
            assert client.recv() == "x"
        frame = ended(app)
        page = urllib.request.urlopen(url.replace("ws://", "http://") + "/metrics").read().decode()
    assert frame["name"].tolist() == ["WS /ws", "message in", "message out"]
    mine = connection(frame)
    assert (mine["trace_id"], mine["parent_id"]) == (parent[3:35], parent[36:52])
    assert mine["attributes"][names.SERVER_PORT] == int(url.rpartition(":")[2])
    assert 'websocket_messages_total{http_route="/ws"' in page
    app.stop()
    assert app.metrics.df["metric"].tolist().count(names.MESSAGES) == 2
