"""The log's rows as a DataFrame: what is packed -> columns of numbers and Arrow chunks of payloads -> a frame.

What is full in the log is converted once and kept with the log's rows, for every view of them; only the chunk that
still grows is converted again. Payloads stay where they are: a text column's Arrow chunks point into the log's own
bytes, so that a frame of text costs its numbers, not its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from .core.log import BURST, FIELDS, HANDSHAKE, ROW_BYTES, Log, Rows
from .core.message import ABORT, BINARY, CLOSE, PING, PONG, TEXT

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]

DIRECTIONS: Final = ("in", "out")
OPCODES: Final = ("handshake", "text", "binary", "ping", "pong", "close", "abort")
_WIRE: Final = (HANDSHAKE, TEXT, BINARY, PING, PONG, CLOSE, ABORT)
"""The numbers of `OPCODES` in the log."""


def connections_frame(log: Log) -> pd.DataFrame:
    """Return a row for each connection, open and closed, in the order in which they came.

    Columns: `connection`, `path`, `query`, `headers` (a dict; values of one name joined by commas, RFC 9110 §5.3),
    `subprotocols` (a list), `subprotocol`, `remote`, `opened`, `closed` (UTC), `close_code`, `close_reason`,
    `messages_in`, `messages_out`, `bytes_in`, `bytes_out`.
    """
    import numpy as np
    import pandas as pd

    records = log.connections[:]
    closed_ns = [record.closed_ns for record in records]
    never = np.iinfo(np.int64).min  # what pandas calls NaT

    def objects(values: Iterable[object]) -> Array:
        column = np.empty(len(records), object)
        for row, value in enumerate(values):
            column[row] = value
        return column

    def integers(name: str) -> Array:
        return np.array([getattr(record, name) for record in records], np.int64)

    def texts(name: str) -> Any:
        return pd.array([getattr(record, name) for record in records], dtype="str")

    return pd.DataFrame(
        {
            "connection": integers("number"),
            "path": texts("path"),
            "query": texts("query"),
            "headers": objects(_headers(record.headers) for record in records),
            "subprotocols": objects(list(record.subprotocols) for record in records),
            "subprotocol": texts("subprotocol"),
            "remote": texts("remote"),
            "opened": _times(integers("opened_ns")),
            "closed": _times(np.array([never if ns is None else ns for ns in closed_ns], np.int64)),
            "close_code": pd.array([record.close_code for record in records], dtype="Int64"),
            "close_reason": pd.array(
                [None if ns is None else record.close_reason for ns, record in zip(closed_ns, records, strict=True)],
                dtype="str",
            ),
            "messages_in": integers("messages_in"),
            "messages_out": integers("messages_out"),
            "bytes_in": integers("bytes_in"),
            "bytes_out": integers("bytes_out"),
        }
    )


def _headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


@dataclass(frozen=True, slots=True)
class _Converted:
    """What was made of a log's rows; immutable, so that any number of threads may read and replace it.

    Attributes:
        seen: How many chunks there were, how many bytes of rows the last one had, and whether a proxy's were there.
        columns: The numbers of all rows.
        count: How many rows the full chunks had.
        texts: The texts of each full chunk.
        datas: The bytes of each full chunk; None: it has none.
        lost: How many of these, from the first on, show that the log has forgotten their payloads.
        frame: The DataFrame of all rows. It shares memory with `columns` and lives as long: pandas copies on
            write, also for the shallow copies that are handed out, while there is another owner.
    """

    seen: tuple[int, int, bool]
    columns: dict[str, Array]
    count: int
    texts: list[Any]
    datas: list[Array | None]
    lost: int
    frame: pd.DataFrame


def log_frame(log: Log, rows: Rows) -> pd.DataFrame:
    """Return all rows as a DataFrame that shares nothing with anybody else's."""
    import numpy as np

    known = cast("_Converted | None", rows.cache)
    chunks = rows.chunks[:]
    if known is not None and known.seen == (len(chunks), len(chunks[-1].rows), log.relays):
        return known.frame.copy(deep=False)
    done = len(known.texts) if known else 0
    parts = [chunk.snapshot() for chunk in chunks[done:]]
    columns, texts, datas = _convert(rows, parts)
    count = len(columns["time"]) - len(texts[-1])
    lost = 0
    if known:
        # Always a copy: no two frames share memory, because pandas knows of one frame's copies only.
        columns = {name: np.concatenate([known.columns[name][: known.count], new]) for name, new in columns.items()}
        texts, datas = known.texts + texts, known.datas + datas
        count += known.count
        lost = kept = known.lost
        while lost < done and chunks[lost].payloads is None:
            lost += 1
        if lost > kept:  # since the last time: what bursts sent is all that is left of them
            _, texts[kept:lost], datas[kept:lost] = _convert(rows, [c.snapshot() for c in chunks[kept:lost]])
    seen = (len(chunks), len(parts[-1][0]), log.relays)
    frame = _assemble(log, rows, columns, texts, datas)
    rows.cache = _Converted(seen, columns, count, texts[:-1], datas[:-1], lost, frame)
    return frame.copy(deep=False)


