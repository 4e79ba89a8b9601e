"""What a file is by its first bytes, whatever its name: one of the formats that are read, or something else with its
name."""

from __future__ import annotations

import re

HEAD_BYTES = 512
KINDS = "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF or PNM"
"""What is read, as an error says it."""
_READ = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"BM"), "BMP"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"II[*+]\x00|MM\x00[*+]"), "TIFF"),
    (re.compile(rb"P[1-6][\s#]"), "PNM"),
)
_CONVERT = "convert it to JPEG or PNG"
_OTHERS = (
    (rb"\x89PNG\r\n\x1a\n....CgBI", f"a PNG of Apple's own kind (CgBI); {_CONVERT}"),
    (rb"....ftypcrx |FUJIFILMCCD-RAW|II(\*\x00.{4}CR|RO\x08|U\x00)", "a camera's raw file; convert it to JPEG"),
    (rb"....ftyp|RIFF....AVI |\x1aE\xdf\xa3", "a video; save single pictures of it as JPEG"),
    (rb"\xff\x0a|....JXL ", f"JPEG XL; {_CONVERT}"),
    (rb"....jP  |\xffO\xffQ", f"JPEG 2000; {_CONVERT}"),
    (rb"II\xbc", f"JPEG XR; {_CONVERT}"),
    (rb"8BPS", f"a Photoshop file; {_CONVERT}"),
    (rb"%PDF", f"a PDF; {_CONVERT}"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", f"PostScript; {_CONVERT}"),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg", f"SVG; {_CONVERT}"),
    (rb"\s*<(!DOCTYPE )?html", "a web page; download the picture itself"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "an archive; unpack it"),
    (rb"version https://git-lfs", "a pointer of Git LFS; fetch the file with `git lfs pull`"),
    (rb"\x00+\Z", "nothing but zero bytes; copy or save it again"),
)
_OTHER = tuple((re.compile(pattern, re.DOTALL | re.IGNORECASE), found) for pattern, found in _OTHERS)


def kind_of(head: bytes) -> tuple[str | None, str]:
    """(the format that is read: JPEG, PNG, GIF, BMP, WEBP, AVIF, HEIC, TIFF or PNM, else None; what was found, with the
    next step).

    head: the file's first HEAD_BYTES bytes, or all there are.
    """
    brand = _brand(head)
    if brand is not None:
        return brand, ""
    found = next((text for pattern, text in _OTHER if pattern.match(head)), None)
    if found is not None:
        return None, found
    kind = next((kind for pattern, kind in _READ if pattern.match(head)), None)
    return kind, "something else or a damaged header; convert or replace it"


def _brand(head: bytes) -> str | None:
    """AVIF or HEIC by the brands of an ISO media file, None for any other file."""
    if head[4:8] != b"ftyp":
        return None
    brands = head[8 : min(len(head), int.from_bytes(head[:4], "big"))]
    names = {brands[at : at + 4] for at in range(0, len(brands), 4) if at != 4}  # the second word is a version
    if names & {b"avif", b"avis"}:
        return "AVIF"
    return (
        "HEIC"
        if names & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
        else None
    )
