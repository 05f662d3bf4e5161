"""Converts files: documents to PDF, pictures or text; pictures by rule. Knows nothing about HTTP or jobs."""

from airflow_provider_ci.local.convert.converters import Converters, RealConverters, office_missing
from airflow_provider_ci.local.convert.errors import ConversionError, ConvertersClosedError
from airflow_provider_ci.local.convert.instant import InstantConverters
from airflow_provider_ci.local.convert.options import (
    DocumentOptions,
    DocumentResult,
    PageFile,
    PictureInfo,
    PictureResult,
)
from airflow_provider_ci.local.convert.pdf.watermark import WatermarkOptions
from airflow_provider_ci.local.convert.source.archives import UnpackedFile

__all__ = [
    "ConversionError",
    "Converters",
    "ConvertersClosedError",
    "DocumentOptions",
    "DocumentResult",
    "InstantConverters",
    "PageFile",
    "PictureInfo",
    "PictureResult",
    "RealConverters",
    "UnpackedFile",
    "WatermarkOptions",
    "office_missing",
]
