"""Errors of downloads by signed links."""

from __future__ import annotations

from app.errors.base import RequestError
from app.errors.sources import SourceError


class DownloadLinkInvalid(RequestError):
    """The link was altered, or this gateway did not sign it."""

    code = "DOWNLOAD_LINK_INVALID"
    http_status = 403
    default = "Invalid download link. Request a new one."


class DownloadLinkExpired(RequestError):
    """The link was valid and is not any more."""

    code = "DOWNLOAD_LINK_EXPIRED"
    http_status = 410
    default = "The download link has expired. Request a new one."


class DownloadLinkForeign(RequestError):
    """The link was made for another caller."""

    code = "DOWNLOAD_LINK_FOREIGN"
    http_status = 403
    default = "The download link was issued to another caller."


class DownloadNotFound(RequestError):
    """The document does not exist for the caller."""

    code = "DOWNLOAD_NOT_FOUND"
    http_status = 404
    default = "No such document."


class DownloadTooLarge(SourceError):
    """The source's document exceeds `downloads.max_bytes`."""

    code = "DOWNLOAD_TOO_LARGE"
    http_status = 502
    says = "has a document that exceeds the size limit"


class DownloadNotPDF(SourceError):
    """The source answered something that is not a PDF document."""

    code = "DOWNLOAD_NOT_PDF"
    http_status = 502
    says = "did not answer a PDF document"
