"""Reads the text of a `.env` file, as the parameter `env_file` of DockerOperator takes it.

In: lines `NAME=VALUE`, with `export`, comments, quotes (in which a value may span lines) and `${NAME}` or
`${NAME:-default}`, which mean variables above, then the worker's. Out: a mapping; a name without `=` has no value.
The grammar is python-dotenv's, which DockerOperator uses and Airflow does not bring; a line that is no variable is
passed over as there. Must not show a value.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

_BLANK = re.compile(r"(?:\s+|#[^\r\n]*)*")
_NAME = re.compile(r"(?:export[^\S\r\n]+)?(?:'([^']+)'|(?!')([^=#\s]+))[^\S\r\n]*")
_EQUALS = re.compile(r"=([^\S\r\n]*)")
_SINGLE = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_BARE = re.compile(r"[^\r\n]*")
_END = re.compile(r"[^\S\r\n]*(?:#[^\r\n]*)?(?=[\r\n]|\Z)")
_REFERENCE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")


def read(text: str, outside: Mapping[str, str]) -> tuple[dict[str, str | None], list[int]]:
    """The variables of `text`, which may refer to those of `outside`; and the numbers of lines that are none."""
    found: dict[str, str | None] = {}
    strange: list[int] = []
    text = text[1:] if text.startswith("\ufeff") else text
    at = _skip(text, 0)
    while at < len(text):
        binding = _binding(text, at)
        if binding is None:
            strange.append(text.count("\n", 0, at) + 1)
            rest = _BARE.match(text, at)
            at = rest.end() if rest else len(text)
        else:
            name, value, at = binding
            found[name] = None if value is None else _resolve(value, {**outside, **found})
        at = _skip(text, at)
    return found, strange


def _binding(text: str, at: int) -> tuple[str, str | None, int] | None:
    """The variable at `at` and where it ends."""
    name = _NAME.match(text, at)
    if not name:
        return None
    value, at = None, name.end()
    equals = _EQUALS.match(text, at)
    if equals:
        read = _value(text, equals.end(), after_space=equals[1] != "")
        if read is None:
            return None
        value, at = read
    end = _END.match(text, at)
    return (name[1] or name[2], value, end.end()) if end else None


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int, *, after_space: bool) -> tuple[str, int] | None:
    first = text[at : at + 1]
    if first in ("'", '"'):
        match = (_SINGLE if first == "'" else _DOUBLE).match(text, at)
        escapes = r"\\[\\']" if first == "'" else r"\\[\\'\"abfnrtv]"
        return (_unescape(match[1], escapes), match.end()) if match else None
    # After white space, # begins a comment: `NAME= # none`; `NAME=#x` is a value.
    if after_space and first == "#":
        return "", at
    match = _BARE.match(text, at)
    line = match[0] if match else ""
    return re.sub(r"\s+#.*", "", line).rstrip(), at + len(line)


def _unescape(value: str, escapes: str) -> str:
    return re.sub(escapes, lambda match: codecs.decode(match[0], "unicode-escape"), value)


def _resolve(value: str, known: Mapping[str, str | None]) -> str:
    return _REFERENCE.sub(lambda match: known.get(match[1], match[2] or "") or "", value)
