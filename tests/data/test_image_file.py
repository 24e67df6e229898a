import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from mole_jax.data import image_file
from mole_jax.data.image_file import UnusableImageError, load_image


def noise(height, width, channels=3):
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(height * width).integers(0, 256, shape, np.uint8)


def decode_rgb(data):
    return np.asarray(image_file.decode_rgb(data))


def to_model_size(pixels):
    return image_file.to_model_size(Image.fromarray(pixels))


def halved(pixels):
    """The mean of each 2x2 block, halves rounded up."""
    means = np.stack([pixels[y::2, x::2].astype(float) for y in (0, 1) for x in (0, 1)]).mean(axis=0)
    return np.floor(means + 0.5)


def encoded(image, file_format="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def test_600x450_is_halved_over_its_central_448x448():
    pixels = noise(450, 600)
    pixels[1:3, 76:78] = np.array([[0, 1], [1, 0]], np.uint8)[..., None]  # mean .5
    np.testing.assert_array_equal(to_model_size(pixels), halved(pixels[1:449, 76:524]))


def test_450x600_is_treated_like_600x450():
    pixels = noise(600, 450)
    np.testing.assert_array_equal(to_model_size(pixels), halved(pixels[76:524, 1:449]))


def test_224x224_stays_bit_for_bit():
    pixels = noise(224, 224)
    np.testing.assert_array_equal(to_model_size(pixels), pixels)


def test_other_sizes_are_cropped_to_the_central_square_and_resized():
    pixels = np.full((300, 500, 3), 255, np.uint8)
    pixels[:, 100:400] = [10, 200, 30]  # exactly the central square
    np.testing.assert_array_equal(to_model_size(pixels), np.broadcast_to(np.uint8([10, 200, 30]), (224, 224, 3)))


def test_shrinking_is_anti_aliased():
    checkerboard = (np.indices((1120, 1120)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    small = to_model_size(checkerboard).astype(float)
    assert np.abs(small - 127.5).max() < 8, "without a filter the pattern would survive as black or white"


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (28, 28), (223, 225)])
def test_any_size_becomes_224x224(size):
    assert to_model_size(noise(*size)).shape == (224, 224, 3)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    pixels = noise(20, 30)
    np.testing.assert_array_equal(decode_rgb(encoded(Image.fromarray(pixels), exif=exif)), np.rot90(pixels, -1))


def test_grey_becomes_three_equal_channels():
    grey = noise(9, 9, 0)
    np.testing.assert_array_equal(decode_rgb(encoded(Image.fromarray(grey))), np.repeat(grey[..., None], 3, axis=2))


def test_palette_becomes_its_colours():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([0, 1])
    assert decode_rgb(encoded(palette)).tolist() == [[[255, 0, 0], [0, 0, 255]]]


def test_16_bits_are_scaled_not_clipped():
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert decode_rgb(encoded(Image.fromarray(values)))[..., 0].tolist() == [[0, 1, 128, 255]]


def test_transparency_is_laid_on_white():
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    assert decode_rgb(encoded(Image.fromarray(rgba))).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]


def test_cmyk_becomes_rgb():
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    np.testing.assert_allclose(decode_rgb(encoded(cmyk, "JPEG", quality=100))[4, 4], [255, 0, 0], atol=3)


def grey_tiff(packed, *, bits, photometric):
    """One row of three pixels, as a scanner would write it; Pillow itself writes no such file."""
    tags = {256: 3, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 1, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 16) + packed.ljust(8, b"\0") + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_12_bits_are_scaled_to_8():
    data = grey_tiff(bytes.fromhex("000800fff0"), bits=12, photometric=1)
    assert decode_rgb(data)[0, :, 0].tolist() == [0, 128, 255]


def test_deep_grey_with_white_as_zero_is_turned_round():
    data = grey_tiff(struct.pack("<3H", 0, 0x8000, 0xFFFF), bits=16, photometric=0)
    assert decode_rgb(data)[0, :, 0].tolist() == [255, 127, 0]


def cmyk_profile():
    """An ICC profile of a printer whose every ink is a neutral grey of L*=50, and black if there is more than one."""
    inks = [bin(corner).count("1") for corner in range(16)]
    lightness = [(255, 128, 0, 0, 0)[count] for count in inks]
    table = (
        b"mft1" + struct.pack(">IBBBB", 0, 4, 3, 2, 0) + struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    )
    ramp = bytes(range(256))
    table += ramp * 4 + b"".join(bytes([level, 128, 128]) for level in lightness) + ramp * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I", 2) + b"A2B0" + struct.pack(">II", 156, len(table))
    tags += b"wtpt" + struct.pack(">II", 156 + len(table), len(white))
    header = struct.pack(">II", 0, 0) + bytes.fromhex("02400000") + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    profile = header + tags + table + white
    return struct.pack(">I", len(profile)) + profile[4:]