def _assemble(
    log: Log, rows: Rows, columns: dict[str, Array], texts: list[Any], datas: list[Array | None]
) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    total = len(columns["time"])
    origins, extras = log.origins[:], rows.extras[:]
    codes = {path: code for code, path in enumerate(dict.fromkeys(o.path for o in origins if o.path))}
    path_codes = np.array([codes.get(o.path, -1) for o in origins], np.int32)
    numbers = np.array([o.number for o in origins], np.int64)
    # The last is for index -1: no extra.
    closes = [close for _, close, _ in extras] + [None]
    close_codes = np.array([-1 if close is None else close[0] for close in closes], np.int64)
    data = np.full(total, None, object)
    at = 0
    for text, some in zip(texts, datas, strict=True):
        if some is not None:
            data[at : at + len(text)] = some
        at += len(text)
    origin, extra = columns["origin"], columns["extra"]
    relayed = {}
    if log.relays:
        relayed["relay"] = _looked_up([relay for _, _, relay in extras] + [None], extra)
        relayed["original"] = pd.Series(_originals(rows, total), dtype=object, copy=False)
    return pd.DataFrame(
        {
            "time": _times(columns["time"]),
            "elapsed": columns["elapsed"],
            "connection": numbers[origin],
            "path": _category(path_codes[origin], list(codes)),
            "direction": _category(columns["direction"], DIRECTIONS),
            "opcode": _category(columns["opcode"], OPCODES),
            "text": _strings(_chunked(texts)),
            "data": pd.Series(data, dtype=object, copy=False),  # said, so that pandas does not look for a dtype
            "size": columns["size"],
            "step": _nullable(columns["step"]),
            "rule": _nullable(columns["rule"]),
            "due_ms": columns["due"],
            "delay_ms": columns["delay"],
            **relayed,
            "fault": _looked_up([fault for fault, _, _ in extras] + [None], extra),
            "close_code": _nullable(close_codes[extra]),
            "close_reason": _looked_up([close and close[1] for close in closes], extra),
            "trace_id": _looked_up([o.trace_id for o in origins], origin),
        },
        copy=False,
    )


def _originals(rows: Rows, total: int) -> Array:
    """Return what came in place of what a proxy passed on; None elsewhere."""
    import numpy as np

    column = np.full(total, None, object)
    for chunk in rows.chunks[:]:
        # A copy, because another thread may add to it.
        for row, original in (chunk.originals or {}).copy().items():
            if chunk.first + row < total:
                column[chunk.first + row] = original
    return column


