"""Tables that come as Arrow batches: from files, and from other libraries' tables and streams.

What is small becomes a DataFrame and can do all that one can; what is large is stored on disk, see `stored`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mockforge_nb.core.program import Program
from mockforge_nb.errors import ScriptError

from .stored import program_from_batches
from .tables import program_from_frame

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

IN_MEMORY: Final = 32 * 2**20
"""Up to how many bytes of Arrow a table that comes from elsewhere is held in memory."""

BATCH_ROWS: Final = 16_384

Opened = tuple["pa.Schema", Iterable["pa.RecordBatch"]]


class ArrowTable:
    """A table that comes in batches, once.

    Args:
        name: What errors call it.
        opened: Its schema and its batches.
        held: Whether it is in memory anyway.

    Attributes:
        columns: The names of its columns.
    """

    def __init__(self, name: str, opened: Opened, *, held: bool = False) -> None:
        self.name = name
        self._held = held
        self._schema, self._batches = opened
        self.columns: list[str] = list(self._schema.names)

    @classmethod
    def file(cls, path: str | os.PathLike[str]) -> ArrowTable:
        """Open a file whose suffix is one of `OPENERS`, or a folder of Parquet files.

        Raises:
            ScriptError: It cannot be read.
        """
        where = Path(path)
        with told(str(path)):
            schema, batches = _parquet(where) if where.is_dir() else OPENERS[where.suffix.lower()](where)
            return cls(str(path), (schema, _told(batches, str(path))))

    @classmethod
    def stream(cls, source: Any) -> ArrowTable:
        """Open whatever has ``__arrow_c_stream__``."""
        import pyarrow as pa

        name = f"<{type(source).__name__}>"
        reader = pa.RecordBatchReader.from_stream(source)
        # What pyarrow and polars have as a table is in memory already.
        held = hasattr(source, "nbytes") or hasattr(source, "estimated_size")
        return cls(name, (reader.schema, _told(reader, name)), held=held)

    def frame(self) -> pd.DataFrame:
        """Return all of it.

        Raises:
            ScriptError: It cannot be read.
        """
        import pyarrow as pa

        return to_frame(pa.Table.from_batches(list(self._batches), self._schema))

    def program(self, **options: Any) -> Program:
        """Return the program of its rows; options and errors are those of `program_from_frame`."""
        import pyarrow as pa

        kept: list[pa.RecordBatch] = []
        size, coming = 0, iter(self._batches)
        for batch in coming:
            kept.append(batch)
            size += batch.nbytes
            if size > IN_MEMORY and not self._held:
                return program_from_batches(chain(_handed_on(kept), coming), to_frame, name=self.name, **options)
        return program_from_frame(to_frame(pa.Table.from_batches(kept, self._schema)), name=self.name, **options)


def _handed_on(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches and forget them."""
    batches.reverse()
    while batches:
        yield batches.pop()


def _told(batches: Iterable[pa.RecordBatch], name: str) -> Iterator[pa.RecordBatch]:
    with told(name):
        yield from batches


@contextmanager
def told(name: str) -> Iterator[None]:
    """Turn what pyarrow raises about a table into a ScriptError that names it."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ScriptError(name, f"it cannot be read: {first}") from error


def to_frame(table: pa.Table | pa.RecordBatch) -> pd.DataFrame:
    """Return a DataFrame in which whole numbers stay whole, and booleans such, where there are gaps."""
    import pandas as pd
    import pyarrow as pa

    kinds: dict[Any, Any] = {pa.bool_(): pd.BooleanDtype()}
    for bits in (8, 16, 32, 64):
        kinds[getattr(pa, f"int{bits}")()] = getattr(pd, f"Int{bits}Dtype")()
        kinds[getattr(pa, f"uint{bits}")()] = getattr(pd, f"UInt{bits}Dtype")()
    gaps = {column.type for column in table.columns if column.null_count}
    frame: pd.DataFrame = table.to_pandas(types_mapper={kind: kinds[kind] for kind in gaps if kind in kinds}.get)
    return frame


# Files


def _parquet(path: Path) -> Opened:
    if path.is_dir():
        import pyarrow.dataset as ds

        folder = ds.dataset(path, format="parquet")
        return folder.schema, folder.to_batches(batch_size=BATCH_ROWS, batch_readahead=1, fragment_readahead=1)
    import pyarrow.parquet as pq

    # Buffered ahead, or over all row groups at once, it would hold the whole file in the end.
    file = pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
    groups = (file.iter_batches(BATCH_ROWS, [group], use_threads=False) for group in range(file.num_row_groups))
    return file.schema_arrow, chain.from_iterable(groups)


def _ipc(path: Path) -> Opened:
    import pyarrow as pa

    try:
        file = pa.ipc.open_file(pa.OSFile(str(path)))
    except pa.ArrowInvalid:  # the other of the two formats
        stream = pa.ipc.open_stream(pa.OSFile(str(path)))
        return stream.schema, stream
    return file.schema, (file.get_batch(number) for number in range(file.num_record_batches))


def _csv(path: Path) -> Opened:
    from pyarrow import csv

    separator = "\t" if ".tsv" in path.suffixes else ","
    reader = csv.open_csv(path, parse_options=csv.ParseOptions(delimiter=separator))
    return reader.schema, reader


OPENERS: Final[Mapping[str, Callable[[Path], Opened]]] = {
    ".parquet": _parquet,
    ".feather": _ipc,
    ".arrow": _ipc,
    ".csv": _csv,
    ".tsv": _csv,
}
"""What opens a file, by its suffix."""
