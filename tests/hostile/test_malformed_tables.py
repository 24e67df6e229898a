"""Metadata tables as spreadsheets, editors and broken downloads leave them: read rightly, or refused in a sentence."""

from pathlib import Path

import pytest
from bad_files import picture

from mole_jax.data.records import Quarantined
from mole_jax.data.source.listing import list_source
from mole_jax.data.source.tables import read_table
from mole_jax.errors import UserError
from tests.commands import command

ROOT = Path(__file__).parents[2]
HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization"
ROWS = ["L1,a,mel,histo,45.0,male,back", "L2,b,nv,histo,,female,face", "L2,c,nv,histo,50.0,,face"]


def source_with(tmp_path, content, name="HAM10000_metadata.csv"):
    for image in "abc":
        picture(ord(image)).save(tmp_path / f"{image}.png")
    (tmp_path / name).write_bytes(content)
    return tmp_path


def text(*rows, header=HEADER, end="\n"):
    return end.join([header, *rows, ""]).encode()


FINE = {
    "windows line ends": text(*ROWS, end="\r\n"),
    "old Mac line ends": text(*ROWS, end="\r"),
    "byte order mark": b"\xef\xbb\xbf" + text(*ROWS),
    "everything quoted": text(*(",".join(f'"{x}"' for x in r.split(",")) for r in [HEADER, *ROWS][1:])),
    "quoted header": text(*ROWS, header=",".join(f'"{name}"' for name in HEADER.split(","))),
    "no line end at the end": text(*ROWS)[:-1],
    "blank lines": text(ROWS[0], "", "", *ROWS[1:], ""),
    "a row twice": text(*ROWS, ROWS[0]),
    "semicolons, decimal commas": text(
        *(row.replace(",", ";") for row in ROWS), header=HEADER.replace(",", ";")
    ).replace(b"45.0", b"45,0"),
    "a row twice, with row numbers": text(
        *(f"{i},{row}" for i, row in enumerate([*ROWS, ROWS[0].replace("45.0", "45")])), header=f",{HEADER}"
    ),
    "spaces": text(*(row.replace(",", " , ") for row in ROWS), header=HEADER.replace(",", " , ")),
    "columns in another order": text("a,mel,L1", "b,nv,L2", "c,nv,L2", header="image_id,dx,lesion_id"),
    "empty fields left out at the end": text(ROWS[0], "L2,b,nv,histo", "L2,c,nv"),
}


@pytest.mark.parametrize("content", FINE.values(), ids=FINE.keys())
def test_odd_but_clear_tables_are_read(tmp_path, content):
    listing = list_source(source_with(tmp_path, content))
    found = {record.image_id: (record.lesion_id, record.label) for record in listing.records}
    assert found == {"a": ("L1", 1), "b": ("L2", 0), "c": ("L2", 0)}
    assert listing.quarantined == listing.without_image == ()


def test_commas_and_line_ends_within_quotes_belong_to_the_field(tmp_path):
    rows = ['L1,a,mel,histo,45.0,male,"back, upper\nleft"', *ROWS[1:]]
    record = list_source(source_with(tmp_path, text(*rows))).records[0]
    assert (record.label, record.localization) == (1, "back, upper\nleft")


def test_a_decimal_comma_is_read(tmp_path):
    content = FINE["semicolons, decimal commas"]
    assert list_source(source_with(tmp_path, content)).records[0].age == 45


@pytest.mark.parametrize("age", ["inf", "-inf", "nan", "1e999", "old", ""])
def test_an_age_that_is_no_number_is_unknown(tmp_path, age):
    record = list_source(source_with(tmp_path, text(f"L1,a,mel,histo,{age},male,back", *ROWS[1:]))).records[0]
    assert record.age is None


