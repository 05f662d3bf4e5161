"""MkDocs hooks: pages that live at the root of the repository, and links that fit both places."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT_PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
_CSS = Path(__file__).with_name("site.css")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the root, and the style sheet."""
    root = Path(config.config_file_path).parent
    for name, page in _ROOT_PAGES.items():
        text = (root / name).read_text("utf-8")
        files.append(File.generated(config, page, content=_relinked(text)))
    files.append(File.generated(config, "site.css", content=_CSS.read_text("utf-8")))
    return files


def _relinked(text: str) -> str:
    """The text with links that lead from ``docs/`` and no longer from the root."""
    text = re.sub(r"\]\(docs/", "](", text)
    for name, page in _ROOT_PAGES.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text
