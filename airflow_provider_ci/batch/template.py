"""How the outputs of a batch are named."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]*)\}")
_SERVICE_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class OutputTemplateError(ValueError):
    """An output template that cannot name the outputs of a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTemplate:
    """Names the output of each object, for example ``pdf/{dir}{stem}.pdf``.

    ``{key}`` is the whole key, ``{name}`` what follows its last ``/``, ``{stem}`` the name without suffix,
    ``{suffix}`` the suffix with its dot, ``{dir}`` the folders between the selection's prefix and the name,
    each with its ``/``. ``${Number}``, ``${Page}`` and ``${SheetID}`` are left to the service.
    """

    text: str
    prefix: str = ""
    """The selection's prefix, which ``{dir}`` leaves out."""

    def __post_init__(self) -> None:
        unknown = set(_PLACEHOLDER.findall(self.text)) - {"key", "dir", "name", "stem", "suffix"}
        if unknown or not self.text:
            problem = f"unknown {', '.join(sorted(unknown))}" if unknown else "empty"
            raise OutputTemplateError(
                f"output template {self.text!r}: {problem}; "
                "use {key}, {dir}, {name}, {stem}, {suffix}"
            )

    def output_key(self, key: str) -> str:
        """The output of the object ``key``."""
        folder, _, name = key.rpartition("/")
        stem, dot, suffix = name.rpartition(".")
        if not stem:
            stem, dot, suffix = name, "", ""
        root = self.prefix[: self.prefix.rfind("/") + 1]
        values = {
            "key": key,
            "dir": f"{folder}/".removeprefix(root) if folder else "",
            "name": name,
            "stem": stem,
            "suffix": dot + suffix,
        }
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.text)

    @property
    def literal_prefix(self) -> str:
        """What every output begins with: the text before the first placeholder."""
        return re.split(r"\$?\{", self.text, maxsplit=1)[0]


def first_output(output_key: str) -> str:
    """The key of the first object that a job with this output writes."""
    return _SERVICE_PLACEHOLDER.sub("1", output_key)
