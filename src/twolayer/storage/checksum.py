"""Checksums that results carry: of what they hold, and of the files that they were made from.

All are SHA-256, 32 hexadecimal digits of it. A netCDF file has the attributes `checksum` and `made_from`, JSON that
maps the name of a source to its checksum. A JSON file has the same as keys, a page in a comment at its end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.storage.scratch import parts_of

__all__ = [
    "KEY",
    "SOURCES",
    "of_arrays",
    "of_file",
    "of_list",
    "of_record",
    "page_record",
    "signed_page",
    "signed_record",
    "signed_rows",
]

KEY, SOURCES = "checksum", "made_from"
"""The names under which a file carries its checksum and those of its sources."""

DIGITS = 32
COMMENT, COMMENT_END = "\n<!-- twolayer: ", " -->\n"


def of_arrays(
    variables: Mapping[str, tuple[Sequence[str], Any, Mapping[str, Any]]], attributes: Mapping[str, Any]
) -> str:
    """The checksum of named arrays as netCDF holds them: names, dimensions, types, shapes, bytes, and all attributes
    but the checksum itself; in any order."""
    hashes = [hashed(json.dumps([KEY, plain(attributes)]).encode())]
    for name, (dimensions, values, described_as) in variables.items():
        array = values if hasattr(values, "dtype") else np.asarray(values)
        text = array.dtype.kind in "UO"
        kind = "text" if text else array.dtype.newbyteorder("=").str
        head = [name, list(dimensions), kind, list(array.shape), plain(described_as)]
        one = hashlib.sha256(json.dumps(head).encode())
        if text:
            one.update(json.dumps(np.asarray(array).astype(str).ravel().tolist()).encode())
        else:
            for block in blocks(array):
                one.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
        hashes.append(one.digest())
    return hashed(b"".join(sorted(hashes))).hex()[:DIGITS]


def blocks(array: Any) -> Iterator[Any]:
    """The parts of an array, one after another as they lie in memory."""
    if len(array.shape) < 2 or 0 in array.shape:
        yield np.asarray(array)
        return
    for part in parts_of(array.shape, array.dtype.itemsize):
        yield array[part]


def plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON has them, whichever types a file gives them back in, without the checksum."""
    return {
        key: value if isinstance(value, str) else np.ravel(value).tolist()
        for key, value in sorted(attributes.items())
        if key != KEY
    }


def hashed(content: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(content).digest()


def of_file(path: Path) -> str:
    """The checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]


def of_list(checksums: Iterable[str]) -> str:
    """One checksum of several, in their order."""
    return hashed("\n".join(checksums).encode()).hex()[:DIGITS]


def of_record(record: Any) -> str:
    """The checksum of what JSON can hold, without the checksums within it at the top, or in the rows of a list."""
    if isinstance(record, list):
        record = [
            {key: value for key, value in row.items() if key != KEY} if isinstance(row, Mapping) else row
            for row in record
        ]
    elif isinstance(record, Mapping):
        record = {key: value for key, value in record.items() if key != KEY}
    return hashed(json.dumps(record, sort_keys=True).encode()).hex()[:DIGITS]


def signed_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its checksum."""
    found = json.loads(json.dumps(record))  # tuples become lists, as they will when it is read
    return {**found, KEY: of_record(found)}


def signed_rows(
    rows: Sequence[Mapping[str, Any]], sources: Mapping[str, str], code: str
) -> list[dict[str, Any]]:
    """The rows of a claims.json: each with the checksums of the datasets and files that all were evaluated on, with
    the code, and with the checksum of all rows, so that none can be changed, added or left out."""
    found = [{**row, "code": code, SOURCES: dict(sources)} for row in rows]
    total = of_record(found)
    return [{**row, KEY: total} for row in found]


def signed_page(text: str, sources: Mapping[str, str], code: str) -> str:
    """A page with a comment at its end: its checksum and those of its sources."""
    record = {"code": code, SOURCES: dict(sources), KEY: hashed(text.encode()).hex()[:DIGITS]}
    written = json.dumps(record, sort_keys=True).replace("--", r"-\u002d")  # which would end the comment
    return f"{text}{COMMENT}{written}{COMMENT_END}"


def page_record(text: str) -> tuple[dict[str, Any], str]:
    """The record of a page, and the checksum of the text before it; ValueError where there is none."""
    page, found, comment = text.rpartition(COMMENT)
    if not found or not comment.endswith(COMMENT_END):
        raise ValueError("has no record at its end")
    record: dict[str, Any] = json.loads(comment.removesuffix(COMMENT_END))
    return record, hashed(page.encode()).hex()[:DIGITS]
