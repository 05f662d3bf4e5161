"""Runs one job, from its input object to its output objects and its result, in a worker's thread."""

from __future__ import annotations

import base64
import hashlib
import logging
import posixpath
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from airflow_provider_ci.local.convert import (
    ConversionError,
    Converters,
    ConvertersClosedError,
    DocumentOptions,
    DocumentResult,
    PageFile,
    PictureInfo,
    PictureResult,
)
from airflow_provider_ci.local.errors import ServiceError, reason_of
from airflow_provider_ci.local.http.traits import TraitSwitch
from airflow_provider_ci.local.http.wire import universal_time
from airflow_provider_ci.local.jobs.jobs import Job, Outcome
from airflow_provider_ci.local.jobs.requests.submission import target_of
from airflow_provider_ci.local.jobs.work.files import (
    check_is_pdf,
    digest_of,
    keys_of,
    listed,
    prefix_of,
    watermark_options,
)
from airflow_provider_ci.local.objects.store import StoredObject, md5_of
from airflow_provider_ci.local.workspace import Workspace

_log = logging.getLogger(__name__)

# The value of a parameter that was not sent. A job can show another value: submission.DOC_DEFAULTS.
_MEANT_BY_DEFAULT = {
    "Comments": 0,
    "EndPage": -1,
    "ImageDpi": 96,
    "PaperDirection": 0,
    "PaperSize": 0,
    "PicPagination": 0,
    "Quality": 100,
    "SheetId": 0,
    "StartPage": 1,
    "Zoom": 100,
}


class Processor:
    """Runs jobs with ``converters``, each in a folder of its own in ``workspace``."""

    def __init__(self, workspace: Workspace, converters: Converters, traits: TraitSwitch) -> None:
        self._workspace = workspace
        self._converters = converters
        self._traits = traits

    def run(self, job: Job) -> Outcome:
        """Run the job and return its outcome. Any error becomes the outcome.

        :raises ConvertersClosedError: the server is stopping, and the job has not ended.
        """
        failure = asked_for_failure(job, self._traits)
        if failure:
            return failure
        try:
            with self._workspace.folder(job.job_id) as folder:
                return Outcome(result=_OPERATIONS[job.tag](self, job, folder))
        except (ConversionError, ServiceError) as error:
            return Outcome(code=error.code, message=error.message)
        except ConvertersClosedError:  # not a failure of the job, which runs again after the next start
            raise
        except Exception as error:
            _log.exception("job %s of %r failed inside the local CI", job.job_id, job.input_object)
            return Outcome(code="InternalError", message=f"the local CI failed: {reason_of(error)}")

    def _document(self, job: Job, folder: Path) -> dict[str, object]:
        output = job.operation["Output"]
        options = _document_options(job.operation["DocProcess"], job.secret)
        source = self._source(job, folder)
        fetch = partial(self._workspace.fetch, folder, job.bucket)
        done = self._converters.document(source, job.input_object, options, folder, fetch)
        # Nothing is published before all pages are made, so a failed conversion leaves no output behind.
        uris = [_output_name(output["Object"], page) for page in done.pages]
        for uri, page in zip(uris, done.pages, strict=True):
            self._publish(output["Bucket"], uri, page.path, options.target)
        return _document_result(done, uris)

    def _picture(self, job: Job, folder: Path) -> dict[str, object]:
        parameters, output = job.operation["PicProcess"], job.operation["Output"]
        source = self._source(job, folder)
        target = folder / f"output{source.suffix}"
        fetch = partial(self._workspace.fetch, folder, job.bucket)
        done = self._converters.picture(source, parameters["ProcessRule"], target, fetch)
        stored = self._publish(output["Bucket"], output["Object"], target, done.output.format)
        original = f'"{md5_of(source)}"' if parameters["IsPicInfo"] == "true" else ""
        return _picture_result(done, job, stored.etag, original)

    def _watermark(self, job: Job, folder: Path) -> dict[str, object]:
        sent, output = job.operation["DocWatermark"], job.operation["Output"]
        check_is_pdf(job.input_object, sent)
        source = self._source(job, folder)
        image = self._workspace.fetch(folder, job.bucket, sent["Image"])
        target = folder / "output.pdf"
        pages = self._converters.watermark(source, image, watermark_options(sent), target)
        stored = self._publish(output["Bucket"], output["Object"], target, "pdf")
        return {
            "Etag": f'"{stored.etag}"',
            "Size": str(stored.file.size),
            "TotalPageCount": str(pages),
        }

    def _hash_code(self, job: Job, folder: Path) -> dict[str, object]:
        sent = job.operation["FileHashCodeConfig"]
        kind = sent["Type"].upper()
        source = self._source(job, folder)
        digest = digest_of(source, kind)
        stored = self._workspace.stored(job.bucket, job.input_object.removeprefix("/"))
        if stored is None:
            raise ServiceError("ResourceNotFound", f"input object {job.input_object!r} was deleted")
        if sent.get("AddToHeader") == "true":
            self._workspace.add_header(stored, f"x-cos-meta-{kind.lower()}", digest)
        return {
            kind: digest,
            "Etag": f'"{stored.etag}"',
            "FileSize": str(source.stat().st_size),
            "LastModified": universal_time(int(stored.modified)),
        }

    def _uncompress(self, job: Job, folder: Path) -> dict[str, object]:
        sent, output = job.operation["FileUncompressConfig"], job.operation["Output"]
        source, key = self._source(job, folder), job.input_object.removeprefix("/")
        made = folder / "unpacked"
        made.mkdir()
        unpacked = self._converters.unpack(source, key, base64.b64decode(job.secret).decode(), made)
        names = keys_of([file.name for file in unpacked], prefix_of(sent, key))
        stored = [
            self._publish(output["Bucket"], name, file.path, posixpath.splitext(name)[1].removeprefix("."))
            for name, file in zip(names, unpacked, strict=True)
        ]
        listing = {"FileList": listed(stored)} if sent.get("ListingFile") == "true" else {}
        place = {"Bucket": output["Bucket"], "Region": output["Region"]}
        return {**place, "FileCount": str(len(stored)), **listing}

    def _source(self, job: Job, folder: Path) -> Path:
        copy = self._workspace.source(folder, job.bucket, job.input_object.removeprefix("/"))
        if copy is None:
            raise ServiceError(
                "ResourceNotFound", f"input object {job.input_object!r} does not exist in bucket {job.bucket}"
            )
        return copy

    def _publish(self, bucket: str, name: str, path: Path, file_type: str) -> StoredObject:
        return self._workspace.publish(bucket, name.removeprefix("/"), path, file_type)


