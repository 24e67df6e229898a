"""Files that nobody should have in a folder of images, from a seed, and what must become of each."""

import io
import os
import signal
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from mole_jax.data.image_file import LoadedImage
from mole_jax.data.records import Record

SIZE: Final = (26, 20)
FORMATS: Final = {
    "a.png": ("PNG", {}),
    "a.jpg": ("JPEG", {"quality": 80}),
    "p.jpg": ("JPEG", {"progressive": True}),
    "a.gif": ("GIF", {}),
    "a.bmp": ("BMP", {}),
    "a.tif": ("TIFF", {}),
    "z.tif": ("TIFF", {"compression": "tiff_deflate"}),
    "a.webp": ("WEBP", {"lossless": True}),
    "a.ppm": ("PPM", {}),
}
ANY: Final = "any"  # quarantined, or decoded as well as it goes
SAME_OR_NONE: Final = "same or none"  # quarantined, or decoded to the pixels from before the damage
QUARANTINED: Final = "quarantined"
DECODED: Final = "decoded"


def write_bad_files(folder: Path, seed: int) -> dict[str, str]:
    """Writes about 1,200 files into a new folder.

    Returns:
        name below the folder -> one of the fates above.
    """
    folder.mkdir(parents=True)
    fates = {}
    for number, (name, content, fate) in enumerate([*_mutations(seed), *_bombs(), *_degenerate()]):
        path = f"{number:04d}_{name}"
        (folder / path).write_bytes(content)
        fates[path] = fate
    return fates | _odd_entries(folder)


