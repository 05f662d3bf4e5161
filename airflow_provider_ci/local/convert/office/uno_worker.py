"""Control one LibreOffice over UNO: each request and each response is one JSON line.

This script runs in the Python that has LibreOffice's ``uno`` module, so it imports nothing from this package:
``python3 uno_worker.py SOFFICE_BIN PROFILE_DIR PIPE_NAME MEMORY_BYTES FILE_BYTES``.
When stdin ends, the parent is gone; the script then kills LibreOffice and exits.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uno
import unohelper
from com.sun.star.beans import PropertyValue
from com.sun.star.io import IOException
from com.sun.star.lang import DisposedException
from com.sun.star.task import XInteractionHandler2
from com.sun.star.uno import Exception as UnoException

# Width and height in 1/100 mm, portrait, by the API's PaperSize.
PAPERS = {0: (21000, 29700), 1: (42000, 59400), 2: (84100, 118900)}
EXPORTS = (
    ("com.sun.star.sheet.SpreadsheetDocument", "calc_pdf_Export"),
    ("com.sun.star.presentation.PresentationDocument", "impress_pdf_Export"),
    ("com.sun.star.text.WebDocument", "writer_web_pdf_Export"),
    ("com.sun.star.text.GenericTextDocument", "writer_pdf_Export"),
)
PR_SET_PDEATHSIG = 1
SERVICES = {
    "word": "com.sun.star.text.TextDocument",
    "sheet": "com.sun.star.sheet.SpreadsheetDocument",
    "slides": "com.sun.star.presentation.PresentationDocument",
}
# LibreOffice picks these filters for any content that is not binary, so they prove nothing about its type.
GUESSED_FILTERS = ("Text", "Text (encoded)", "HTML (StarWriter)", "HTML", "Text - txt - csv (StarCalc)")
# Excel encrypts write-protected workbooks with this password, and opens them without asking.
DEFAULT_PASSWORD = "VelvetSweatshop"  # noqa: S105 - known to everybody
# The kinds of pages of a sheet, and the property that says that a kind shares the header or footer of the
# right pages.
PAGES = {"Right": "", "Left": "{}IsShared", "First": "FirstPage{}IsShared"}
NAME_AND_EXTENSION = 3  # com.sun.star.text.FilenameDisplayFormat
NEVER_EXECUTE_MACROS, NEVER_UPDATE_LINKS, SEARCH_ALL_FRAMES = 0, 0, 0
LIBC = ctypes.CDLL(None, use_errno=True)
IS_LEAVING = threading.Event()


class RefusedError(Exception):
    """A request that cannot be fulfilled; the arguments are code, message, and a detail only for the log."""


class Questions(unohelper.Base, XInteractionHandler2):  # type: ignore[misc]  # untyped bases
    """Leaves LibreOffice's questions unanswered while it loads, and notes whether it asked for a password."""

    def __init__(self) -> None:
        self.password_asked = False

    def handle(self, request: Any) -> None:
        """Handle a question. UNO calls this method."""
        self.handleInteractionRequest(request)

    def handleInteractionRequest(self, request: Any) -> bool:  # noqa: N802 - the name is UNO's
        """Handle a question and return whether it was answered. UNO calls this method."""
        # The request is a UNO exception, which pyuno cannot pass on. Its possible answers identify it.
        if any(hasattr(way, "setPassword") for way in request.getContinuations()):
            self.password_asked = True
        return False


def start_office(
    soffice: str, profile: Path, pipe: str, memory_bytes: int, file_bytes: int
) -> subprocess.Popen[bytes]:
    """Start LibreOffice so that it dies with this process and stays within its limits."""

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        # A core file would hold the document.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    command = [
        soffice, "--headless", "--invisible", "--norestore", "--nologo", "--nodefault",
        f"-env:UserInstallation={profile.as_uri()}", f"--accept=pipe,name={pipe};urp;",
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=prepare,
        # LibreOffice finds the libraries beside it through /proc, which a sandbox hides.
        env={**os.environ, "SAL_USE_VCLPLUGIN": "svp", "LD_LIBRARY_PATH": str(Path(soffice).parent)},
    )