_OPERATIONS = {
    "DocProcess": Processor._document,
    "DocWatermark": Processor._watermark,
    "FileHashCode": Processor._hash_code,
    "FileUncompress": Processor._uncompress,
    "PicProcess": Processor._picture,
}

_NO_PAGE = PageFile(number=1, page=1, sheet=0, pic_num=1, path=Path())
_NO_DOCUMENT = DocumentResult(total_pages=1, total_sheets=0, pages=(_NO_PAGE,))
_NO_IMAGE = PictureInfo(format="png", width=1, height=1, size=0, quality=100, orientation=0, ave="0xFFFFFF")
_NO_PICTURE = PictureResult(output=_NO_IMAGE, original=_NO_IMAGE)


def asked_for_failure(job: Job, traits: TraitSwitch) -> Outcome | None:
    """Return the failure that the traits demand; None if the job is to run."""
    failure = traits.now_on.failure_of(job.input_object)
    return Outcome(code=failure.code, message=failure.message) if failure else None


def pretended(job: Job) -> Outcome:
    """The success of a job that has read and written nothing: one page, or a picture of 0 bytes."""
    if job.tag == "DocProcess":
        name = job.operation["Output"]["Object"]
        return Outcome(result=_document_result(_NO_DOCUMENT, [_output_name(name, _NO_PAGE)]))
    if job.tag != "PicProcess":
        return Outcome(result=dict(_PRETENDED_RESULTS[job.tag]))
    return Outcome(
        result=_picture_result(_NO_PICTURE, job, hashlib.md5(usedforsecurity=False).hexdigest(), "")
    )


_PRETENDED_RESULTS: Mapping[str, Mapping[str, str]] = {
    "DocWatermark": {"Size": "0", "TotalPageCount": "1"},
    "FileHashCode": {"FileSize": "0"},
    "FileUncompress": {"FileCount": "0"},
}


