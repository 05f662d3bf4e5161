"""The template that names the outputs of a batch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, NamedTuple

_TOKEN = re.compile(r"\$\{(\w+)\}|\{([^{}]*)\}")
_OWN = frozenset({"key", "dir", "name", "stem", "suffix"})
_SERVICE = frozenset({"Number", "Page", "SheetID"})
_REPLACED_BY_SERVICE = re.compile(r"\$\{(?:Number|Page|SheetID|InventoryTriggerJobId)\}")


class OutputTemplateError(ValueError):
    """An output template that cannot name the outputs of a batch."""


class OutputNameError(ValueError):
    """The output of one object cannot be named; only this object fails."""


class _Piece(NamedTuple):
    kind: Literal["text", "own", "service"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTemplate:
    """Names the output of each object, for example ``pdf/{dir}{stem}.pdf``.

    ``{key}`` is the whole key, ``{name}`` is the part after its last ``/``, ``{stem}`` is the name without
    its suffix, ``{suffix}`` is the suffix with its dot, and ``{dir}`` holds the folders between the prefix of
    the selection and the name, each with its ``/``. The service replaces ``${Number}``, ``${Page}`` and
    ``${SheetID}`` (CreateDocProcessJobs, document/product/1045/47932).

    :raises OutputTemplateError: unknown placeholders, or page numbers that could give two objects one output.
    """

    text: str
    prefix: str = ""
    """Prefix of the selection; ``{dir}`` leaves it out."""
    _pieces: tuple[_Piece, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pieces", tuple(_split(self.text)))
        unknown = {piece.text for piece in self._pieces if piece.kind == "own"} - _OWN
        if unknown or not self.text:
            problem = f"unknown placeholder {', '.join(sorted(unknown))}" if unknown else "it is empty"
            raise OutputTemplateError(
                f"output template {self.text!r}: {problem}; "
                "use {key}, {dir}, {name}, {stem}, {suffix}"
            )
        self._check_page_numbers()

    def output_key(self, key: str) -> str:
        """The output key of an object, with the placeholders that the service replaces.

        :raises OutputNameError: the object's own key holds such a placeholder.
        """
        return self._filled(key, "${%s}")

    def first_output(self, key: str) -> str:
        """Key of the first object that the job writes: page and sheet numbers are 1.

        :raises OutputNameError: the object's own key holds a placeholder that the service replaces.
        """
        return self._filled(key, "1")

    @property
    def literal_prefix(self) -> str:
        """The text before the first placeholder; every output key begins with it."""
        first = self._pieces[0]
        return first.text if first.kind == "text" else ""

    @property
    def literal_suffix(self) -> str:
        """The text after the last placeholder; every output key ends with it."""
        last = self._pieces[-1]
        return last.text if last.kind == "text" else ""

    @property
    def has_pages(self) -> bool:
        """Whether a job may write several objects."""
        return any(piece.kind == "service" for piece in self._pieces)

    def _filled(self, key: str, service: str) -> str:
        values = self._values(key)
        used = [values[piece.text] for piece in self._pieces if piece.kind == "own"]
        # The service would replace a placeholder from the object's key, too: the batch would not find the
        # output.
        if any(_REPLACED_BY_SERVICE.search(value) for value in used):
            raise OutputNameError(
                f"the key {key!r} holds a placeholder that the service replaces in output keys; "
                "rename the object"
            )
        return "".join(
            piece.text
            if piece.kind == "text"
            else values[piece.text]
            if piece.kind == "own"
            else service.replace("%s", piece.text)
            for piece in self._pieces
        )

    def _values(self, key: str) -> dict[str, str]:
        folder, _, name = key.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        # A name such as ".profile" has no suffix.
        if not stem:
            stem, dot, suffix = name, "", ""
        root = self.prefix[: self.prefix.rfind("/") + 1]
        return {
            "key": key,
            "dir": f"{folder}/".removeprefix(root) if folder else "",
            "name": name,
            "stem": stem,
            "suffix": dot + suffix,
        }

    def _check_page_numbers(self) -> None:
        """Refuse page numbers without a separator: page 11 of ``a`` and page 1 of ``a1`` would be ``a11``."""
        placeholders = [index for index, piece in enumerate(self._pieces) if piece.kind != "text"]
        for left, right in pairwise(placeholders):
            kinds = {self._pieces[left].kind, self._pieces[right].kind}
            between = "".join(piece.text for piece in self._pieces[left + 1 : right])
            if "service" in kinds and (not between or between.isdigit()):
                raise OutputTemplateError(
                    f"output template {self.text!r}: {_shown(self._pieces[left])} and "
                    f"{_shown(self._pieces[right])} need a separator between them, such as '-'; "
                    "otherwise two objects can write the same output"
                )


def _split(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    literal, end = "", 0
    for match in _TOKEN.finditer(text):
        service, own = match[1], match[2]
        literal += text[end : match.start()]
        end = match.end()
        if service is not None and service not in _SERVICE:
            literal += match[0]  # the service has no placeholder such as ${date}: keep it as literal text
            continue
        if literal:
            pieces.append(_Piece("text", literal))
            literal = ""
        pieces.append(_Piece("service", service) if service is not None else _Piece("own", own))
    literal += text[end:]
    if literal or not pieces:
        pieces.append(_Piece("text", literal))
    return pieces


def _shown(piece: _Piece) -> str:
    return f"${{{piece.text}}}" if piece.kind == "service" else f"{{{piece.text}}}"


def first_output_of(output_key: str) -> str:
    """Key of a job's first output. Placeholders in the output key never come from the key of the object."""
    for name in ("Number", "Page", "SheetID"):
        output_key = output_key.replace(f"${{{name}}}", "1")
    return output_key.removeprefix("/")