def connect(pipe: str) -> Any:
    """Wait until LibreOffice listens and return its component context."""
    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
    # The parent ends this loop: it kills the process at its deadline.
    while True:
        try:
            return resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        except UnoException:
            time.sleep(0.05)


def create(context: Any, service: str) -> Any:
    """Create an instance of a LibreOffice service."""
    return context.ServiceManager.createInstanceWithContext(service, context)


def properties(**values: Any) -> tuple[Any, ...]:
    """Turn keyword arguments into UNO property values."""
    return tuple(PropertyValue(name, 0, value, 0) for name, value in values.items())


def load(context: Any, desktop: Any, request: dict[str, Any]) -> Any:
    """Open the source with its import filter, or raise RefusedError with the reason."""
    questions = Questions()
    document, reason = try_to_load(desktop, request, request["password"], questions)
    if document is None and not request["password"] and questions.password_asked:
        document, _ = try_to_load(desktop, request, DEFAULT_PASSWORD, Questions())
        if document is None:
            raise RefusedError("PasswordRequired", "the document is encrypted; give DocPassword")
    if document is None and request["password"] and is_locked(desktop, request):
        raise RefusedError("WrongPassword", "the document is encrypted and DocPassword does not open it")
    if document is None:
        document = load_by_detection(context, desktop, request)
    if document is None:
        message = "LibreOffice cannot read the document: it is damaged, or not of the type that its name says"
        raise RefusedError("DamagedFile", message, reason)
    return document


def load_by_detection(context: Any, desktop: Any, request: dict[str, Any]) -> Any:
    """Open a document of an older program, such as Word 95, with the filter that LibreOffice detects."""
    if request["kind"] not in SERVICES:
        return None
    detection = create(context, "com.sun.star.document.TypeDetection")
    url = Path(request["source"]).as_uri()
    kind, _ = detection.queryTypeByDescriptor(properties(URL=url), True)
    if not kind:
        return None
    name = {value.Name: value.Value for value in detection.getByName(kind)}.get("PreferredFilter", "")
    factory = create(context, "com.sun.star.document.FilterFactory")
    if not name or name in GUESSED_FILTERS or not factory.hasByName(name):
        return None
    found = {value.Name: value.Value for value in factory.getByName(name)}
    if found.get("DocumentService") != SERVICES[request["kind"]]:
        return None
    document, _ = try_to_load(desktop, {**request, "filter": name}, request["password"], Questions())
    return document


def is_locked(desktop: Any, request: dict[str, Any]) -> bool:
    """Return whether the source needs a password; some filters do not ask again after a wrong password."""
    questions = Questions()
    document, _ = try_to_load(desktop, request, "", questions)
    if document is not None:
        document.close(True)
    return questions.password_asked


def try_to_load(
    desktop: Any, request: dict[str, Any], password: str, questions: Questions
) -> tuple[Any, str]:
    """Return the document, or None and a reason; macros, links and questions are all refused."""
    values = {
        "Hidden": True,
        "AsTemplate": False,
        "FilterName": request["filter"],
        "MacroExecutionMode": NEVER_EXECUTE_MACROS,
        "UpdateDocMode": NEVER_UPDATE_LINKS,
        "InteractionHandler": questions,
    }
    given = {"FilterOptions": request["filter_options"], "Password": password}
    values.update({name: value for name, value in given.items() if value})
    source = Path(request["source"]).as_uri()
    try:
        return desktop.loadComponentFromURL(source, "_blank", SEARCH_ALL_FRAMES, properties(**values)), ""
    # LibreOffice is gone, so this worker has to end; that says nothing about the document.
    except DisposedException:
        raise
    except UnoException as error:
        return None, error.Message


def sheet_names(document: Any) -> list[str]:
    """Return the names of all sheets in order, including hidden sheets; none for other documents."""
    if not document.supportsService("com.sun.star.sheet.SpreadsheetDocument"):
        return []
    return list(document.Sheets.ElementNames)


