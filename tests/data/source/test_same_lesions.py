"""Pairs of HAM10000's images that show one lesion under two ids."""

import csv
from pathlib import Path

import mole_jax.data.source.same_lesions as same_lesions
from mole_jax.data.records import Record
from mole_jax.data.source.listing import list_source
from mole_jax.data.source.same_lesions import join_known, known_pairs


def record(image_id, lesion_id):
    return Record(f"{image_id}.jpg", image_id, 0, lesion_id)


def test_the_table_names_each_pair_once_with_its_evidence():
    path = Path(same_lesions.__file__).parent / "same_lesions.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({frozenset(pair) for pair in known_pairs()}) == len(rows) == 100
    for row in rows:
        assert 0 < float(row["agreement"] or 0.5) < 1, "none for what the search as it is does not try"
        assert row["seen"] and {row["dx"], row["other_dx"]} <= {"nv", "bkl", "df", "bcc", "mel"}
    assert [row["image_id"] for row in rows if "mel" in (row["dx"], row["other_dx"])] == [
        "ISIC_0031890",
        "ISIC_0030818",
    ]


def test_a_pair_joins_the_whole_of_both_lesions():
    a, b = known_pairs()[0]
    records = [record(a, "L2"), record(b, "L7"), record("x", "L7"), record("y", "L1")]
    joined, note = join_known(records)
    assert [one.lesion_id for one in joined] == ["L2", "L2", "L2", "L1"]
    assert note.startswith("1 pairs of images that show one lesion") and "makes 1 lesions fewer" in note


def test_half_a_pair_and_one_lesion_are_left_alone():
    a, b = known_pairs()[0]
    assert join_known([record(a, "L2"), record("x", "L7")])[1] == ""
    assert join_known([record(a, "L2"), record(b, "L2")])[1] == ""


def test_ham10000_has_80_lesions_fewer_than_its_ids(test_data):
    source = test_data / "data" / "ham10000_256"
    listing = list_source(source)
    with (source / "HAM10000_metadata.csv").open(newline="") as file:
        of_table = {row["image_id"]: row for row in csv.DictReader(file)}
    assert len({row["lesion_id"] for row in of_table.values()}) == 7470
    assert len({record.lesion_id for record in listing.records}) == 7470 - 80
    path = Path(same_lesions.__file__).parent / "same_lesions.csv"
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            ends = of_table[row["image_id"]], of_table[row["other_image_id"]]
            assert [end["dx"] for end in ends] == [row["dx"], row["other_dx"]]
            assert ends[0]["lesion_id"] != ends[1]["lesion_id"]
