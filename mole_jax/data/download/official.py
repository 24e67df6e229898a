"""Where the published image sets lie, under which licence, and what is in them."""

from dataclasses import dataclass
from typing import Final, Literal

from mole_jax.errors import UserError

Kind = Literal["zip", "table"]


@dataclass(frozen=True)
class PublishedFile:
    """One file of a source.

    Attributes:
        address: its address relative to the source's base address.
        name: the file name under which it is kept.
        kind: "zip", an archive, or "table", a text table.
        of_source: whether it is part of the source of images; else it is kept beside it (lesion masks).
        size: in bytes; 0 where it is not published.
        md5: the digest that its publisher gives, in hex; "" where there is none.
    """

    address: str
    name: str
    kind: Kind
    of_source: bool = True
    size: int = 0
    md5: str = ""


@dataclass(frozen=True)
class Licence:
    """What a user has to accept.

    Attributes:
        name: its short name.
        url: address of its text.
        terms: its gist, in one phrase.
        citation: the publication to cite.
    """

    name: str
    url: str
    terms: str
    citation: str


@dataclass(frozen=True)
class OfficialSource:
    """One image set as its publisher offers it.

    Attributes:
        title: its name, for people.
        page: address of its page, for people.
        licence: the licence of its images.
        base: the address below which its files lie.
        files: the files to fetch.
        images: how many images the publisher states.
        protocol: the protocol to split it by unless another is asked for, a key of PROTOCOLS.
    """

    title: str
    page: str
    licence: Licence
    base: str
    files: tuple[PublishedFile, ...]
    images: int
    protocol: str


HAM10000_LICENCE: Final = Licence(
    "CC BY-NC 4.0",
    "https://creativecommons.org/licenses/by-nc/4.0/",
    "not for commercial use, and with attribution",
    "Tschandl, Rosendahl, Kittler: The HAM10000 dataset. Scientific Data 5:180161 (2018)",
)
ISIC_2018_LICENCE: Final = Licence(
    HAM10000_LICENCE.name,
    HAM10000_LICENCE.url,
    HAM10000_LICENCE.terms,
    f"{HAM10000_LICENCE.citation}; Codella et al.: Skin Lesion Analysis Toward Melanoma Detection 2018. "
    "arXiv:1902.03368 (2019)",
)

_ISIC_PAGE: Final = "https://challenge.isic-archive.com/data/#2018"
_ISIC_BUCKET: Final = "https://isic-challenge-data.s3.amazonaws.com/2018/"

# The name is what --source takes. Datafile ids of Dataverse never change their content; a new version gets a new id
# (the metadata of HAM10000's first version was 3172582). Tables come tab-separated unless asked for otherwise;
# Dataverse makes them anew and gives no digest of that form. The challenge's bucket publishes no digests either.
OFFICIAL: Final[dict[str, OfficialSource]] = {
    "dataverse": OfficialSource(
        title="HAM10000, Harvard Dataverse, doi:10.7910/DVN/DBW86T",
        page="https://doi.org/10.7910/DVN/DBW86T",
        licence=HAM10000_LICENCE,
        base="https://dataverse.harvard.edu/api/access/datafile/",
        files=(
            PublishedFile("4338392", "HAM10000_metadata.tab", "table"),
            PublishedFile(
                "3172585",
                "HAM10000_images_part_1.zip",
                "zip",
                size=1_366_522_108,
                md5="4639bfa73ab251610530a97c898e6e46",
            ),
            PublishedFile(
                "3172584",
                "HAM10000_images_part_2.zip",
                "zip",
                size=1_403_566_547,
                md5="da43d6cc50f6613013be07e8986b384b",
            ),
            PublishedFile(
                "3838943",
                "HAM10000_segmentations_lesion_tschandl.zip",
                "zip",
                of_source=False,
                size=10_808_743,
                md5="6e8d252e09cfdb0189199f15985a5b84",
            ),
        ),
        images=10_015,
        protocol="grouped",
    ),
    "isic2018": OfficialSource(
        title="ISIC 2018 challenge, task 3, training images (HAM10000 in the challenge's form)",
        page=_ISIC_PAGE,
        licence=ISIC_2018_LICENCE,
        base=_ISIC_BUCKET,
        files=(
            PublishedFile(
                "ISIC2018_Task3_Training_LesionGroupings.csv", "ISIC2018_Task3_Training_LesionGroupings.csv", "table"
            ),
            PublishedFile("ISIC2018_Task3_Training_GroundTruth.zip", "ISIC2018_Task3_Training_GroundTruth.zip", "zip"),
            PublishedFile("ISIC2018_Task3_Training_Input.zip", "ISIC2018_Task3_Training_Input.zip", "zip"),
        ),
        images=10_015,
        protocol="grouped",
    ),
    "isic2018_test": OfficialSource(
        title="ISIC 2018 challenge, task 3, test images (for external validation)",
        page=_ISIC_PAGE,
        licence=ISIC_2018_LICENCE,
        base=_ISIC_BUCKET,
        files=(
            PublishedFile("ISIC2018_Task3_Test_GroundTruth.zip", "ISIC2018_Task3_Test_GroundTruth.zip", "zip"),
            PublishedFile("ISIC2018_Task3_Test_Input.zip", "ISIC2018_Task3_Test_Input.zip", "zip"),
        ),
        images=1_512,
        protocol="external",
    ),
}


def require_licence(title: str, licence: Licence, *, accepted: bool) -> None:
    """Raises UserError, with the licence in it, unless the user has accepted it."""
    if not accepted:
        raise UserError(
            f"{title} is under the licence {licence.name} ({licence.terms}; {licence.url}) and nothing has been "
            "fetched; give --accept_licence if you accept it"
        )
