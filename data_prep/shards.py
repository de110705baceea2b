"""Files of vectors, npz or Parquet, below one folder or URL: opened once, a bounded number held."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hfpipe.errors import HfpipeError, RunError, UserError, nearest
from hfpipe.rows.remote import find_remote, shown_url

#: Bytes of vectors that are held; the shard in use may be larger.
HELD_BYTES = 512 * 2**20


class ShardFolder:
    """The shards below a root.

    Attributes:
        root: A folder, or a URL that fsspec knows (``s3://bucket/folder``).
        array: The array of an npz file, or the column of a Parquet file, with the vectors.
    """

    def __init__(self, root: str, array: str, held_bytes: int = HELD_BYTES) -> None:
        """Remember where the shards are; none is opened yet.

        Args:
            root: A folder or URL.
            array: The array's name.
            held_bytes: How much memory opened shards may take.
        """
        self.root = root.rstrip("/") or "/"
        self.array = array
        self._held_bytes = held_bytes
        self._held: OrderedDict[str, np.ndarray] = OrderedDict()

    def vectors(self, key: str) -> np.ndarray:
        """The vectors of a shard: (vectors, dim) in the float type of the file.

        Raises:
            UserError: There is no such file, it is damaged, or does not hold vectors.
            RunError: It cannot be read for another reason.
        """
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        found = self._open(key)
        self._held[key] = found
        while len(self._held) > 1 and self._bytes() > self._held_bytes:
            self._held.popitem(last=False)
        return found

    def _bytes(self) -> int:
        return sum(vectors.nbytes for vectors in self._held.values())

    def _open(self, key: str) -> np.ndarray:
        reader = next((READERS[end] for end in READERS if key.endswith(end)), None)
        if reader is None:
            raise UserError(f"{key}: shards of vectors are {' or '.join(READERS)} files")
        content = io.BytesIO(self._content(key))
        try:
            found = reader(content, self.array, key)
        except HfpipeError:
            raise
        except Exception as error:  # damaged bytes make zip, zlib, NumPy and Arrow fail their ways
            # NumPy says "allow_pickle" of object arrays and of what is no archive at all.
            cause = "" if "pickle" in str(error) else f" ({' '.join(str(error).split())[:120]})"
            raise UserError(
                f"{key}: not a readable file of vectors{cause}: write it again, as plain floats"
            ) from error
        if found.ndim != 2 or found.dtype.kind != "f":
            raise UserError(
                f"{key}: '{self.array}' is {found.dtype} of shape {found.shape}: floats of shape "
                "(vectors, dimension) are needed"
            )
        return found

    def _content(self, key: str) -> bytes:
        place = f"{self.root}/{self._inside(key)}"
        if "://" in place:
            source = next(find_remote(place), None)
            if source is None or source.files is None:
                raise UserError(f"{shown_url(place)} is a folder: '{key}' must name a file")
            with source.files.open(source.path, "rb") as file:
                return file.read()
        try:
            return Path(place).read_bytes()
        except FileNotFoundError:
            raise UserError(
                f"no file {place}: prepare.vectors.root says what '{key}' is relative to"
            ) from None
        except OSError as error:
            raise RunError(f"{place} cannot be read: {error.strerror or error}") from error

    def _inside(self, key: str) -> str:
        """A shard's place below the root; whatever the manifest says, nothing else is read."""
        inside = key.removeprefix(f"{self.root}/")
        if inside.startswith("/") or "://" in inside or ".." in inside.split("/"):
            raise UserError(
                f"'{key}' is outside {self.root}: prepare.vectors.root must be above all shards"
            )
        return inside


def _read_npz(content: io.BytesIO, array: str, key: str) -> np.ndarray:
    with np.load(content, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array, not an npz archive")
        if array not in archive.files:
            raise UserError(f"{key}: no array '{array}'{nearest(array, archive.files)}")
        return np.asarray(archive[array])


def _read_parquet(content: io.BytesIO, array: str, key: str) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    file = pq.ParquetFile(content)
    names = file.schema_arrow.names
    if array not in names:
        raise UserError(f"{key}: no column '{array}'{nearest(array, names)}")
    column = file.read([array]).column(0).combine_chunks()
    kind = column.type
    nested = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    if not any(is_list(kind) for is_list in nested):
        raise ValueError(f"column '{array}' holds {kind}, not lists of floats")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    values = column.flatten()
    if len(lengths) > 1 or column.null_count or values.null_count:
        named = ", ".join("nothing" if each is None else str(each) for each in lengths[:5])
        raise ValueError(f"column '{array}' holds vectors of {named} numbers, some may be missing")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), -1)


READERS: dict[str, Callable[[io.BytesIO, str, str], np.ndarray]] = {
    ".npz": _read_npz,
    ".parquet": _read_parquet,
}