def _document_options(sent: Mapping[str, str], password: str) -> DocumentOptions:
    """Convert the parameters; a missing parameter, or page 0, means the documented default (1045/47932)."""
    value = {**_MEANT_BY_DEFAULT, **{name: int(sent[name]) for name in _MEANT_BY_DEFAULT if name in sent}}
    return DocumentOptions(
        target=target_of(sent),
        source_type=sent.get("SrcType", ""),
        # Real responses echo an omitted StartPage as 0 (1045/51266), so both mean the same.
        start_page=value["StartPage"] or 1,
        end_page=value["EndPage"] or -1,
        page_ranges=sent.get("PageRanges", ""),
        sheet_id=value["SheetId"],
        paper_direction=value["PaperDirection"],
        paper_size=value["PaperSize"],
        image_params=sent.get("ImageParams", ""),
        password=password,
        comments=value["Comments"],
        quality=value["Quality"],
        zoom=value["Zoom"],
        image_dpi=value["ImageDpi"],
        pic_pagination=value["PicPagination"],
    )


def _output_name(template: str, page: PageFile) -> str:
    """The key of a page's output; on sheets, ``${Number}`` counts within the sheet."""
    numbers = {
        "${Number}": page.pic_num if page.sheet else page.number,
        "${Page}": page.page,
        "${SheetID}": page.sheet,
    }
    for placeholder, number in numbers.items():
        template = template.replace(placeholder, str(number))
    return template


def _document_result(done: DocumentResult, uris: list[str]) -> dict[str, object]:
    sheets = Counter(page.sheet for page in done.pages)
    total_sheets = {"TotalSheetCount": str(done.total_sheets)} if done.total_sheets else {}
    return {
        "FailPageCount": "0",
        "PageInfo": [_page_info(page, uri, sheets) for page, uri in zip(done.pages, uris, strict=True)],
        "SuccPageCount": str(len(uris)),
        "TaskId": "",
        "TgtType": "",
        "TotalPageCount": str(done.total_pages),
        **total_sheets,
    }


def _page_info(page: PageFile, uri: str, sheets: Counter[int]) -> dict[str, str]:
    """Page number and key of an output; on a sheet, the sheet's number and three more counts."""
    if not page.sheet:
        return {"PageNo": str(page.page), "TgtUri": uri}
    return {
        "PageNo": str(page.sheet),
        "PicIndex": str(page.number),
        "PicNum": str(page.pic_num),
        "TgtUri": uri,
        "X-SheetPics": str(sheets[page.sheet]),
    }


def _picture_result(done: PictureResult, job: Job, etag: str, original: str) -> dict[str, object]:
    """The result in both shapes that the API pages show, because each official SDK reads only one of them.

    Java reads the shape of the callback sample (1045/50337), Go reads ``UploadResult`` (1045/73035).
    ``original`` is the ETag of the source, ``""`` if its information was not requested.
    """
    output = job.operation["Output"]
    picture = {
        "Format": done.output.format,
        "Height": str(done.output.height),
        "Quality": str(done.output.quality),
        "Size": str(done.output.size),
        "Width": str(done.output.width),
    }
    info = {"ImageInfo": _image_info(done.original)}
    source = {
        "Key": job.input_object,
        "Location": _location(job.bucket, job.region, job.input_object),
        "ETag": original,
        **info,
    }
    made = {
        "Key": output["Object"],
        "Location": _location(output["Bucket"], output["Region"], output["Object"]),
        **picture,
        "ETag": f'"{etag}"',
    }
    return {
        "ObjectName": output["Object"],
        **({"OriginalInfo": {"Etag": original, **info}} if original else {}),
        "ProcessResult": {"Etag": f'"{etag}"', **picture},
        "UploadResult": {
            **({"OriginalInfo": source} if original else {}),
            "ProcessResults": {"Object": made},
        },
    }


def _location(bucket: str, region: str, key: str) -> str:
    return f"{bucket}.cos.{region}.myqcloud.com/{key.removeprefix('/')}"


def _image_info(picture: PictureInfo) -> dict[str, str]:
    return {
        "Ave": picture.ave,
        "Format": picture.format,
        "Height": str(picture.height),
        "Orientation": str(picture.orientation),
        "Quality": str(picture.quality),
        "Width": str(picture.width),
    }