REFUSED = {
    "empty": (b"", "has no column 'image_id'; it needs image_id, dx, and it is empty"),
    "no header": (
        text(*ROWS, header=ROWS[0]),
        "no column 'image_id'; it needs image_id, dx, and its first line is 'L1, a",
    ),
    "no dx": (text("L,a", header="lesion_id,image_id"), "no column 'dx'; .* first line is 'lesion_id, image_id'"),
    "a column twice": (text("a,mel,nv", header="image_id,dx,dx"), "has two columns 'dx'; rename or remove one"),
    "a comma without quotes": (
        text(ROWS[0], "L2,b,nv,histo,,female,face, left"),
        "line 3: 8 fields, and the header has 7; put quotes around",
    ),
    "UTF-16, cut": (
        text(*ROWS).decode().encode("utf-16")[:-1],
        r"is not UTF-16 text \(byte \d+\); export the table again",
    ),
    "UTF-16 without a mark": (text(*ROWS).decode().encode("utf-16-le"), r"holds a NUL byte \(byte 1\)"),
    "NUL bytes": (text(*ROWS).replace(b"nv", b"n\0v"), r"holds a NUL byte \(byte \d+\) and is no UTF-8 text"),
    "Latin-1": (
        text(ROWS[0].replace("back", "d\xe9colt\xe9"), *ROWS[1:]).decode().encode("latin-1"),
        "is not UTF-8 text",
    ),
    "an open quote": (text('L1,a,"mel', *ROWS[1:]), "is not a well-formed table .line 4: unexpected end of data"),
    "a huge field": (
        text(f"L1,a,mel,{'x' * 200_000}", *ROWS[1:]),
        "not a well-formed table .line 2: field larger than",
    ),
    "a huge first line": (b"x" * 300_000, "is not a well-formed table .line 1: field larger than"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "holds a NUL byte"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_unclear_tables_are_refused_in_a_sentence(tmp_path, content, message):
    with pytest.raises(UserError, match=message) as error:
        list_source(source_with(tmp_path, content))
    assert "HAM10000_metadata.csv" in str(error.value)
    assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_a_header_alone_leaves_every_file_without_a_row_and_says_so(tmp_path):
    (tmp_path / "source").mkdir()
    source = source_with(tmp_path / "source", text())
    result = command("prepare", "--dataset=x", f"--source={source}", f"--data_dir={tmp_path}/data")
    assert result.returncode == 2
    assert result.stderr == (
        "error: the source has no usable mole image (0 melanoma and 3 quarantined, such as 'a.png': no row in "
        "HAM10000_metadata.csv); both classes are needed\n"
    )


def test_ids_without_a_file_files_without_a_row_and_contradictory_rows_are_quarantined(tmp_path):
    rows = [*ROWS[:2], "L9,gone,mel,histo,45.0,male,back", "L3,b,mel,histo,,female,face"]
    listing = list_source(source_with(tmp_path, text(*rows)))
    table = "HAM10000_metadata.csv"
    assert [record.image_id for record in listing.records] == ["a"]
    assert set(listing.quarantined) == {
        Quarantined("b.png", f"contradictory rows in {table}"),
        Quarantined("c.png", f"no row in {table}"),
    }
    assert listing.without_image == (Quarantined(table, "row gone has no image"),)


def test_an_image_of_two_lesions_is_not_used(tmp_path):
    """Whichever lesion it were given, it might lie in another split than its sibling."""
    for path in ("Melanoma/a.png", "NotMelanoma/b.png", "NotMelanoma/c.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        picture(ord(path[-5])).save(tmp_path / path)
    (tmp_path / "lesions.csv").write_text("image_id,lesion_id\na,L1\nb,L2\nb,L1\nc,L2\n")
    listing = list_source(tmp_path)
    assert [record.image_id for record in listing.records] == ["a", "c"]
    assert listing.quarantined == (Quarantined("NotMelanoma/b.png", "contradictory rows in lesions.csv"),)


def test_a_table_beyond_reason_is_not_read_into_memory(tmp_path):
    with (tmp_path / "HAM10000_metadata.csv").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="has 1099511627776 bytes, and the limit for a table is 268435456"):
        list_source(tmp_path)


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.csv cannot be read: No such file or directory"):
        read_table(tmp_path / "gone.csv", required=("image_id",))