def _convert(
    rows: Rows, parts: Sequence[tuple[bytes, bytes | None]]
) -> tuple[dict[str, Array], list[Any], list[Array | None]]:
    """Return the numbers of all rows of some chunks, and each chunk's texts and data.

    As much as can be is done for all chunks at once: where another thread is busy, each call into numpy or Arrow
    that gives up the GIL waits to get it back.
    """
    import numpy as np

    packed = np.frombuffer(b"".join(p for p, _ in parts), [(name, "<" + code) for name, code in FIELDS])
    bounds = _sums(np.array([len(p) // ROW_BYTES for p, _ in parts]))
    burst = packed["opcode"] == BURST
    spelled = _Spelled.of(rows, packed, burst) if burst.any() else None

    def spread(name: str, kind: type = np.int64) -> Array:
        column = packed[name] if spelled is None else np.repeat(packed[name], spelled.counts)
        return column.astype(kind)

    due, delay = spread("due", np.float64), spread("delay", np.float64)
    step, rule, size, opcode = spread("step"), spread("rule"), spread("size"), spread("opcode")
    if spelled is not None:
        bounds = _sums(spelled.counts)[bounds]
        at, entry = spelled.rows, spelled.entry
        due[at] += spelled.at[entry] * delay[at]
        step[at] = spelled.numbers[entry]
        size[at], opcode[at] = spelled.sizes[entry], spelled.opcodes[entry]
        delay[at], rule[at] = np.nan, spelled.rule
    names = np.full(256, -1, np.int8)
    names[list(_WIRE)] = range(len(_WIRE))
    opcode = names[opcode]
    texts, datas = _split(_payloads([body for _, body in parts], size, bounds, spelled), opcode, bounds)
    columns = {
        "time": spread("time"),
        "elapsed": spread("elapsed", np.float64) / 1e9,
        "origin": spread("origin", np.int32),
        "direction": spread("direction", np.int8),
        "opcode": opcode,
        "size": size,
        "step": step,
        "rule": rule,
        "due": due,
        "delay": delay,
        "extra": spread("extra", np.int32),
    }
    return columns, texts, datas


def _sums(values: Array) -> Array:
    """Return 0 and the running sums."""
    import numpy as np

    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


@dataclass(frozen=True, slots=True)
class _Spelled:
    """The bursts of some packed rows, each step of a program made once however often it was sent.

    Attributes:
        counts: How many rows each packed row stands for.
        rows: Which rows are of a burst.
        entry: For each of these rows, where its payload is in the following.
        payloads: Arrow's large_binary.
        sizes: Their sizes.
        opcodes: Their opcodes.
        at: Their times in the program, in ms.
        numbers: What the traffic calls their steps.
        rule: For each of these rows, the rule that it answers by; -1: none.
    """

    counts: Array
    rows: Array
    entry: Array
    payloads: Any
    sizes: Array
    opcodes: Array
    at: Array
    numbers: Array
    rule: Array

    @classmethod
    def of(cls, rows: Rows, packed: Array, burst: Array) -> _Spelled:
        import numpy as np
        import pyarrow as pa

        counts = np.where(burst, packed["size"], 1).astype(np.int64)
        lengths = counts[burst]
        offset = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        begins, programs = packed["step"][burst].astype(np.int64), packed["rule"][burst]
        entries = np.empty(len(begins), np.int64)
        payloads: list[bytes] = []
        opcodes: list[int] = []
        at: list[Array] = []
        numbers: list[Array] = []
        for index in np.unique(programs):
            program = rows.programs[index]
            (mine,) = np.nonzero(programs == index)
            mine = mine[np.argsort(begins[mine], kind="stable")]
            begin = begins[mine]
            reach = np.maximum.accumulate(begin + lengths[mine])
            # Ranges that touch or overlap are one run; each run is made once.
            (new,) = np.nonzero(np.concatenate([[True], begin[1:] > reach[:-1]]))
            run = np.repeat(np.arange(len(new)), np.diff(np.append(new, len(mine))))
            firsts, lasts = begin[new], reach[np.append(new[1:], len(mine)) - 1]
            places = len(payloads) + np.cumsum(lasts - firsts) - (lasts - firsts)
            entries[mine] = places[run] + begin - firsts[run]
            for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
                payloads += program.payloads(first, last)
                of_all = getattr(program.steps, "opcode", None)  # a table's rows have one
                opcodes += [of_all] * (last - first) if of_all else map(program.opcode, range(first, last))
                at.append(np.asarray(program.at[first:last], np.float64))
                numbers.append(np.asarray(program.numbers(first, last), np.int64))
        return cls(
            counts=counts,
            rows=np.repeat(burst, counts),
            entry=np.repeat(entries, lengths) + offset,
            payloads=pa.array(payloads, pa.large_binary()),
            sizes=np.fromiter(map(len, payloads), np.int64, len(payloads)),
            opcodes=np.array(opcodes, np.int64),
            at=np.concatenate(at),
            numbers=np.concatenate(numbers),
            rule=np.repeat(np.array(rows.rules, np.int64)[programs], lengths),
        )

    def among(self, own: Any, rows: slice, before: int) -> Any:
        """Return the payloads of a chunk that has bursts.

        Args:
            own: The payloads of its other rows.
            rows: Its rows.
            before: How many rows of bursts come before it.
        """
        import numpy as np
        import pyarrow as pa

        of_burst = self.rows[rows]
        entry = self.entry[before : before + len(of_burst) - len(own)]
        if entry[-1] - entry[0] == len(entry) - 1 and (np.diff(entry) == 1).all():
            theirs = self.payloads.slice(entry[0], len(entry))  # one pass through a script: no copy
        else:
            theirs = self.payloads.take(pa.array(entry))
        if not len(own):
            return theirs
        place = np.empty(len(of_burst), np.int64)
        place[~of_burst] = np.arange(len(own))
        place[of_burst] = np.arange(len(own), len(of_burst))
        return pa.concat_arrays([own, theirs]).take(pa.array(place))


def _payloads(bodies: Sequence[bytes | None], size: Array, bounds: Array, spelled: _Spelled | None) -> list[Any]:
    """Return each chunk's payloads as Arrow's large_binary; chunk `i` has the rows from ``bounds[i]`` on."""
    import numpy as np
    import pyarrow as pa

    kind = pa.large_binary()
    own_bounds, sizes = bounds, size
    if spelled is not None:
        own_bounds, sizes = _sums(~spelled.rows)[bounds], size[~spelled.rows]
    # Each chunk's offsets begin with 0, so that they lead into its own bytes: one place more a chunk than rows.
    lengths, number_of = np.diff(own_bounds), np.arange(len(bodies))
    offsets = np.zeros(len(sizes) + len(bodies), np.int64)
    offsets[np.arange(len(sizes)) + np.repeat(number_of, lengths) + 1] = sizes
    offsets = np.cumsum(offsets)
    offsets -= np.repeat(offsets[own_bounds[:-1] + number_of], lengths + 1)
    chunks = []
    for index, (body, first, last) in enumerate(
        zip(bodies, own_bounds[:-1].tolist(), own_bounds[1:].tolist(), strict=True)
    ):
        if body is None:
            own = pa.nulls(last - first, kind)
        else:
            own_offsets = pa.py_buffer(offsets[first + index : last + index + 1])
            own = pa.Array.from_buffers(kind, last - first, [None, own_offsets, pa.py_buffer(body)])
        if spelled is not None and bounds[index + 1] - bounds[index] > last - first:
            own = spelled.among(own, slice(bounds[index], bounds[index + 1]), bounds[index] - first)
        chunks.append(own)
    return chunks


def _split(chunks: list[Any], opcode: Array, bounds: Array) -> tuple[list[Any], list[Array | None]]:
    """Return the texts in chunks of payloads (large_string, null elsewhere), and the bytes of what is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    none = pa.scalar(None, pa.large_binary())
    is_text = opcode <= OPCODES.index("text")  # handshake and text
    is_data = (opcode >= OPCODES.index("binary")) & (opcode <= OPCODES.index("pong"))
    text_counts, data_counts = _sums(is_text)[bounds].tolist(), _sums(is_data)[bounds].tolist()
    texts: list[Any] = []
    datas: list[Array | None] = []
    for index, chunk in enumerate(chunks):
        rows = slice(bounds[index], bounds[index + 1])
        all_text = text_counts[index + 1] - text_counts[index] == len(chunk)
        texts.append(chunk if all_text else pc.if_else(pa.array(is_text[rows]), chunk, none))
        data = None
        if data_counts[index + 1] > data_counts[index]:
            data = pc.if_else(pa.array(is_data[rows]), chunk, none).to_numpy(zero_copy_only=False)
        datas.append(data)
    try:
        pa.chunked_array(texts).cast(pa.large_string())  # checks the encoding and copies nothing
        return [text.view(pa.large_string()) for text in texts], datas
    except pa.ArrowInvalid:  # not UTF-8, which a peer cannot send: a fault's or a handler's doing
        return [_replaced(text) for text in texts], datas


def _replaced(chunk: Any) -> Any:
    import pyarrow as pa

    try:
        return chunk.cast(pa.large_string())
    except pa.ArrowInvalid:
        texts = [one if one is None else one.decode(errors="replace") for one in chunk.to_pylist()]
        return pa.array(texts, pa.large_string())


def _chunked(texts: Iterable[Any]) -> Any:
    """Return one chunked array; neighbours without any text, such as forgotten ones, are one chunk."""
    import pyarrow as pa

    chunks: list[Any] = []
    nulls = 0
    for text in texts:
        if text.null_count == len(text):
            nulls += len(text)
            continue
        if nulls:
            chunks.append(pa.nulls(nulls, pa.large_string()))
            nulls = 0
        chunks.append(text)
    if nulls:
        chunks.append(pa.nulls(nulls, pa.large_string()))
    return pa.chunked_array(chunks, pa.large_string())


def _times(ns: Array) -> Any:
    import pandas as pd

    return pd.array(ns, dtype=pd.DatetimeTZDtype("ns", "UTC"), copy=False)


def _category(codes: Array, names: Sequence[str]) -> pd.Categorical:
    import pandas as pd

    return pd.Categorical.from_codes(codes, categories=pd.Index(list(names), dtype="str"))


def _nullable(values: Array) -> Any:
    """Return an Int64 array; what is below 0 is null."""
    import pandas as pd

    return pd.arrays.IntegerArray(values, values < 0)


def _strings(values: Any) -> Any:
    import numpy as np
    import pandas as pd

    dtype = pd.StringDtype("pyarrow", na_value=np.nan)
    return pd.arrays.ArrowStringArray(values, dtype=dtype)  # type: ignore[call-arg]  # pandas-stubs lacks it


def _looked_up(values: list[str | None], index: Array) -> Any:
    """Return the strings ``values[index]``; index -1 is the last, as in numpy."""
    import numpy as np
    import pyarrow as pa

    given = np.array([value is not None for value in values])
    if not given.any() or not given[index].any():
        return _strings(pa.nulls(len(index), pa.large_string()))
    return _strings(pa.array(values, pa.large_string()).take(pa.array(index % len(values))))
