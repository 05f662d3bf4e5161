"""Documents per second of the local CI, compared with one cold start of LibreOffice per file.

Both convert the same small documents of mixed types to PDF, two at a time, and each output is opened. The
local CI is used through its API, one signed request per job, as users do.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pypdfium2

from airflow_provider_ci.batch import Batch, ObjectSelection, Pace
from airflow_provider_ci.client import CIClient, Credentials, DocProcess
from airflow_provider_ci.local import LocalCI

WORKERS = 2
COPIES = 2
ROUNDS = 2
BUCKET = "examplebucket-1250000000"
SAMPLES = Path(__file__).parents[1] / "demo" / "samples" / "inbox"
NOT_TAKEN = {"broken-contract.docx", "owners-handbook.pdf"}
"""Samples left out: the first cannot be converted, the second needs no conversion."""


def main() -> None:
    """Convert the documents both ways and print the ratio of documents per second."""
    with tempfile.TemporaryDirectory(prefix="bench-convert-") as folder:
        documents = make_documents(Path(folder) / "documents")
        ours = peer = 0.0
        for round_number in range(ROUNDS):
            ours += with_local_ci(documents, Path(folder) / f"ours-{round_number}")
            peer += with_cold_office(documents, Path(folder) / f"peer-{round_number}")
    count = len(documents) * ROUNDS
    print(
        f"bench convert: ours {count / ours:.2f} documents per second, peer {count / peer:.2f}, "
        f"ratio {peer / ours:.1f} ({len(documents)} documents, {WORKERS} at a time, {ROUNDS} rounds; "
        "peer: soffice --convert-to pdf for each file)"
    )


def make_documents(folder: Path) -> list[Path]:
    """Copies of the sample documents, each copy under a name of its own."""
    folder.mkdir()
    sources = sorted(path for path in SAMPLES.rglob("*") if path.is_file() and path.name not in NOT_TAKEN)
    return [
        Path(shutil.copy(source, folder / f"{number:02}-{copy}{source.suffix}"))
        for copy in range(COPIES)
        for number, source in enumerate(sources)
    ]


def with_local_ci(documents: list[Path], root: Path) -> float:
    """Seconds that the local CI takes, without its start."""
    inbox = root / BUCKET / "in"
    inbox.mkdir(parents=True)
    for document in documents:
        shutil.copy(document, inbox)
    with LocalCI(root, workers=WORKERS) as server:
        credentials = Credentials(secret_id=server.secret_id, secret_key=server.secret_key)
        with CIClient(credentials, "ap-guangzhou", BUCKET, endpoint=server.endpoint) as client:
            batch = Batch(
                client,
                ObjectSelection(prefix="in/"),
                DocProcess(target="pdf"),
                "out/{name}.pdf",
                batch_id="bench",
                pace=Pace(shortest=0.1, longest=0.5),
            )
            seconds = timed(batch.run)
    check(root / BUCKET / "out" / f"{document.name}.pdf" for document in documents)
    return seconds


def with_cold_office(documents: list[Path], folder: Path) -> float:
    """Seconds that a fresh LibreOffice per file takes: two at a time, each with its own profile."""
    folder.mkdir()
    profiles: SimpleQueue[Path] = SimpleQueue()
    for place in range(WORKERS):
        profiles.put(folder / f"profile-{place}")

    def convert(document: Path) -> None:
        profile = profiles.get()
        try:
            soffice = ["soffice", "--headless", f"-env:UserInstallation=file://{profile}"]
            command = [*soffice, "--convert-to", "pdf", "--outdir", str(folder), str(document)]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        finally:
            profiles.put(profile)

    def convert_all() -> None:
        with ThreadPoolExecutor(WORKERS) as places:
            list(places.map(convert, documents))

    for document in documents[:WORKERS]:  # creates the profiles, which is not measured
        convert(document)
    seconds = timed(convert_all)
    check(folder / f"{document.stem}.pdf" for document in documents)
    return seconds


def timed(run: Callable[[], object]) -> float:
    """Wall time of a call, in seconds."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def check(outputs: Iterable[Path]) -> None:
    """Check that every output opens as a PDF with at least one page."""
    for output in outputs:
        assert len(pypdfium2.PdfDocument(output)) >= 1, output
