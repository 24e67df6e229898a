import dataclasses
import hashlib
import json
import sys
import types

import pytest

from mole_jax.data.download.kaggle import obtain_kaggle
from mole_jax.data.download.obtain import obtain
from mole_jax.data.download.official import OFFICIAL
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError
from mole_jax.files.lock import exclusive


@pytest.fixture
def get(site, published, dataverse, tmp_path):
    """get(): the small dataverse source, from the site."""
    return lambda **options: obtain(
        dataverse, tmp_path / "dv", **({"licence_accepted": True, "base": site.base, "pause": 0} | options)
    )


def test_without_the_licence_nothing_is_fetched(get, site, tmp_path):
    with pytest.raises(UserError, match=r"licence CC BY-NC 4.0 .*nothing has been fetched; give --accept_licence"):
        get(licence_accepted=False)
    assert site.requests == []
    assert list(tmp_path.iterdir()) == []


def test_dataverse_becomes_a_source_that_prepare_reads(get, tmp_path):
    source = get()
    listing = list_source(source)
    assert (listing.layout, listing.files, len(listing.records), listing.quarantined) == ("ham10000", 24, 24, ())
    assert sum(record.label for record in listing.records) == 8
    assert len({record.lesion_id for record in listing.records}) == 12
    assert (listing.records[0].age, listing.records[0].dx_type) == (50.0, "histo")
    assert len(list((tmp_path / "dv" / "unpacked" / "extra").rglob("*_segmentation.png"))) == 24
    recorded = json.loads((tmp_path / "dv" / "downloads.json").read_text())
    assert set(recorded) == {file.name for file in OFFICIAL["dataverse"].files}
    assert all(len(entry["sha256"]) == 64 and entry["url"].startswith("http") for entry in recorded.values())
    summary = prepare("ham", source, data_dir=tmp_path / "data", workers=1)
    assert (summary.facts.images, summary.facts.protocol, summary.facts.leaky) == (24, "grouped", False)


def test_the_second_use_fetches_nothing_and_unpacks_nothing(get, site):
    source = get()
    first = next(source.rglob("*.jpg"))
    before = first.stat().st_mtime_ns
    site.requests.clear()
    assert get() == source
    assert site.requests == []
    assert first.stat().st_mtime_ns == before


def test_a_file_that_has_changed_since_is_refused_by_name(get, tmp_path):
    get()
    path = tmp_path / "dv" / "HAM10000_images_part_1.zip"
    body = bytearray(path.read_bytes())
    body[40] ^= 1
    path.write_bytes(body)
    with pytest.raises(UserError, match=r"part_1.zip has changed since it was downloaded .sha256 \w+ then, \w+ now"):
        get()
    path.write_bytes(body[:-1])
    with pytest.raises(UserError, match=r"part_1.zip has changed .*bytes then, [\d,]+ now.; delete it"):
        get()
    path.unlink()
    assert len(list(get().rglob("*.jpg"))) == 24


@pytest.mark.parametrize("harm", ["unlink", "truncate"])
def test_what_is_missing_among_the_unpacked_is_unpacked_again(get, site, harm):
    victim = next(get().rglob("*.jpg"))
    whole = victim.read_bytes()
    victim.unlink() if harm == "unlink" else victim.write_bytes(whole[:-1])
    site.requests.clear()
    get()
    assert victim.read_bytes() == whole
    assert site.requests == []


def test_another_archive_is_unpacked_anew(get, tmp_path, make_zip, published):
    source = get()
    archive = tmp_path / "dv" / "HAM10000_images_part_1.zip"
    archive.unlink()
    published.pages["/3172585"].body = make_zip({"ISIC_0024306.jpg": b"another"})
    get()
    assert (source / "HAM10000_images_part_1" / "ISIC_0024306.jpg").read_bytes() == b"another"
    assert len(list((source / "HAM10000_images_part_1").iterdir())) == 1


def test_files_that_were_put_there_by_hand_are_taken(get, site, tmp_path, published):
    (tmp_path / "dv").mkdir()
    (tmp_path / "dv" / "HAM10000_images_part_1.zip").write_bytes(published.pages["/3172585"].body)
    get()
    assert "/3172585" not in [path for path, _ in site.requests]
    assert "HAM10000_images_part_1.zip" in json.loads((tmp_path / "dv" / "downloads.json").read_text())


def test_a_web_page_that_was_put_there_by_hand_is_not(get, tmp_path):
    (tmp_path / "dv").mkdir()
    (tmp_path / "dv" / "HAM10000_images_part_1.zip").write_bytes(b"<html>Sign in</html>")
    with pytest.raises(UserError, match=r"part_1.zip gave a web page instead of a zip archive"):
        get()


def test_a_hostile_archive_leaves_nothing_behind_and_what_was_there_stays(get, tmp_path, make_zip, published):
    source = get()
    (tmp_path / "dv" / "HAM10000_images_part_2.zip").unlink()
    published.pages["/3172584"].body = make_zip({"../../evil.jpg": b"evil"})
    with pytest.raises(UserError, match=r"part_2.zip is refused: its entry '../../evil.jpg' would leave the folder"):
        get()
    assert not list(tmp_path.rglob("evil.jpg"))
    assert len(list(source.rglob("*.jpg"))) == 24, "the earlier images are still whole"
    assert not list((tmp_path / "dv").glob(".*incomplete"))


def test_a_broken_record_says_what_to_do(get, tmp_path):
    get()
    (tmp_path / "dv" / "downloads.json").write_text("{")
    with pytest.raises(UserError, match=r"downloads.json is damaged .*delete it to take the files beside it"):
        get()


