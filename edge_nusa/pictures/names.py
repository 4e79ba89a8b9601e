"""What a name says: which files of a folder are taken for pictures, and which folders never hold a person's pictures;
and how a name is shown.

A name only decides what is looked at; the content decides what it is (`content`).
"""

from __future__ import annotations

import os
from pathlib import Path

SUFFIXES = frozenset(
    {
        *(
            ".jpg",
            ".jpeg",
            ".jpe",
            ".jfif",
            ".jfi",
            ".jif",
            ".pjpeg",
            ".pjp",
            ".mpo",
            ".png",
            ".apng",
            ".webp",
            ".avif",
        ),
        *(".tif", ".tiff", ".bmp", ".gif", ".pnm", ".ppm", ".pgm", ".pbm"),
        *(".heic", ".heif", ".hif"),
    }
)
ENDINGS = ".jpg, .png, .webp, .avif, .heic, .tif, .bmp, .gif or .ppm"
WRONG_NAME = f"not a picture by its name: expected {ENDINGS}; if it is one, rename it or convert it"
RAW = "a camera's raw file, which is not read; convert it to JPEG, or set the camera to save JPEG beside it"
VIDEO = "a video, which is not read; save single pictures of it as JPEG"
CONVERT = "a kind of picture that is not read; convert it to JPEG or PNG"
BIN = "a bin, thumbnails or a system's own folder, which is left out; to use what is in it, copy it elsewhere"
TEMPORARY = frozenset({".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".swp", ".lock"})
"""Endings of files that are still being brought; a watch says nothing of them."""
_REASONS = {
    RAW: ".3fr .arw .cr2 .cr3 .crw .dng .erf .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf "
    ".srw .x3f",
    VIDEO: ".3gp .avi .m4v .mkv .mov .mp4 .mpeg .mpg .mts .webm .wmv",
    CONVERT: ".dcm .dds .djvu .eps .exr .fit .fits .hdr .ico .icns .j2k .jp2 .jpf .jxl .jxr .pcx .pdf .pfm .ps .psb "
    ".psd .qoi .svg .svgz .tga .wdp .wmf .xcf",
}
_REASON_OF = {suffix: reason for reason, suffixes in _REASONS.items() for suffix in suffixes.split()}
NAME_FAULTS = frozenset({WRONG_NAME, *_REASONS})
_BINS = frozenset(
    {
        *(
            "$recycle.bin",
            "recycler",
            "recycled",
            "#recycle",
            "@recycle",
            "#snapshot",
            "@recently-snapshot",
            "@eadir",
            "@tmp",
            "@sharebin",
        ),
        *(
            ".@__thumb",
            ".thumbnails",
            ".thumb",
            "thumbs.db",
            "ehthumbs.db",
            ".trash",
            ".trashes",
            ".spotlight-v100",
            ".fseventsd",
        ),
        *(
            "system volume information",
            "lost+found",
            "lost.dir",
            "found.000",
            "__macosx",
            "network trash folder",
            "temporary items",
        ),
    }
)


def name_fault(path: Path) -> str | None:
    """None for a name that ends like a picture's, else why it is left out."""
    suffix = path.suffix.lower()
    return None if suffix in SUFFIXES else _REASON_OF.get(suffix, WRONG_NAME)


def is_bin(name: str) -> bool:
    """Whether a file or folder of this name is where a stick, a NAS or a system keeps what was deleted, or
    thumbnails."""
    name = name.lower()
    return name in _BINS or name.startswith(".trash-")


def printable(name: str | Path) -> str:
    """The name on one line: undecodable bytes as \\xNN; controls, ANSI escapes and invisible characters escaped."""
    return "".join(character if character.isprintable() else _escaped(character) for character in os.fspath(name))


def os_reason(error: Exception) -> str:
    """The operating system's own word for a failure, on one line."""
    return printable(getattr(error, "strerror", None) or str(error))[:100]


def _escaped(character: str) -> str:
    """`character` as its Python escape; a byte that os.fsdecode hid in a surrogate as that byte."""
    is_byte = 0xDC80 <= ord(character) <= 0xDCFF
    return f"\\x{ord(character) - 0xDC00:02x}" if is_byte else character.encode("unicode_escape").decode("ascii")
