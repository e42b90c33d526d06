"""Every name that spans and metrics have.

OpenTelemetry's semantic conventions are followed where they have a word (HTTP spans, general attributes, version
1.37 and newer); what they have none for is ``websocket.*``.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "mockforge_nb"
"""The instrumentation scope of all spans and metrics."""

# Of spans and metrics, by the semantic conventions

ROUTE: Final = "http.route"
"""The path as the mock was told it: ``/prices/{symbol}``."""
METHOD: Final = "http.request.method"
STATUS: Final = "http.response.status_code"
PATH: Final = "url.path"
SCHEME: Final = "url.scheme"
URL: Final = "url.full"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
CLIENT_ADDRESS: Final = "client.address"
CLIENT_PORT: Final = "client.port"
USER_AGENT: Final = "user_agent.original"
PROTOCOL: Final = "network.protocol.name"
"""``websocket``."""
PROTOCOL_VERSION: Final = "network.protocol.version"
"""``13``, RFC 6455 §4.1."""
TRANSPORT: Final = "network.transport"
ERROR_TYPE: Final = "error.type"

# Of a connection's span

CONNECTION: Final = "websocket.connection"
"""The connection's number in the traffic."""
SUBPROTOCOL: Final = "websocket.subprotocol"
CLOSE_CODE: Final = "websocket.close.code"
"""RFC 6455 §7.4's; 1006: there was no close frame."""
CLOSE_REASON: Final = "websocket.close.reason"
MESSAGES_IN: Final = "websocket.messages.in"
MESSAGES_OUT: Final = "websocket.messages.out"

# Of a message's span, and of events about one

DIRECTION: Final = "websocket.direction"
"""``in`` or ``out``, as in the traffic."""
OPCODE: Final = "websocket.message.opcode"
SIZE: Final = "websocket.message.size"
"""The payload's bytes."""
STEP: Final = "websocket.step"
RULE: Final = "websocket.rule"
DUE_MS: Final = "websocket.due_ms"
DELAY_MS: Final = "websocket.delay_ms"
FAULT: Final = "websocket.fault"
"""The names of the faults that struck, joined by commas, as in the traffic."""
RELAY: Final = "websocket.relay"
COUNT: Final = "websocket.messages.count"
DETAIL: Final = "websocket.script.detail"
"""The pattern that is waited for, what follows in vain, or the step that a script goes to."""

# Names of spans

CONNECTION_SPAN: Final = "WS {}"
"""With the route, or the upstream's host."""
MESSAGE_SPAN: Final = "message {}"
"""With the direction."""

# Names of events

FAULT_EVENT: Final = "fault"
WAIT_EVENT: Final = "wait"
MATCHED_EVENT: Final = "matched"
TIMEOUT_EVENT: Final = "timeout"
BRANCH_EVENT: Final = "branch"
BURST_EVENT: Final = "burst"
"""Messages that left or came together and have no spans."""

# Names of metrics

OPEN: Final = "websocket.connections.open"
CONNECTIONS: Final = "websocket.connections"
REFUSED: Final = "websocket.handshakes.refused"
MESSAGES: Final = "websocket.messages"
BYTES: Final = "websocket.bytes"
MESSAGE_SIZE: Final = "websocket.message.size"
INJECTED_DELAY: Final = "websocket.injected_delay"
FAULTS: Final = "websocket.faults"
ERRORS: Final = "websocket.errors"
LATENESS: Final = "websocket.replay.lateness"
