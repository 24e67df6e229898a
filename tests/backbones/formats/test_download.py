import hashlib
import http.server
import threading

import pytest

from mole_jax.backbones.formats.download import KERAS_RESNET50_NOTOP, OfficialFile, fetch_weights
from mole_jax.backbones.load import load_pretrained
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


def test_the_official_file_is_the_one_that_keras_names():
    from keras.src.applications import resnet

    assert KERAS_RESNET50_NOTOP.url.startswith(resnet.BASE_WEIGHTS_PATH)
    assert KERAS_RESNET50_NOTOP.name == "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert KERAS_RESNET50_NOTOP.checksum == f"md5:{resnet.WEIGHTS_HASHES['resnet50'][1]}"
