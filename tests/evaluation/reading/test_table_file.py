"""Files as programs write them: separators, row numbers, compression, Parquet, and what is no table at all."""

import bz2
import gzip
import io
import lzma
import pickle
import sys
import zipfile

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.files.csv_table import write_rows

PLAIN = "image_id,label,score\na,0,0.25\nb,1,0.5\n"


def check(path):
    found = read_predictions(path)
    assert found.image_id.tolist() == ["a", "b"]
    assert found.label.tolist() == [0, 1]
    assert found.score.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", " "),
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"sep=,"\r\n' + PLAIN.replace("\n", "\r\n"),
        '"image_id","label","score"\n"1","a",0,0.25\n"2","b",1,0.5\n',  # R's write.table
        '"image_id" "label" "score"\n"1" "a" 0 0.25\n"2" "b" 1 0.5\n',
        '"","image_id","label","score"\n"1","a",0,0.25\n"2","b",1,0.5\n',  # R's write.csv
        ",image_id,label,score\n0,a,0,0.25\n1,b,1,0.5\n",  # pandas with its index
        "Unnamed: 0,image_id,label,score\n0,a,0,0.25\n1,b,1,0.5\n",
        "# image_id,label,score\na,0,0.25\nb,1,0.5\n",  # NumPy's savetxt
        " Image_ID , LABEL, Score\na,0,0.25\nb,1,0.5\n",
    ],
)
def test_text_as_programs_write_it(write, text):
    check(write(text))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_whatever_its_name(write, compress):
    check(write(compress(PLAIN.encode()), "test.csv"))


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"image_id": ["a", "b"], "label": [0, 1], "score": [0.25, 0.5], "sex": ["male", None]})
    parquet.write_table(table, tmp_path / "test.parquet")
    check(tmp_path / "test.parquet")
    assert read_predictions(tmp_path / "test.parquet").metadata["sex"].tolist() == ["male", ""]


def test_parquet_without_pyarrow_names_the_extra(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"is a Parquet file, which needs pyarrow: pip install 'mole-jax\[parquet\]'"):
        read_predictions(write(b"PAR1 and more", "test.parquet"))


def test_damaged_files_are_told(write):
    with pytest.raises(UserError, match=r"test\.csv is damaged .*; compress or copy it again"):
        read_predictions(write(gzip.compress(PLAIN.encode() * 1000)[:-30]))
    pytest.importorskip("pyarrow")
    with pytest.raises(UserError, match=r"is a damaged Parquet file .*; write it again"):
        read_predictions(write(b"PAR1 and more", "test.parquet"))


def test_files_of_other_kinds_are_named(write, tmp_path):
    archive, array = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sheet1.xml", "<sheet/>")
    np.save(array, np.zeros(3))
    for content, said in (
        (archive.getvalue(), "is a spreadsheet or another zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is an old Excel file"),
        (array.getvalue(), "is a NumPy array, which names no images"),
        (pickle.dumps({"score": 1}), "is a pickle, which may run code"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
    ):
        with pytest.raises(UserError, match=said):
            read_predictions(write(content))
    with pytest.raises(UserError, match="is a folder"):
        read_predictions(tmp_path)


def test_a_row_that_does_not_fit_is_told_with_its_remedy(write):
    with pytest.raises(UserError, match=r"starts with 'a' has 4 cells but the header has 3; .* columns by semicolons"):
        read_predictions(write("image_id,label,score\na,0,0,25\nb,1,0,5\n"))


def test_one_long_cell_that_would_take_all_memory_is_refused(tmp_path):
    rows = "".join(f"a{i},0,0.5\n" for i in range(20_000))
    (tmp_path / "a.csv").write_text(f"image_id,label,score\n{'x' * 130_000},0,0.5\n{rows}")
    with pytest.raises(UserError, match=r"a.csv would take more than 8 GB of memory: its longest row has 130,007 char"):
        read_predictions(tmp_path / "a.csv")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wb") as file:
        for _ in range(64):
            file.write(b"0" * (1 << 20))
    assert (tmp_path / "a.csv.gz").stat().st_size < 100_000
    with pytest.raises(UserError, match=r"its longest row has 1,048,576 characters or more, and row 1 is not its last"):
        read_predictions(tmp_path / "a.csv.gz")


def test_ids_that_a_spreadsheet_would_compute_are_read_as_they_were(tmp_path):
    path = tmp_path / "a.csv"
    write_rows(path, ["image_id", "label", "score"], [["=1+1", 0, 0.5], ["@x", 1, 0.25], ["-5", 1, 0.75]])
    assert path.read_text().splitlines()[1:] == ["'=1+1,0,0.5", "'@x,1,0.25", "-5,1,0.75"]
    assert read_predictions(path).image_id.tolist() == ["=1+1", "@x", "-5"]