@pytest.mark.parametrize("change", [{"size": 12}, {"md5": "0" * 32}])
def test_other_bytes_than_the_published_ones_are_not_kept(dataverse, site, published, tmp_path, change):
    files = tuple(dataclasses.replace(f, **change) if f.address == "3172584" else f for f in dataverse.files)
    official = dataclasses.replace(dataverse, files=files)
    how = "bytes, not 12" if "size" in change else f"MD5 .{{32}}, not {'0' * 32}"
    with pytest.raises(UserError, match=rf"3172584 gave another file than its publisher describes \(.*{how}\)"):
        obtain(official, tmp_path / "dv", licence_accepted=True, base=site.base, pause=0)
    assert not list((tmp_path / "dv").glob("*part_2*"))


def test_the_published_bytes_are_taken(dataverse, site, published, tmp_path, caplog):
    files = tuple(
        dataclasses.replace(f, size=len(body), md5=hashlib.md5(body).hexdigest())
        for f in dataverse.files
        for body in [published.pages[f"/{f.address}"].body]
    )
    with caplog.at_level("INFO"):
        obtain(dataclasses.replace(dataverse, files=files), tmp_path / "dv", licence_accepted=True, base=site.base)
    assert "gives no digest" not in caplog.text


def test_a_file_without_a_published_digest_is_named(get, published, caplog):
    with caplog.at_level("INFO"):
        get()
    assert "HAM10000_metadata.tab: its publisher gives no digest, so that it was compared with nothing" in caplog.text


def test_two_at_a_time_are_refused(get, tmp_path):
    with (
        exclusive(tmp_path / "dv", busy="held"),
        pytest.raises(UserError, match=r"another process .*wait for it or stop it"),
    ):
        get()


def test_isic_2018_becomes_a_training_and_an_external_set(site, published, tmp_path):
    made = {}
    for name in ("isic2018", "isic2018_test"):
        official = OFFICIAL[name]
        source = obtain(official, tmp_path / name, licence_accepted=True, base=site.base, pause=0)
        summary = prepare(name, source, protocol=official.protocol, data_dir=tmp_path / "data", workers=1)
        made[name] = summary.facts
    assert made["isic2018"].layout == "ham10000"
    assert sum(map(sum, made["isic2018"].counts.values())) == 24
    assert made["isic2018_test"].counts == {"train": [0, 0], "validation": [0, 0], "test": [16, 8]}
    assert made["isic2018_test"].channel_mean == []
    assert [made[name].quarantined for name in made] == [1, 1], "LICENSE.txt"


def test_the_published_addresses_are_as_published():
    """The ids of Dataverse and the names of the challenge; whether they answer cannot be tested here."""
    dataverse = OFFICIAL["dataverse"]
    assert {dataverse.base + file.address: file.name for file in dataverse.files} == {
        "https://dataverse.harvard.edu/api/access/datafile/3172585": "HAM10000_images_part_1.zip",
        "https://dataverse.harvard.edu/api/access/datafile/3172584": "HAM10000_images_part_2.zip",
        "https://dataverse.harvard.edu/api/access/datafile/4338392": "HAM10000_metadata.tab",
        "https://dataverse.harvard.edu/api/access/datafile/3838943": "HAM10000_segmentations_lesion_tschandl.zip",
    }
    bucket = "https://isic-challenge-data.s3.amazonaws.com/2018/ISIC2018_Task3_"
    challenge = [OFFICIAL[name] for name in ("isic2018", "isic2018_test")]
    assert {source.base + file.address for source in challenge for file in source.files} == {
        f"{bucket}Training_Input.zip",
        f"{bucket}Training_GroundTruth.zip",
        f"{bucket}Training_LesionGroupings.csv",
        f"{bucket}Test_Input.zip",
        f"{bucket}Test_GroundTruth.zip",
    }


def test_kaggle_needs_its_client(monkeypatch):
    with pytest.raises(UserError, match=r"HAM10000.*CC BY-NC 4.0.*give --accept_licence"):
        obtain_kaggle(licence_accepted=False)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"needs the package kagglehub: pip install .*or download it in a browser from"):
        obtain_kaggle(licence_accepted=True)


def test_kaggle_goes_through_kagglehub(monkeypatch, tmp_path):
    fake = types.SimpleNamespace(dataset_download=lambda handle: str(tmp_path / handle))
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    assert obtain_kaggle(licence_accepted=True) == tmp_path / "drscarlat" / "melanoma"

    def refuse(handle):
        raise ConnectionError("no network")

    fake.dataset_download = refuse
    with pytest.raises(UserError, match=r"could not fetch drscarlat/melanoma .ConnectionError: no network.; download"):
        obtain_kaggle(licence_accepted=True)


def test_a_missing_file_of_several_keeps_the_others(get, site, tmp_path):
    table = site.pages.pop("/3172584")
    with pytest.raises(UserError, match="3172584 answers with HTTP status 404"):
        get()
    site.pages["/3172584"] = dataclasses.replace(table)
    site.requests.clear()
    get()
    assert "/3172585" not in [path for path, _ in site.requests]


def test_an_answer_for_a_table_that_is_a_page_leaves_no_file(get, site, tmp_path):
    site.put("/4338392", body=b"<!DOCTYPE html><title>Dataverse is down for maintenance</title>")
    with pytest.raises(UserError, match="a web page instead of a table"):
        get()
    assert not (tmp_path / "dv" / "HAM10000_metadata.tab").exists()
