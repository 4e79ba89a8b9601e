"""Files that cost a reader more than their size says, and large honest ones; prints a table of what each costs.

python tests/pictures/costly.py [NAME ...]
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from heic_files import grid, saved_heic
from PIL import Image

FLAT = (120, 90, 60)
WIDE = (7000, 7000)
RECORDS = 1_500_000
COUNTED = 25_000


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """The picture as a file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]  # as Pillow's writers name them
    return buffer.getvalue()


def flat(format: str, **options: object) -> bytes:
    """49 million pixels of one colour."""
    return saved(Image.new("RGB", WIDE, FLAT), format, **options)


def small(format: str, **options: object) -> bytes:
    """64 x 64 pixels."""
    return saved(Image.new("RGB", (64, 64), FLAT), format, **options)


def camera(width: int, height: int) -> Image.Image:
    """Soft colours with a sensor's noise."""
    random = np.random.default_rng(0)
    soft = Image.fromarray(random.integers(0, 255, (height // 64 + 2, width // 64 + 2, 3), np.uint8))
    noise = random.integers(0, 14, (height, width, 1), np.uint8)
    return Image.fromarray(np.asarray(soft.resize((width, height))) // 2 + noise)


def noise(width: int, height: int) -> Image.Image:
    """Every pixel by chance."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


def in_jpeg(segment: bytes, times: int) -> bytes:
    """A small JPEG with a segment many times over at its beginning."""
    data = small("JPEG")
    return data[:2] + segment * times + data[2:]


def many_scans(times: int) -> bytes:
    """A progressive JPEG of one colour, its last scan repeated."""
    data = flat("JPEG", progressive=True, quality=50)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * (times - data.count(b"\xff\xda")) + b"\xff\xd9"


def exif(entries: int) -> bytes:
    """An EXIF segment of many large tags that share their bytes."""
    tags = [struct.pack("<HHII", 0x1000 + index, 2, 60_000, 8) for index in range(entries)]
    body = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", entries) + b"".join(tags)
    return b"\xff\xe1" + struct.pack(">H", 65_532) + body.ljust(65_530, b"\0")[:65_530]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A PNG's chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int, colour: int, channels: int, interlaced: bool) -> bytes:
    """49 million pixels of zeros under the filter that costs most, by hand: Pillow writes no 16-bit colours."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    packer, data, (width, height) = zlib.compressobj(6), b"", WIDE
    for x, y, across, down in passes if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        data += packer.compress((b"\4" + bytes(-(-bits * channels * columns // 8))) * rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    data += packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def in_png(extra: bytes) -> bytes:
    """A small PNG with chunks behind its header."""
    data = small("PNG")
    return data[:33] + extra + data[33:]


def in_gif(extra: bytes) -> bytes:
    """A small GIF with blocks before its picture."""
    data = saved(Image.new("P", (64, 64), 3), "GIF")
    at = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    return data[:at] + extra + data[at:]


def run_length_bmp(width: int, height: int, body: bytes) -> bytes:
    """A BMP of 8 bits whose pixels are runs."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 256)
    return b"BM" + struct.pack("<IHHI", 1078 + len(body), 0, 0, 1078) + header + bytes(1024) + body


def in_webp(extra: bytes) -> bytes:
    """A small WebP with chunks behind its picture."""
    data = small("WEBP") + extra
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def in_avif(extra: bytes) -> bytes:
    """A small AVIF with boxes behind its first."""
    data = small("AVIF")
    at = int.from_bytes(data[:4], "big")
    return data[:at] + extra + data[at:]


def tiff(size: tuple[int, int], compression: int, parts: list[bytes], tile: tuple[int, int] | None) -> bytes:
    """A TIFF of RGB whose parts are tiles, or one strip."""
    count, at = len(parts), 8 + 2 + 12 * 10 + 4
    lists = struct.pack("<3H", 8, 8, 8), struct.pack(f"<{count}I", *map(len, parts))
    starts = np.cumsum([at + 6 + 8 * count, *map(len, parts)])[:count]
    tags = [(256, 4, 1, size[0]), (257, 4, 1, size[1]), (258, 3, 3, at), (259, 3, 1, compression)]
    tags += [(262, 3, 1, 6 if compression == 7 else 2), (277, 3, 1, 3)]
    where, how = (at + 6, at + 6 + 4 * count) if count > 1 else (int(starts[0]), len(parts[0]))
    if tile is None:
        tags += [(273, 4, count, where), (278, 4, 1, size[1]), (279, 4, count, how), (530, 3, 2, 2 | 2 << 16)]
    else:
        tags += [(322, 4, 1, tile[0]), (323, 4, 1, tile[1]), (324, 4, count, where), (325, 4, count, how)]
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", 10) + directory + bytes(4)
    return head + lists[0] + struct.pack(f"<{count}I", *starts.tolist()) + lists[1] + b"".join(parts)


def fat_tiles() -> bytes:
    """110 tiles of 48 million pixels for a picture of 1,760 x 1,000."""
    return tiff((1760, 1000), 8, [zlib.compress(bytes(16 * 3_000_000 * 3), 9)] * 110, (16, 3_000_000))


def in_tiles(side: int, columns: int, rows: int, canvas: tuple[int, int]) -> bytes:
    """A HEIC that names one tile again and again."""
    return grid(saved_heic(Image.new("RGB", (side, side), FLAT)), columns, rows, canvas)


REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG, comments": (".jpg", lambda: in_jpeg(b"\xff\xfe\x00\x03A", RECORDS)),
    "JPEG, parts of a profile": (".jpg", lambda: in_jpeg(b"\xff\xe2\x00\x10ICC_PROFILE\0\1\1", 900_000)),
    "JPEG, segments of no length": (".jpg", lambda: in_jpeg(b"\xff\xe3\x00\x00", RECORDS)),
    "JPEG, 64 scans of 49 MP": (".jpg", lambda: many_scans(64)),
    "PNG, empty chunks": (".png", lambda: in_png(chunk(b"prVt", b"") * 1_300_000)),
    "PNG, empty pixel chunks": (".png", lambda: in_png(chunk(b"IDAT", b"") * 1_300_000)),
    "PNG, 49 MP of 48 bits": (".png", lambda: png(16, 2, 3, False)),
    "PNG, 49 MP of 64 bits, interlaced": (".png", lambda: png(16, 6, 4, True)),
    "GIF, comments": (".gif", lambda: in_gif(b"\x21\xfe\x01A\x00" * RECORDS)),
    "GIF, a comment of many parts": (".gif", lambda: in_gif(b"\x21\xfe" + b"\x01A" * RECORDS + b"\0")),
    "GIF, bytes that begin no block": (".gif", lambda: in_gif(bytes(RECORDS))),
    "BMP, runs of one": (".bmp", lambda: run_length_bmp(2800, 2900, (b"\1\5" * 2800 + b"\0\0") * 2800)),
    "BMP, moves of nothing": (".bmp", lambda: run_length_bmp(*WIDE, b"\0\2\0\0" * (15 << 18))),
    "WebP, chunks": (".webp", lambda: in_webp(b"XYZW\0\0\0\0" * RECORDS)),
    "WebP, 49 MP": (".webp", lambda: flat("WEBP", method=0)),
    "AVIF, boxes": (".avif", lambda: in_avif(b"\0\0\0\x08free" * RECORDS)),
    "AVIF, 14 MB of noise": (
        ".avif",
        lambda: saved(noise(2600, 2600), "AVIF", quality=95, speed=10, subsampling="4:4:4"),
    ),
    "HEIC, 256 tiles of 16 MP": (".heic", lambda: in_tiles(4096, 16, 16, WIDE)),
    "TIFF, tiles larger than the picture": (".tif", fat_tiles),
    "TIFF, a strip of 400 scans": (".tif", lambda: tiff(WIDE, 7, [many_scans(400)], None)),
    "PNM, comments": (".pgm", lambda: b"P2 100 100 255\n" + b"1\n#\n" * COUNTED),
}
"""What is refused, and how it is written."""
TAKEN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "JPEG, 49 MP camera": (".jpg", lambda: saved(camera(8192, 6000), "JPEG", quality=85)),
    "JPEG, 24 MP camera, progressive": (
        ".jpg",
        lambda: saved(camera(6000, 4000), "JPEG", quality=90, progressive=True),
    ),
    "JPEG, 49 MP, 10 scans": (".jpg", lambda: flat("JPEG", progressive=True)),
    "JPEG, 49 MP progressive without its end": (".jpg", lambda: flat("JPEG", progressive=True)[:-2]),
    "JPEG, 250 EXIF blocks": (".jpg", lambda: in_jpeg(exif(5000), 250)),
    "JPEG, short runs of fill in its scan": (".jpg", lambda: small("JPEG")[:-2] + b"\xff\xff\xff\0" * (4 << 20)),
    "JPEG, runs of fill": (".jpg", lambda: in_jpeg(b"\xff" * 4000 + b"\xfe\x00\x03A", 4000)),
    "PNG, 15,000 packed profiles": (
        ".png",
        lambda: in_png(chunk(b"iCCP", b"c\0\0" + zlib.compress(bytes(10**6))) * 15_000),
    ),
    "PNG, 15,000 packed texts": (
        ".png",
        lambda: in_png(chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(10**6))) * 15_000),
    ),
    "PNG, 49 MP of 24 bits, interlaced": (".png", lambda: png(8, 2, 3, True)),
    "PNG, 49 MP of 16-bit grey": (".png", lambda: png(16, 0, 1, False)),
    "GIF, 49 MP": (".gif", lambda: saved(Image.new("P", WIDE, 3), "GIF", interlace=1)),
    "BMP, 49 MP in long runs": (".bmp", lambda: run_length_bmp(*WIDE, (b"\xff\5" * 27 + b"\x73\5\0\0") * 7000)),
    "WebP, 24 MP": (".webp", lambda: saved(camera(6000, 4000), "WEBP", method=0)),
    "AVIF, 24 MP": (".avif", lambda: saved(camera(6000, 4000), "AVIF", speed=10)),
    "AVIF, 49 MP": (".avif", lambda: flat("AVIF", speed=10)),
    "HEIC, 24 MP": (".heic", lambda: saved_heic(Image.new("RGB", (6000, 4000), FLAT), quality=50, chroma=420)),
    "HEIC, 3 MP camera": (".heic", lambda: saved_heic(camera(2000, 1500), quality=80, chroma=420)),
    "HEIC, 48 MP in tiles of 0.3 MP": (".heic", lambda: in_tiles(512, 16, 12, (8064, 6048))),
    "TIFF, 49 MP, Deflate": (".tif", lambda: flat("TIFF", compression="tiff_adobe_deflate")),
    "TIFF, 49 MP, LZW": (".tif", lambda: flat("TIFF", compression="tiff_lzw")),
    "TIFF, 16 MP of noise, fax": (".tif", lambda: saved(noise(4000, 4000).convert("1"), "TIFF", compression="group4")),
    "PNM, 8 MP of digits": (".pgm", lambda: b"P2 2800 2900 9\n" + b"1 " * (2800 * 2900)),
    "PNM, 49 MP of bits": (".pbm", lambda: b"P4 7000 7000\n" + bytes(875 * 7000)),
}
"""What is decoded, and how it is written."""
DECODED = """
import sys, time
from pathlib import Path
from edge_nusa.errors import InputError
from edge_nusa.memory import peak_bytes, used_bytes
from edge_nusa.pictures.pictures import decode
for plugin in ("Jpeg", "Png", "Gif", "Bmp", "WebP", "Avif", "Tiff"): __import__(f"PIL.{plugin}ImagePlugin")
used, began = used_bytes(), time.process_time()
try: said = "decoded %d x %d" % decode(Path(sys.argv[1]), least_side=448).size
except InputError as error: said = "refused: " + str(error).split(": ", 1)[1]
print(f"{time.process_time() - began:.3f}\\t{(peak_bytes() - used) / 2**20:.0f}\\t{said}")
"""


def cost(path: Path) -> tuple[float, int, str]:
    """Seconds of processor, MiB above what the process had before, and what came of it; in a process of its own."""
    done = subprocess.run([sys.executable, "-c", DECODED, path], capture_output=True, text=True, check=True)
    seconds, mebibytes, said = done.stdout.strip().split("\t")
    return float(seconds), int(mebibytes), said


def main() -> None:
    """Print the table."""
    print("| file | MiB | seconds of processor | peak MiB | what came of it |\n|---|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, make) in {**REFUSED, **TAKEN}.items():
            if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
                continue
            path = Path(folder) / f"a{suffix}"
            path.write_bytes(make())
            seconds, mebibytes, said = cost(path)
            print(f"| {name} | {path.stat().st_size / 2**20:.1f} | {seconds:.2f} | {mebibytes} | {said} |", flush=True)


if __name__ == "__main__":
    main()
