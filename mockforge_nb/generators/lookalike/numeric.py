"""A column's numbers and instants as plain float64, int64 or uint64, and back to the column's own type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Array: TypeAlias = npt.NDArray[Any]


def kind_of(dtype: Any) -> str:
    """Return what a column of numbers, booleans or instants is, in a word."""
    return {"b": "boolean", "M": "time", "m": "duration"}.get(dtype.kind, "number")


def numbers_of(column: pd.Series[Any]) -> tuple[Array, Array] | None:
    """Return a column as float64, int64 or uint64 and which are missing; None: it is not of numbers or instants."""
    import numpy as np
    import pandas as pd

    dtype: Any = column.dtype
    if isinstance(dtype, (pd.CategoricalDtype, pd.SparseDtype)) or dtype.kind not in "biufMm":
        return None
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind in "Mm":
        return None
    missing = column.isna().to_numpy(dtype=bool)
    if dtype.kind in "Mm":
        plain: Array = np.asarray(column.array.asi8)
        return np.where(missing, 0, plain), missing
    wide: Any = {"f": np.float64, "u": np.uint64}.get(dtype.kind, np.int64)
    if not isinstance(dtype, np.dtype):
        return column.to_numpy(dtype=wide, na_value=wide(0)), missing
    found: Array = column.to_numpy().astype(wide)
    return np.where(missing, wide(0), found) if missing.any() else found, missing


def restored(values: Array, missing: Array, dtype: Any) -> Any:
    """Return float64, int64 or uint64 as a column of this type."""
    import numpy as np
    import pandas as pd

    if dtype.kind in "Mm":
        unit = np.datetime_data(dtype)[0] if isinstance(dtype, np.dtype) else dtype.unit
        instants = values.astype(np.int64)
        instants[missing] = np.iinfo(np.int64).min  # what pandas calls NaT
        if isinstance(dtype, pd.DatetimeTZDtype):
            return pd.Series(instants.view(f"M8[{unit}]")).dt.tz_localize("UTC").dt.tz_convert(dtype.tz).array
        return instants.view(f"{dtype.kind}8[{unit}]")
    if isinstance(dtype, np.dtype):
        made = values.astype(dtype)
        if missing.any():
            made[missing] = np.nan
        return made
    column = pd.array(values.astype(dtype.numpy_dtype), dtype=dtype)
    if missing.any():
        column[missing] = pd.NA
    return column


def rounded(values: Array, digits: int | None) -> Array:
    """Return numbers with so many decimal digits."""
    import numpy as np

    return values if digits is None else np.round(values, digits) + 0.0  # no -0.0


def digits_of(values: Array, dtype: Any) -> int | None:
    """Return how many decimal digits numbers have; None: as many as a float can have."""
    import numpy as np

    some = values[np.isfinite(values)]
    some = some[:: max(1, len(some) // 10_000)]
    if not len(some) or np.abs(some).max() >= 1e15:
        return None
    # Of float32 the nearest decimal is meant: 0.1 is 0.10000000149.
    small = dtype.numpy_dtype if hasattr(dtype, "numpy_dtype") else dtype
    for digits in range(13):
        decimal = np.round(some, digits)
        # What was reckoned is a little off the decimal that is meant: 1.7000000000000002.
        if np.all((decimal.astype(small) == some.astype(small)) | (np.abs(decimal - some) <= 1e-12 * np.abs(some))):
            return digits
    return None


def limits_of(dtype: Any) -> tuple[int, int]:
    """Return the least and the largest whole number that a type can hold, and int64 too."""
    import numpy as np

    small = getattr(dtype, "numpy_dtype", dtype)
    limits = np.iinfo(small if small.kind in "iu" else np.int64)
    # The least int64 is NaT.
    return int(limits.min) + (small.kind in "mM"), min(int(limits.max), np.iinfo(np.int64).max)


def kept(values: Array, dtype: Any) -> Array:
    """Return numbers that a type can hold: floats at its ends; of whole numbers, those that count begin again."""
    import numpy as np

    if dtype.kind == "f":
        most = float(np.finfo(getattr(dtype, "numpy_dtype", dtype)).max)
        clipped: Array = np.clip(values, -most, most)
        return clipped
    low, high = limits_of(dtype)
    if values.dtype.kind == "f":
        return np.clip(values, max(low, -(2**53)), min(high, 2**53)).astype(np.int64)
    return values if high - low >= 2**62 else (values - low) % (high - low + 1) + low


def gaps_of(column: pd.Series[Any]) -> Array:
    """Return the distances of times, in order."""
    import numpy as np

    return np.diff(np.sort(present(column)))


def present(column: pd.Series[Any]) -> Array:
    """Return the numbers of a column that has some, but for those that are missing."""
    found = numbers_of(column)
    assert found is not None
    return found[0][~found[1]]


def words_of(column: pd.Series[Any]) -> list[Any]:
    """Return the values that are there; of what may not be hashed, or is equal to what it is not, their texts."""
    values = column.dropna().tolist()
    if column.dtype == object:
        return [repr(value) for value in values]
    return [value if isinstance(value, (str, int, float)) else str(value) for value in values]
