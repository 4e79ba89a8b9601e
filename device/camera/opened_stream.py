"""How each kind of stream is opened by PyAV: what it may be, whom it may reach, and for how long it may be silent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av

from edge_nusa.device.camera.lost import Lost
from edge_nusa.files.opening import opened_named

CODECS = "h264,hevc,mjpeg,vp8,vp9,libvpx-vp9,av1,libdav1d,mpeg4,mpeg2video,rawvideo,yuv4,wrapped_avframe"
"""Decoders that may be tried."""
FILES = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mjpeg,mpjpeg,yuv4mpegpipe"
"""Containers that a video file may be; a list of other files is none of them."""
OPTIONS: dict[str, dict[str, str]] = {
    # No UDP: it loses packets without a word, and needs ports that firewalls shut.
    "rtsp": {
        "rtsp_transport": "tcp",
        "allowed_media_types": "video",
        "protocol_whitelist": "rtsp,rtp,tcp,tls",
        "analyzeduration": "2000000",
    },
    "http": {"protocol_whitelist": "http,https,tcp,tls,httpproxy", "format_whitelist": "mpjpeg"},
    "v4l2": {"protocol_whitelist": "file"},
    "file": {"format_whitelist": FILES, "protocol_whitelist": "file"},
}
FORMATS = {"rtsp": "rtsp", "http": "mpjpeg", "v4l2": "v4l2", "file": None}


@contextmanager
def container(settings: dict[str, Any]) -> Iterator[tuple[Any, Any]]:
    """The open container and its first video stream. Raises Lost, av's errors, OSError."""
    kind, address, silence = settings["kind"], settings["address"], settings["silence"]
    options = {**OPTIONS[kind], "codec_whitelist": CODECS}
    if kind in ("rtsp", "http"):
        options["timeout" if kind == "rtsp" else "rw_timeout"] = str(int(silence * 1e6))
    if kind in ("rtsp", "http"):
        _check_host(address)
    if kind == "v4l2":  # libav says less of why it cannot be opened
        os.close(os.open(address, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    with _file(kind, address) as place:
        opened = av.open(
            place,
            "r",
            format=FORMATS[kind],
            options=options,
            metadata_errors="replace",  # a title of any bytes is no reason to see nothing
            timeout=(silence, silence),
        )
        with opened:
            if not opened.streams.video:
                raise Lost("expected a video stream, found none in it; look at the address")
            stream = opened.streams.video[0]
            stream.thread_type = "SLICE"  # threads a frame would hold frames back
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(settings["most_pixels"])}
            yield opened, stream


def _check_host(address: str) -> None:
    """Raises Lost for a host that nobody knows, which libav tells as any other failure of input."""
    try:
        socket.getaddrinfo(urlsplit(address).hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Lost(
            "expected a host of this name, found that nobody knows it; look at the name and the network, or write its "
            "number, such as 192.168.1.20"
        ) from None


@contextmanager
def _file(kind: str, address: str) -> Iterator[Any]:
    """What is opened: a file that was opened by us, or the address."""
    if kind != "file":
        yield address
        return
    with opened_named(Path(address)) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
        yield file
