"""A publisher on this machine, which misbehaves as it is told, and small archives of the published layouts."""

import dataclasses
import http.server
import io
import re
import threading
import zipfile
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from mole_jax.data.download.official import OFFICIAL


@dataclasses.dataclass
class Page:
    """What one address gives.

    Attributes:
        body: its bytes.
        status: instead of 200.
        etag: sent with it.
        breaks: for each of the first answers, after how many bytes the connection is cut.
        ranges: whether it can go on from the middle.
        fails: how many answers are 503 first.
        says: a Content-Length that is not true.
        redirect: where the file really lies.
    """

    body: bytes = b""
    status: int = 200
    etag: str = '"one"'
    breaks: list[int] = dataclasses.field(default_factory=list)
    ranges: bool = True
    fails: int = 0
    says: int | None = None
    redirect: str = ""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server.site
        site.requests.append((self.path, self.headers.get("Range")))
        page = site.pages.get(self.path, Page(b"<html>nothing here</html>", status=404))
        if page.fails:
            page.fails -= 1
            return self.answer(503, b"busy", page)
        if page.redirect:
            self.send_response(303)
            self.send_header("Location", page.redirect)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        start = self.start_of(page)
        if start is None or page.status != 200:
            return self.answer(page.status, page.body, page)
        if start >= len(page.body):
            return self.answer(416, b"", page)
        return self.answer(206, page.body[start:], page, span=f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")

    def start_of(self, page):
        """The first byte that is wanted; None: the whole file."""
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", page.etag) == page.etag
        return int(wanted[1]) if wanted and page.ranges and same else None

    def answer(self, status, body, page, span=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if page.says is None else page.says))
        self.send_header("Connection", "close")
        if page.etag:
            self.send_header("ETag", page.etag)
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        self.wfile.write(body[: page.breaks.pop(0)] if page.breaks and status in (200, 206) else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@dataclasses.dataclass
class Site:
    base: str
    pages: dict[str, Page] = dataclasses.field(default_factory=dict)
    requests: list[tuple[str, str | None]] = dataclasses.field(default_factory=list)

    def put(self, path, **page):
        """put(path, body=..., ...): a page, as `Page` describes it."""
        self.pages[path] = Page(**page)


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.site = Site(f"http://127.0.0.1:{server.server_address[1]}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.site
        server.shutdown()
        thread.join()


@pytest.fixture
def make_zip():
    """make_zip({name: bytes}, ...): an archive; names are written as they are, hostile ones too."""

    def make(entries, *, mode=None, compression=zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for name, body in entries.items() if isinstance(entries, dict) else entries:
                info = zipfile.ZipInfo("x")
                info.filename = info.orig_filename = name
                info.compress_type = compression
                info.external_attr = ((mode or 0o100644) << 16) if not name.endswith("/") else 0o40755 << 16
                archive.writestr(info, body)
        return buffer.getvalue()

    return make


def photograph(seed):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


class Published:
    """The three sources with twenty-four images instead of ten thousand, as their publishers lay them out."""

    IDS: ClassVar = [f"ISIC_{24306 + i:07d}" for i in range(24)]
    MELANOMA: ClassVar = [i // 2 % 3 == 0 for i in range(24)]

    def __init__(self, make_zip):
        images = {f"{name}.jpg": photograph(i) for i, name in enumerate(self.IDS)}
        halves = [dict(list(images.items())[:12]), dict(list(images.items())[12:])]
        header = '"lesion_id"\t"image_id"\t"dx"\t"dx_type"\t"age"\t"sex"\t"localization"\t"dataset"'
        rows = [
            f'"HAM_{i // 2:07d}"\t"{name}"\t"{"mel" if mel else "nv"}"\t"histo"\t50.0\t"male"\t"back"\t"vidir_modern"'
            for i, (name, mel) in enumerate(zip(self.IDS, self.MELANOMA, strict=True))
        ]
        masks = {f"HAM10000_segmentations_lesion_tschandl/{name}_segmentation.png": b"mask" for name in self.IDS}
        hot = [f"{name},{float(mel)},{float(not mel)},0.0,0.0,0.0,0.0,0.0" for name, mel in self.pairs()]
        truth = "\n".join(["image,MEL,NV,BCC,AKIEC,BKL,DF,VASC", *hot, ""]).encode()
        lesions = [f"{name},HAM_{i // 2:07d},histopathology" for i, name in enumerate(self.IDS)]
        self.pages = {
            "/4338392": Page("\n".join([header, *rows, ""]).encode()),
            "/3172585": Page(make_zip(halves[0])),
            "/3172584": Page(make_zip({**halves[1], "__MACOSX/._ISIC_0024318.jpg": b"fork"})),
            "/3838943": Page(make_zip(masks)),
            "/ISIC2018_Task3_Training_LesionGroupings.csv": Page(
                "\n".join(["image,lesion_id,diagnosis_confirm_type", *lesions, ""]).encode()
            ),
        }
        for part in ("Training", "Test"):
            name = f"ISIC2018_Task3_{part}_Input"
            inside = {f"{name}/{image}": body for image, body in images.items()}
            self.pages[f"/{name}.zip"] = Page(make_zip({f"{name}/": b"", **inside, f"{name}/LICENSE.txt": b"CC"}))
            name = f"ISIC2018_Task3_{part}_GroundTruth"
            self.pages[f"/{name}.zip"] = Page(make_zip({f"{name}/{name}.csv": truth}))

    def pairs(self):
        return zip(self.IDS, self.MELANOMA, strict=True)


@pytest.fixture
def published(site, make_zip):
    """The small sources, on the site; gives their pages by address."""
    made = Published(make_zip)
    site.pages |= made.pages
    return made


@pytest.fixture
def dataverse():
    files = tuple(dataclasses.replace(file, size=0, md5="") for file in OFFICIAL["dataverse"].files)
    return dataclasses.replace(OFFICIAL["dataverse"], images=24, files=files)
