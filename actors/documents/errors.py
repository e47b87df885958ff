"""Why a document cannot be read.

RoostError
└── DocumentError
    ├── NoSuchDocument      the path or glob names nothing
    ├── NotAFile            the path names a folder, or a pipe, socket or device
    ├── NothingToRead       the arguments hold no readable document at all
    ├── TooManyDocuments    more files than the limit
    ├── EmptyDocument       no text in it
    ├── BinaryDocument      bytes that are neither text nor a format that can be converted
    ├── DocumentTooLarge    past a size limit
    ├── DocumentChanged     it changed while it was being read
    ├── SecretDocument      by its name or content it holds keys or passwords
    ├── ConverterMissing    the extra that reads this format is not installed
    ├── ConversionFailed    the converter gave up, ran out of its limits, or hung
    └── FetchFailed         a URL could not be read
        └── AddressRefused  a URL leads to an address that is not public
"""

from __future__ import annotations

from roost.streams.errors import RoostError


class DocumentError(RoostError):
    """A document cannot be read; the message is one line that says why and what to do."""


class NoSuchDocument(DocumentError):
    """The path or glob names nothing."""


class NotAFile(DocumentError):
    """The path names a folder, or a pipe, socket or device."""


class NothingToRead(DocumentError):
    """The arguments hold no readable document at all."""


class TooManyDocuments(DocumentError):
    """More files than the limit."""


class EmptyDocument(DocumentError):
    """There is no text in it."""


class BinaryDocument(DocumentError):
    """Its bytes are neither text nor a format that can be converted."""


class DocumentTooLarge(DocumentError):
    """It is past a size limit."""


class DocumentChanged(DocumentError):
    """It changed, or went away, while it was being read."""


class SecretDocument(DocumentError):
    """By its name or its content it holds keys or passwords, which must not reach a model."""


class ConverterMissing(DocumentError):
    """The extra that reads this format is not installed."""


class ConversionFailed(DocumentError):
    """The converter gave up, ran out of its limits, or hung and was ended."""


class FetchFailed(DocumentError):
    """A URL could not be read."""


class AddressRefused(FetchFailed):
    """A URL leads to an address that is not public."""
