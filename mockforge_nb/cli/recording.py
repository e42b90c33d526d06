"""``mockforge-nb record``: what a real server says, as a replay file."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from . import targets, words
from .ending import Ending
from .say import Failed, aside, counted, printable, say, say_json, sized
from .serving import limit, run

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

    from mockforge_nb.wire.recorder import Recorder

LOOK_SECONDS: Final = 0.25


def record(
    url: Annotated[str, typer.Argument(help="The server: ws://… or wss://…")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="The file: .jsonl, .ndjson or .parquet.")
    ] = Path("recording.jsonl"),
    send: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Say this first; again for more, in their order.")
    ] = None,
    stdin: Annotated[bool, typer.Option("--stdin", help="Say each line of the standard input, too.")] = False,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="End after this time: 10s.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many of its messages.")] = None,
    listen: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Be a proxy at this port (0: any free one), and record your own client."),
    ] = None,
    path: Annotated[str | None, typer.Option(help="The path of --listen; /ws unless given.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A header of the handshake; it is not recorded.")
    ] = None,
    subprotocol: Annotated[list[str] | None, typer.Option(help="A subprotocol to offer; again for more.")] = None,
    redact: Annotated[
        list[str] | None, typer.Option(metavar="JSONPATH", help="What is not recorded: '$..password'.")
    ] = None,
    trust: Annotated[str | None, typer.Option(metavar="PEM", help="A file of certificates to trust.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Do not verify its certificate.")] = False,
    timeout: Annotated[str, typer.Option(help="How long the handshake may take.")] = "10s",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a recording that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Connect to a server, record what is said until Ctrl-C, and write it as a replay file.

    Only its owner may read the file, in which neither headers nor the URL's query are. With --listen it stands in
    front of the server as a proxy, and records what a client of yours says and hears.
    """
    from mockforge_nb.core.units import seconds
    from mockforge_nb.dialing import headers_of, is_token, tls_of, url_of
    from mockforge_nb.errors import OptionError
    from mockforge_nb.recordings import suffix_problem

    targets.new(out, "-o", force=force)
    for text in send or ():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise OptionError("--send", text, "is no UTF-8, which a text message is") from None
    url_of(url, "record URL")
    said = words.headers(header or ())
    verify: Any = False if insecure else trust
    if listen is not None:
        for name, value in (("--send", send), ("--stdin", stdin), ("--count", count), ("--subprotocol", subprotocol)):
            if value:
                raise OptionError(name, value, "does not go with --listen, where your own client speaks")
        from mockforge_nb.mock import Mock

        mock = Mock().proxy(
            url, record=out, redact=tuple(redact or ()), headers=said, ssl=verify, timeout=words.number(timeout)
        )
        return run(mock, {"port": listen, "path": path or "/ws"}, seconds=limit(for_), as_json=as_json)
    if path is not None:
        raise OptionError("--path", path, "goes with --listen")
    for name in subprotocol or ():
        if not is_token(name):
            raise OptionError("--subprotocol", name, "is no token (RFC 9110 §5.6.2)", "such as graphql-transport-ws")
    if problem := suffix_problem(out):
        raise OptionError("-o", str(out), problem)
    most = limit(for_)
    with Ending() as ending:
        session = _Session(
            url,
            out,
            tuple(redact or ()),
            timeout=seconds(words.number(timeout), "--timeout"),
            headers=[(name, value or "") for name, value in headers_of(said, "--header", removable=False)],
            tls=tls_of(verify, "--trust"),
            subprotocols=subprotocol or (),
        )
        if not as_json:
            aside(f"recording {session.shown} to {out}" + ("" if most or count else "; Ctrl-C ends it"))
        session.run(ending, send or (), stdin=stdin, seconds=most, count=count)
    return session.tell(as_json=as_json)