def check_sheet(number: int, names: list[str]) -> None:
    """Refuse the number of a sheet that does not exist."""
    if number > len(names):
        raise RefusedError("PageOutOfRange", f"there is no sheet {number}: the document has {len(names)}")


def print_only(document: Any, number: int, names: list[str]) -> None:
    """Print one sheet; with number 0, print all sheets that are not hidden.

    Sheets are hidden and not removed, because formulas of other sheets may refer to them. LibreOffice
    prints the print areas of hidden sheets, but Excel does not, so hidden sheets lose their print areas.
    """
    # The only sheet of a workbook cannot be hidden; it is left out, because every call is slow.
    sheets = [document.Sheets.getByName(name) for name in names if len(names) > 1]
    if number and sheets:
        sheets[number - 1].IsVisible = True
        for sheet in sheets[: number - 1] + sheets[number:]:
            sheet.IsVisible = False
    for sheet in sheets:
        if not sheet.IsVisible and sheet.getPrintAreas():
            sheet.setPrintAreas(())


def set_pages(styles: list[Any], request: dict[str, Any]) -> None:
    """Set the requested paper for every sheet, and whether its cell comments are printed."""
    width, height = PAPERS[request["paper_size"]]
    is_landscape = bool(request["paper_direction"])
    values = {
        "IsLandscape": is_landscape,
        "Width": height if is_landscape else width,
        "Height": width if is_landscape else height,
        "PrintAnnotations": bool(request["comments"]),
        **({} if request["has_header"] else {"HeaderIsOn": False, "FooterIsOn": False}),
    }
    for style in styles:
        # One call sets all values, because every call is slow.
        style.setPropertyValues(tuple(values), tuple(values.values()))
        if request["fit_columns"] or request["fit_rows"]:
            style.ScaleToPagesX, style.ScaleToPagesY = request["fit_columns"], request["fit_rows"]


def page_styles(document: Any) -> list[Any]:
    """Return the page styles that sheets use; every call to a style is slow, and most styles are not used."""
    styles = document.StyleFamilies.getByName("PageStyles")
    found = [styles.getByIndex(index) for index in range(styles.Count)]
    return [style for style in found if style.isInUse()]


def accept_revisions(context: Any, document: Any) -> None:
    """Accept all tracked changes of a text document, even if it asks to be opened read-only."""
    dispatcher = create(context, "com.sun.star.frame.DispatchHelper")
    for is_editable in (False, True):
        if not document.Redlines.createEnumeration().hasMoreElements():
            return
        frame = document.CurrentController.Frame
        if is_editable:
            dispatcher.executeDispatch(frame, ".uno:EditDoc", "", 0, properties(Editable=True))
        dispatcher.executeDispatch(frame, ".uno:AcceptAllTrackedChanges", "", 0, ())
    if document.Redlines.createEnumeration().hasMoreElements():
        raise RefusedError("DamagedFile", "the tracked changes of the document cannot be accepted")


def name_file_fields(document: Any, styles: list[Any]) -> None:
    """Make file name fields show only the name, because the folder is an internal one of the local CI."""
    is_text = document.supportsService("com.sun.star.text.GenericTextDocument")
    if is_text and shorten_fields(document.TextFields):
        document.TextFields.refresh()
    for style in styles:
        name_file_in_edges(style)


def name_file_in_edges(style: Any) -> None:
    """Make file name fields in the headers and footers of a sheet's page style show only the name."""
    are_on = style.getPropertyValues(("HeaderIsOn", "FooterIsOn"))
    for edge, is_on in zip(("Header", "Footer"), are_on, strict=False):
        for page, sharing in PAGES.items() if is_on else ():
            if sharing and getattr(style, sharing.format(edge)):
                continue
            name = f"{page}Page{edge}Content"
            content = getattr(style, name)
            parts = (content.LeftText, content.CenterText, content.RightText)
            has_changed = [shorten_fields(part.TextFields) for part in parts]
            if any(has_changed):
                setattr(style, name, content)