def test_cmyk_with_a_profile_is_converted_by_it():
    image = Image.new("CMYK", (8, 8), (255, 0, 0, 0))  # cyan, did the profile not say otherwise
    rgb = decode_rgb(encoded(image, "TIFF", icc_profile=cmyk_profile()))
    np.testing.assert_allclose(rgb[4, 4], [119, 119, 119], atol=1)  # sRGB of L*=50 is 118.9
    np.testing.assert_allclose(decode_rgb(encoded(image, "TIFF"))[4, 4], [0, 255, 255], atol=1)


def test_a_png_whose_pixels_changed_is_noticed():
    """Its compressed stream is left uncompressed here and ends early: nothing but the chunk's checksum can tell."""
    raw = b"".join(b"\0" + bytes(range(y, y + 30)) for y in range(10))
    stored = zlib.compress(raw, level=0)[:-4]  # without the stream's own checksum
    header = struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stored) + chunk(b"IEND", b"")
    np.testing.assert_array_equal(decode_rgb(data)[9, 9], [36, 37, 38])
    damaged = data.replace(bytes([36, 37, 38]), bytes([36, 99, 38]))
    assert damaged != data
    with pytest.raises(UnusableImageError, match="cannot be decoded: broken PNG file"):
        decode_rgb(damaged)


def test_a_damaged_profile_or_exif_block(tmp_path):
    cmyk = Image.new("CMYK", (8, 8))
    with pytest.raises(UnusableImageError, match="cannot be decoded: cannot open profile"):
        decode_rgb(encoded(cmyk, "JPEG", icc_profile=b"nothing of the kind"))
    pixels = noise(20, 30)
    data = encoded(Image.fromarray(pixels), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode_rgb(data), pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "CMYK", "1"])
def test_strips_make_no_difference(monkeypatch, mode):
    image = Image.fromarray(noise(97, 61)).convert(mode)
    whole = decode_rgb(encoded(image, "TIFF"))
    monkeypatch.setattr(image_file, "STRIP_PIXELS", 200)
    np.testing.assert_array_equal(decode_rgb(encoded(image, "TIFF")), whole)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_what_pillow_makes_of_it(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(noise(20, 30)), exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode_rgb(data), np.asarray(expected))


def test_load_image_hashes_the_file_and_keeps_its_size(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(noise(30, 50))))
    loaded = load_image(path)
    assert (loaded.width, loaded.height) == (50, 30)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb():
    """A PNG of a few bytes that claims 30,000x30,000 pixels."""
    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"not an image at all", "not an image"),
        (encoded(Image.fromarray(noise(90, 90)), "JPEG")[:900], "cannot be decoded"),
        (encoded(Image.fromarray(noise(90, 90)))[:900], "cannot be decoded"),
        (encoded(Image.fromarray(noise(9, 9, 0).astype(np.float32)), "TIFF"), "floating-point pixels"),
        (encoded(Image.fromarray(np.array([[70000]], np.int32)), "TIFF"), "beyond 16 bits"),
        (bomb(), "30000x30000 pixels; the limit is|cannot be decoded: Image size"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    ],
)
def test_unusable_files_are_named_with_the_reason(tmp_path, data, reason):
    path = tmp_path / "file.jpg"
    path.write_bytes(data)
    with pytest.raises(UnusableImageError, match=reason):
        load_image(path)


def test_a_missing_file_is_unusable_too(tmp_path):
    with pytest.raises(UnusableImageError, match="cannot be read: No such file"):
        load_image(tmp_path / "gone.jpg")


def test_huge_files_are_not_read(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 29)
    with pytest.raises(UnusableImageError, match="file of 536870912 bytes; the limit is"):
        load_image(path)


def test_the_real_originals_are_halved_exactly(test_data):
    paths = sorted((test_data / "data" / "ham10000_600x450").rglob("*.jpg"))
    assert len(paths) == 24
    for path in paths:
        pixels = np.asarray(Image.open(path)).astype(int)[1:449, 76:524]
        by_hand = (pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2] + 2) // 4
        np.testing.assert_array_equal(load_image(path).image, by_hand)