class _Session:
    """One connection to a server, and its recording."""

    def __init__(
        self, url: str, out: Path, redact: tuple[str, ...], *, timeout: float, headers: Any, tls: Any, subprotocols: Any
    ) -> None:
        from urllib.parse import urlsplit

        from mockforge_nb.core.compare import paths
        from mockforge_nb.core.plan import Recording
        from mockforge_nb.core.record import ConnectionRecord
        from mockforge_nb.core.recorded import shown_url
        from mockforge_nb.core.recording import header, rfc3339
        from mockforge_nb.wire.caller import connected
        from mockforge_nb.wire.recorder import Recorder

        self.shown, self.out = shown_url(url), out
        wanted = Recording(str(out), paths(redact, "--redact"))
        self._connection: ClientConnection = connected(
            url, self.shown, timeout=timeout, headers=headers, tls=tls, subprotocols=subprotocols
        )
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        opened = self._now()
        self._record = ConnectionRecord(
            1, urlsplit(url).path or "/", opened_ns=opened, subprotocol=self._connection.subprotocol
        )
        self._recorder: Recorder = Recorder(wanted, header(self.shown, rfc3339(opened), "client"))
        self.came = self.said = self.bytes = 0
        self.end = self._problem = ""

    def _now(self) -> int:
        # A clock that is never set back: the times of a recording only go on.
        return self._epoch_ns + time.monotonic_ns()

    def run(self, ending: Ending, send: Any, *, stdin: bool, seconds: float | None, count: int | None) -> None:
        """Say what is to be said, and take what comes until the end."""
        until = None if seconds is None else time.monotonic() + seconds
        try:
            for text in send:
                self._say(text)
            if stdin:
                threading.Thread(target=self._read_lines, daemon=True).start()
            while not (ending.over() or self._problem) and (count is None or self.came < count):
                left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, until - time.monotonic())
                if left <= 0 or not self._take(left):
                    break
        finally:
            self._connection.close()
            self._recorder.close()

    def _say(self, text: str) -> None:
        from websockets.exceptions import ConnectionClosed

        from mockforge_nb.core.log import IN
        from mockforge_nb.core.message import TEXT

        try:
            self._connection.send(text)
        except ConnectionClosed:
            return  # the loop that reads tells it
        self.said += 1
        self._recorder.tap(self._record, self._now(), IN, TEXT, text.encode(), None)

    def _read_lines(self) -> None:
        for number, line in enumerate(sys.stdin.buffer, 1):
            try:
                text = line.rstrip(b"\r\n").decode()
            except UnicodeDecodeError:
                self._problem = f"line {number} of the standard input is no UTF-8, which a text message is"
                return
            if text:
                self._say(text)

    def _take(self, seconds: float) -> bool:
        """Take the next message, if one comes; False: the server has ended the connection."""
        from websockets.exceptions import ConnectionClosed

        from mockforge_nb.core.log import OUT
        from mockforge_nb.core.message import ABORT, BINARY, CLOSE, TEXT

        try:
            data = self._connection.recv(seconds)
        except TimeoutError:
            return True
        except ConnectionClosed as closed:
            frame = closed.rcvd
            self.end = "without a close frame" if frame is None else f"{frame.code} {frame.reason}".rstrip()
            row = (ABORT, b"", None) if frame is None else (CLOSE, b"", (int(frame.code), frame.reason))
            self._recorder.tap(self._record, self._now(), OUT, *row)
            return False
        payload = data.encode() if isinstance(data, str) else data
        self.came, self.bytes = self.came + 1, self.bytes + len(payload)
        self._recorder.tap(self._record, self._now(), OUT, TEXT if isinstance(data, str) else BINARY, payload, None)
        return True

    def tell(self, *, as_json: bool) -> None:
        """Say what was recorded.

        Raises:
            Failed: It could not be written, or something that should be said could not be.
        """
        error = self._recorder.error or self._problem
        if error:
            aside(f"error: {error}")
            raise Failed
        if as_json:
            said = {"file": str(self.out), "url": self.shown, "received": self.came, "sent": self.said}
            return say_json(said | {"bytes": self.bytes, "closed": self.end or None})
        closed = f"; the server closed it ({printable(self.end)})" if self.end else ""
        return say(
            f"{self.out}: received {counted(self.came, 'message')}, {sized(self.bytes)}; "
            f"sent {counted(self.said, 'message')}{closed}"
        )
