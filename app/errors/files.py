"""A file of a source cannot be imported. Each is an entry of the ledger; the file is set aside, not deleted."""

from __future__ import annotations

from app.errors.base import TradegraphError


class FileRefused(TradegraphError):
    """Root of the reasons. `detail` names lines and columns, never values."""

    code = "FILE_REFUSED"
    default = "The file cannot be imported."


class FileTruncated(FileRefused):
    """The file ends too early, is empty, or holds far fewer rows than what it replaces."""

    code = "FILE_TRUNCATED"
    default = "The file is incomplete."


class FileEncodingWrong(FileRefused):
    """The bytes are not text in the configured encoding."""

    code = "FILE_ENCODING_WRONG"
    default = "The file is not in the configured encoding."


class FileMalformed(FileRefused):
    """The file has not the configured format, or lacks columns."""

    code = "FILE_MALFORMED"
    default = "The file does not have the configured format."


class FileTooWide(FileRefused):
    """A row has more columns or bytes than the limits allow."""

    code = "FILE_TOO_WIDE"
    default = "A row of the file exceeds the limit of columns or bytes."


class FileTooLarge(FileRefused):
    """The content is larger than the limit, or compressed beyond any real data."""

    code = "FILE_TOO_LARGE"
    default = "The file is larger than the limit."


class FileNameRefused(FileRefused):
    """The name is no plain file name."""

    code = "FILE_NAME_REFUSED"
    default = "The name of the file is not allowed."


class FileNotRegular(FileRefused):
    """A symbolic link, a device or a pipe."""

    code = "FILE_NOT_REGULAR"
    default = "The entry is no regular file."


class FileNameReused(FileRefused):
    """A file of this name was received before, and names are configured to be unique."""

    code = "FILE_NAME_REUSED"
    default = "A file of this name was received before."


class FileDuplicated(FileRefused):
    """A file with this content was received before."""

    code = "FILE_DUPLICATED"
    default = "A file with this content was received before."


class FileOutdated(FileRefused):
    """The file is older than the one whose rows it would replace."""

    code = "FILE_OUTDATED"
    default = "The file is older than the rows that it would replace."


class FileTooManyRejected(FileRefused):
    """More rows are rejected than the feed allows, so that the mapping or the file must be wrong."""

    code = "FILE_TOO_MANY_REJECTED"
    default = "Too many rows of the file are rejected."


class FileChanged(FileRefused):
    """The file was written to while it was read. It is read again once it is stable."""

    code = "FILE_CHANGED"
    default = "The file is still being written."