def picture(seed: int) -> Image.Image:
    """A small noisy image."""
    width, height = SIZE
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def encoded(image: Image.Image, file_format: str, **options: object) -> bytes:
    """The image as a file."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def load_or_die(deadly: str, record: Record) -> LoadedImage:
    """Decodes any record but one, of which the process dies, as of a fault in a decoder."""
    if record.image_id == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return LoadedImage(np.zeros((224, 224, 3), np.uint8), "", 1, 1)


def load_or_die_once(marker: Path, record: Record) -> LoadedImage:
    """As if the system had taken one process for want of memory."""
    if record.image_id == "23" and not marker.exists():
        marker.touch()
        return load_or_die("23", record)
    return load_or_die("", record)


def _mutations(seed: int) -> Iterator[tuple[str, bytes, str]]:
    random = np.random.default_rng(seed)
    whole = {name: encoded(picture(0), kind, **options) for name, (kind, options) in FORMATS.items()}
    for name, data in whole.items():
        checked = SAME_OR_NONE if name.endswith("png") else ANY
        for length in (*random.integers(len(data), size=40), *(len(data) - lost for lost in (1, 2, 5))):
            yield f"cut_{name}", data[:length], SAME_OR_NONE
        for _ in range(50):
            flipped = bytearray(data)
            for position in random.integers(len(data), size=random.integers(1, 4)):
                flipped[position] ^= 1 << random.integers(8)
            yield f"flip_{name}", bytes(flipped), checked
        for _ in range(15):  # most decoders keep what decides most in the first bytes
            flipped = bytearray(data)
            flipped[random.integers(min(60, len(data)))] = random.integers(256)
            yield f"head_{name}", bytes(flipped), checked
        for other in whole:
            suffix = other.split(".")[1]
            yield f"named_{name}.{suffix}", data, DECODED
            yield f"spliced_{name}", data[: len(data) // 2] + whole[other][len(whole[other]) // 2 :], ANY
    for _ in range(40):
        yield "noise.jpg", random.bytes(random.integers(1, 3000)), ANY


def _bombs() -> Iterator[tuple[str, bytes, str]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(50_000_000))
    yield "zip.jpg", archive.getvalue(), QUARANTINED
    yield "claim.npz", npz_claim((10**6, 10**6, 10**6, 3)), QUARANTINED
    yield "nothing.jpg", b"", QUARANTINED
    laughs = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(9))
    svg = f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">{laughs}]><svg><text>&l9;</text></svg>'
    yield "laughs.svg", svg.encode(), QUARANTINED
    yield "eps.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n{} loop\n", QUARANTINED
    yield "claim.png", png(30_000, 30_000, zlib.compress(b"\0" * 90_001)), QUARANTINED
    yield "long.png", png(70_000, 2, zlib.compress(bytes(2 * 210_001))), QUARANTINED
    yield "text.png", png(*SIZE, _rows(), _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(90_000_000)))), QUARANTINED
    profile = _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(90_000_000)))
    yield "profile.png", png(*SIZE, _rows(), profile), QUARANTINED
    screen = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    yield "screen.gif", screen + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;", QUARANTINED
    frame = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    yield "frame.gif", frame + b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\2\2D\1\0;", QUARANTINED
    yield "claim.ppm", b"P6 99999 99999 255\n" + bytes(99), QUARANTINED
    yield "claim.bmp", bmp(50_000, 50_000, b"\0\1"), QUARANTINED
    yield "delta.bmp", bmp(60_000_000, 1, b"\0\2\xff\xff\0\1"), QUARANTINED
    yield (
        "claim.webp",
        b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0" + b"\x2f" + struct.pack("<I", (1 << 28) - 1) + bytes(8),
        QUARANTINED,
    )
    yield "scans.jpg", scan_bomb(2000), QUARANTINED


def _degenerate() -> Iterator[tuple[str, bytes, str]]:
    for width, height in ((0, 0), (0, 7), (7, 0)):
        yield f"{width}x{height}.png", png(width, height, zlib.compress(bytes(height))), QUARANTINED
        yield f"{width}x{height}.ppm", f"P6 {width} {height} 255\n".encode(), QUARANTINED
        yield f"{width}x{height}.bmp", bmp(width, height, b"\0\1"), QUARANTINED
        head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff,\0\0\0\0"
        yield f"{width}x{height}.gif", head + struct.pack("<HHB", width, height, 0) + b"\2\2D\1\0;", QUARANTINED
    for width, height in ((1, 1), (30_000, 1), (1, 30_000)):
        for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP"):
            yield f"{width}x{height}.{kind}", encoded(Image.new("RGB", (width, height), "brown"), kind), DECODED
    frames = [picture(seed) for seed in range(4)]
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        yield f"animated.{kind}", encoded(frames[0], kind, save_all=True, append_images=frames[1:]), DECODED
    deep = Image.fromarray(np.arange(520, dtype=np.uint16).reshape(20, 26) * 126)
    yield "deep.png", encoded(deep, "PNG"), DECODED
    yield "deep.tif", encoded(deep, "TIFF"), DECODED
    yield "deep_rgb.png", png(2, 2, zlib.compress(2 * (b"\0" + bytes(range(12)))), depth=16), DECODED
    cmyk = Image.new("CMYK", SIZE, (0, 200, 200, 30))
    yield "cmyk.jpg", encoded(cmyk, "JPEG"), DECODED
    yield "cmyk.tif", encoded(cmyk, "TIFF"), DECODED
    yield "cmyk_bad_profile.jpg", encoded(cmyk, "JPEG", icc_profile=b"no profile at all" * 9), QUARANTINED
    yield "float.tif", encoded(Image.new("F", SIZE, 0.5), "TIFF"), QUARANTINED
    yield "lab.tif", encoded(Image.new("LAB", SIZE), "TIFF"), DECODED
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    for position in range(6, len(block)):
        damaged = bytearray(block)
        damaged[position] ^= 0xFF
        yield "exif.jpg", encoded(picture(0), "JPEG", exif=bytes(damaged)), DECODED
    yield "exif.jpg", encoded(picture(0), "JPEG", exif=b"Exif\0\0" + bytes(40)), DECODED
    yield "exif.png", png(*SIZE, _rows(), _chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")), DECODED


def _odd_entries(folder: Path) -> dict[str, str]:
    """Links, pipes, folders, and names that are hard to write down."""
    good = encoded(picture(0), "PNG")
    (folder / "real.png").write_bytes(good)
    (folder / "out.png").symlink_to("/etc/passwd")
    (folder / "self.png").symlink_to("self.png")
    (folder / "there.png").symlink_to("back.png")
    (folder / "back.png").symlink_to("there.png")
    (folder / "nowhere.png").symlink_to("no such file")
    (folder / "up.png").symlink_to("..")
    (folder / "root").symlink_to("/")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "inside.png").symlink_to("real.png")
    os.mkfifo(folder / "pipe.png")
    os.mknod(folder / "socket.png", stat.S_IFSOCK | 0o600)
    (folder / "x.jpg").mkdir()
    (folder / "x.jpg" / "inner.png").write_bytes(good)
    (folder / "x.jpg" / "x.jpg").mkdir()
    odd = [
        b"new\nline.png",
        b"carriage\r.png",
        b"nul-like\\0.png",
        b'quote",.png',
        b"\xff\xfe.png",
        b"\xc3\x28.jpg",
        b"-rf.png",
    ]
    odd += [b" .png", b"...png", b"\x1b[31mred.png", "émigré.png".encode(), b"n" * 251 + b".png", b"=1+1.png"]
    names = [os.fsdecode(name) for name in odd]
    for name in names:
        (folder / name).write_bytes(good)
    quarantined = ["out", "self", "there", "back", "nowhere", "up", "zero", "pipe", "socket"]
    return (
        dict.fromkeys(names, DECODED)
        | {"real.png": DECODED, "inside.png": DECODED, "x.jpg/inner.png": DECODED, "root": QUARANTINED}
        | {f"{name}.png": QUARANTINED for name in quarantined}
    )


def npz_claim(shape: tuple[int, ...]) -> bytes:
    """A NumPy archive with MedMNIST's names, whose images declare a shape and hold nothing."""
    header, archive = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(archive, "w") as file:
        for part in ("train", "val", "test"):
            for kind in ("images", "labels"):
                file.writestr(f"{part}_{kind}.npy", header.getvalue())
    return archive.getvalue()


def png(width: int, height: int, compressed: bytes, extra: bytes = b"", *, depth: int = 8) -> bytes:
    """A PNG of any header and any pixel data; `extra` goes between them."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", compressed) + _chunk(b"IEND", b"")


def bmp(width: int, height: int, run_lengths: bytes) -> bytes:
    """A run-length encoded BMP of any size."""
    palette = bytes(1024)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(run_lengths), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(run_lengths), 0, 0, 1078) + header + palette + run_lengths


def scan_bomb(repeats: int) -> bytes:
    """A progressive JPEG with its last scan many times over: each costs a pass over all of the image."""
    data = encoded(Image.new("RGB", (640, 480)), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * repeats + data[-2:]


def _rows() -> bytes:
    return zlib.compress(b"".join(b"\0" + row.tobytes() for row in np.asarray(picture(0))))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