def shorten_fields(fields: Any) -> bool:
    """Make file name fields show the name without its folder; return whether there are any such fields."""
    found = [field for field in elements(fields) if hasattr(field, "FileFormat")]
    for field in found:
        field.FileFormat = NAME_AND_EXTENSION
    return bool(found)


def elements(container: Any) -> list[Any]:
    """Return the elements of a UNO container."""
    found, enumeration = [], container.createEnumeration()
    while enumeration.hasMoreElements():
        found.append(enumeration.nextElement())
    return found


def export(document: Any, request: dict[str, Any]) -> None:
    """Write the document as PDF."""
    name = next((name for service, name in EXPORTS if document.supportsService(service)), "")
    if not name:
        raise RefusedError("UnsupportedType", "LibreOffice opened it as something that has no pages")
    data = properties(
        PageRange=f"1-{request['max_pages']}",
        ExportBookmarks=True,
        # Comments become notes of the PDF; the comments of sheets are printed instead, see set_pages.
        ExportNotes=bool(request["comments"]),
        UseTaggedPDF=False,
        IsSkipEmptyPages=True,
    )
    # pyuno passes a list of properties inside a property only as a typed value.
    filter_data = uno.Any("[]com.sun.star.beans.PropertyValue", data)
    target = Path(request["output"]).as_uri()
    try:
        uno.invoke(document, "storeToURL", (target, properties(FilterName=name, FilterData=filter_data)))
    except IOException as error:
        message = (
            "LibreOffice cannot write the PDF; the disk may be full, or the PDF too large for the local CI"
        )
        raise RefusedError("OutputFailed", message, error.Message) from None


def convert(context: Any, desktop: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Load, lay out and export one document; close it in any case."""
    document = load(context, desktop, request)
    try:
        names = sheet_names(document)
        styles = page_styles(document) if names else []
        if names:
            set_pages(styles, request)
            check_sheet(request["sheet_id"], names)
            print_only(document, request["sheet_id"], names)
        if not request["comments"] and document.supportsService("com.sun.star.text.TextDocument"):
            accept_revisions(context, document)
        name_file_fields(document, styles)
        export(document, request)
        return {"sheets": names}
    finally:
        document.close(True)


def answer(context: Any, desktop: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return the response to a request; a RefusedError becomes a response with its code and message."""
    try:
        return convert(context, desktop, request)
    except RefusedError as error:
        return dict(zip(("code", "message", "detail"), error.args, strict=False))


def read_requests(requests: queue.Queue[str], office: subprocess.Popen[bytes]) -> None:
    """Queue the lines of stdin. When stdin ends, the parent is gone: kill LibreOffice and exit."""
    for line in sys.stdin:
        requests.put(line)
    IS_LEAVING.set()
    with contextlib.suppress(OSError):
        office.kill()
    office.wait()
    # A normal exit would wait for the main thread, which may hang in a call into LibreOffice.
    os._exit(0)


def leave_with(pid: int) -> None:
    """Exit when LibreOffice ends: a call into it could otherwise wait forever."""
    # WNOWAIT leaves the dead process for office.wait() in the other thread.
    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    if end is not None and not IS_LEAVING.is_set():
        os.write(2, f"LibreOffice ended with {end.si_status}\n".encode())
        os._exit(3)


def main() -> None:
    """Start LibreOffice, report its process id, and answer one request after another."""
    soffice, profile, pipe = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    memory_bytes, file_bytes = map(int, sys.argv[4:6])
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    # Output of libraries goes to stderr, so that stdout has only responses.
    os.dup2(2, 1)
    office = start_office(soffice, profile, pipe, memory_bytes, file_bytes)
    requests: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_requests, args=(requests, office), daemon=True).start()
    threading.Thread(target=leave_with, args=(office.pid,), daemon=True).start()
    context = connect(pipe)
    desktop = create(context, "com.sun.star.frame.Desktop")
    answers.write(json.dumps({"office_pid": office.pid}) + "\n")
    while True:
        reply = answer(context, desktop, json.loads(requests.get()))
        reply["is_clean"] = not desktop.Components.createEnumeration().hasMoreElements()
        answers.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
