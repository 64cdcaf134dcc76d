#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes files of all kinds with Outflow and with Pillow and compares pixels.

pictures_test.py DECODE_PICTURE [--keep FOLDER]

Files are made here. Prints a table, format and feature, with the largest difference of a sample.
Exit status 77 without Pillow and NumPy; 1 if a picture is wrong and nobody says so.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

try:
    import numpy as np
    from PIL import Image, ImageOps, ImageSequence, features
except ImportError as error:
    print(f"SKIPPED: {error}: nothing to compare with")
    sys.exit(77)
try:
    import pillow_heif
except ImportError:
    pillow_heif = None

HEIGHT, WIDTH = 13, 21
WHITE = (255, 255, 255)


@dataclass
class Case:
    """A file and what it should be decoded to."""

    format: str
    feature: str
    content: bytes
    pictures: list[np.ndarray] | None  # None: refused, in clear words
    most: int = 0  # difference
    arguments: list[str] = field(default_factory=list)
    note: str = ""  # a word that must stand in the notes, or in the refusal
    suffix: str = ""


def pattern(channels: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth enough for lossy formats, with no symmetry; opacity has all kinds of values."""
    rows, columns = np.mgrid[0:height, 0:width].astype(float)
    planes = [rows * 9 + columns * 4, 230 - rows * 11, columns * 11, 255 - columns * 12]
    image = np.stack([planes[(c + seed) % 4] for c in range(channels)], axis=-1)
    return np.clip(image, 0, 255).astype(np.uint8)


def with_opacity(colours: np.ndarray, half: int = 100) -> np.ndarray:
    """Opaque, half and fully transparent pixels, the last of loud hidden colours."""
    alpha = np.full(colours.shape[:2] + (1,), 255, np.uint8)
    alpha[3:7], alpha[7:] = half, 0
    colours = colours.copy()
    colours[7:] = 77
    return np.concatenate([colours, alpha], axis=-1)


def over(image: np.ndarray, background: tuple[int, int, int] = WHITE) -> np.ndarray:
    """RGB over a background."""
    if image.shape[-1] == 2:
        image = image[..., [0, 0, 0, 1]]
    alpha = image[..., 3:].astype(float) / 255
    return np.rint(image[..., :3] * alpha + np.array(background) * (1 - alpha)).astype(np.uint8)


def colour(image: np.ndarray) -> np.ndarray:
    """Grey as RGB."""
    return np.repeat(image.reshape(image.shape[:2] + (-1,))[..., :1], 3, axis=-1)


def seen(image: Image.Image) -> np.ndarray:
    """What Pillow shows of an image: turned, over white, in RGB."""
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return over(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def by_pillow(content: bytes) -> list[np.ndarray]:
    """The first picture."""
    return [seen(Image.open(io.BytesIO(content)))]


def all_by_pillow(content: bytes) -> list[np.ndarray]:
    """All pictures."""
    image = Image.open(io.BytesIO(content))
    return [seen(frame.copy()) for frame in ImageSequence.Iterator(image)]


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    """An encoded file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    """EXIF data with nothing but an orientation."""
    data = Image.Exif()
    data[0x112] = orientation
    return data.tobytes()


# ---- PNG ----


def png(width: int, height: int, depth: int, kind: int, rows: list[bytes],
        extra: list[tuple[bytes, bytes]] | None = None) -> bytes:
    """A PNG file of rows without filters; `extra` chunks stand before the data."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(
            ">I", zlib.crc32(name + data))
    parts = [b"\x89PNG\r\n\x1a\n",
             chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))]
    parts += [chunk(name, data) for name, data in extra or []]
    parts += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
              chunk(b"IEND", b"")]
    return b"".join(parts)


def wide(image: np.ndarray) -> list[bytes]:
    """Rows of 16-bit samples."""
    return [row.astype(">u2").tobytes() for row in image]


def png_cases() -> Iterator[Case]:
    rgb, grey = pattern(3), pattern(1)
    alpha = with_opacity(rgb)
    grey_alpha = with_opacity(grey)
    for name, image in (("RGB", Image.fromarray(rgb)), ("grey", Image.fromarray(grey[..., 0])),
                        ("RGBA", Image.fromarray(alpha)),
                        ("palette", Image.fromarray(rgb).quantize(60)),
                        ("1 bit", Image.fromarray(grey[..., 0]).convert("1"))):
        content = save(image, "PNG")
        yield Case("PNG", name, content, by_pillow(content), int(name == "RGBA"))
    content = save(Image.fromarray(grey_alpha, "LA"), "PNG")
    yield Case("PNG", "grey with alpha", content, [over(grey_alpha)], 1, note="alpha")
    content = save(Image.fromarray(alpha), "PNG")
    yield Case("PNG", "alpha on #204060", content, [over(alpha, (32, 64, 96))], 1, ["#204060"])
    content = save(Image.fromarray(grey_alpha, "LA"), "PNG")
    yield Case("PNG", "grey alpha on #204060", content, [over(grey_alpha, (32, 64, 96))], 1,
               ["#204060"])
    indexed = Image.fromarray(rgb).quantize(16)
    content = save(indexed, "PNG", transparency=bytes(range(0, 256, 16)))
    yield Case("PNG", "palette with alpha", content, by_pillow(content), 1)
    content = save(indexed, "PNG", transparency=3)
    yield Case("PNG", "palette, one colour clear", content, by_pillow(content), 0)
    content = save(Image.fromarray(rgb), "PNG", transparency=tuple(int(c) for c in rgb[0, 0]))
    yield Case("PNG", "RGB tRNS", content, by_pillow(content), 0, note="alpha")
    content = save(Image.fromarray(grey[..., 0]), "PNG", transparency=int(grey[2, 3, 0]))
    yield Case("PNG", "grey tRNS", content, by_pillow(content), 0, note="alpha")
    for depth in (2, 4):
        values = (grey[..., 0] >> (8 - depth)).astype(np.uint8)
        bits = np.unpackbits(values[..., None], axis=-1)[..., 8 - depth:].reshape(HEIGHT, -1)
        content = png(WIDTH, HEIGHT, depth, 0, [row.tobytes() for row in np.packbits(bits, axis=1)])
        yield Case("PNG", f"grey of {depth} bits", content,
                   [colour(values * (255 // ((1 << depth) - 1)))])
    deep = pattern(4).astype(np.uint16) * 257 // 2 + 99
    for kind, channels, name in ((0, 1, "grey"), (2, 3, "RGB"), (4, 2, "grey alpha"),
                                 (6, 4, "RGBA")):
        image = deep[..., :channels]
        content = png(WIDTH, HEIGHT, 16, kind, wide(image))
        small = (image >> 8).astype(np.uint8)
        yield Case("PNG", f"{name} of 16 bits", content,
                   [colour(small) if channels == 1 else small if channels == 3 else over(small)],
                   int(channels in (2, 4)), note="16 to 8")
    twelve = deep[..., :1] >> 4
    scaled = (twelve << 4) | (twelve >> 8)
    content = png(WIDTH, HEIGHT, 16, 0, wide(scaled), [(b"sBIT", b"\x0c")])
    yield Case("PNG", "sBIT 12, scaled", content, [colour((scaled >> 8).astype(np.uint8))])
    content = png(WIDTH, HEIGHT, 16, 0, wide(twelve), [(b"sBIT", b"\x0c")])
    yield Case("PNG", "sBIT 12, not scaled", content, [colour((twelve >> 4).astype(np.uint8))])
    content = png(WIDTH, HEIGHT, 16, 0, wide(twelve))
    yield Case("PNG", "12 bits in 16, not said", content, [colour((twelve >> 8).astype(np.uint8))],
               note="few of its bits")
    for orientation in range(1, 9):
        content = save(Image.fromarray(rgb), "PNG", exif=exif(orientation))
        yield Case("PNG", f"eXIf {orientation}", content, by_pillow(content),
                   note="orientation" if orientation > 1 else "")
    interlaced = interlaced_png(rgb)
    yield Case("PNG", "interlaced", interlaced, by_pillow(interlaced))
    for disposal in (0, 1, 2):
        for blend in (0, 1):
            # Pillow lays half transparent pixels over others in a way of its own.
            frames = [Image.fromarray(with_opacity(pattern(3, seed), 100 if blend == 0 else 255))
                      for seed in range(3)]
            content = save(frames[0], "PNG", save_all=True, append_images=frames[1:],
                           disposal=disposal, blend=blend)
            yield Case("APNG", f"all, disposal {disposal}, blend {blend}", content,
                       all_by_pillow(content), 2, ["all"])
    yield Case("APNG", "first", content, by_pillow(content), 1, note="first frame")


def interlaced_png(rgb: np.ndarray) -> bytes:
    """Adam7, which Pillow does not write."""
    rows = []
    for y0, x0, dy, dx in ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                           (0, 1, 2, 2), (1, 0, 2, 1)):
        part = rgb[y0::dy, x0::dx]
        if part.size > 0:
            rows += [row.tobytes() for row in part]
    content = bytearray(png(WIDTH, HEIGHT, 8, 2, rows))
    content[28] = 1
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


# ---- JPEG ----


def jpeg_cases() -> Iterator[Case]:
    rgb, grey = Image.fromarray(pattern(3)), Image.fromarray(pattern(1)[..., 0])
    for name, options in (("baseline 4:4:4", {"subsampling": 0}),
                          ("4:2:2", {"subsampling": 1}), ("4:2:0", {"subsampling": 2}),
                          ("progressive", {"progressive": True}),
                          ("restart markers", {"restart_marker_blocks": 1}),
                          ("RGB without YCC", {"keep_rgb": True})):
        content = save(rgb, "JPEG", quality=90, **options)
        yield Case("JPEG", name, content, by_pillow(content))
    content = save(grey, "JPEG", quality=90)
    yield Case("JPEG", "grey", content, by_pillow(content))
    yield Case("JPEG", "named .jfif", content, by_pillow(content), suffix=".jfif")
    yield Case("JPEG", "named .jpe", content, by_pillow(content), suffix=".JPE")
    for orientation in range(1, 9):
        content = save(rgb, "JPEG", quality=95, exif=exif(orientation))
        yield Case("JPEG", f"EXIF {orientation}", content, by_pillow(content),
                   note="orientation" if orientation > 1 else "")
    inks = Image.fromarray(pattern(4), "CMYK")
    content = save(inks, "JPEG", quality=95)
    yield Case("JPEG", "CMYK of Adobe", content, by_pillow(content), 2, note="inks")
    bare = strip_adobe(content)
    yield Case("JPEG", "CMYK without Adobe", bare, by_pillow(bare), 2, note="inks")
    yield Case("JPEG", "cut", content[:len(content) // 2], None, note="truncated")
    yield Case("JPEG", "named .png", save(rgb, "JPEG"), by_pillow(save(rgb, "JPEG")),
               suffix=".png")


def strip_adobe(content: bytes) -> bytes:
    """Without the segment APP14."""
    at = content.index(b"\xff\xee")
    return content[:at] + content[at + 2 + struct.unpack(">H", content[at + 2:at + 4])[0]:]


# ---- GIF, BMP, TGA, PNM ----


def gif_cases() -> Iterator[Case]:
    frames = [Image.fromarray(pattern(3, seed)).quantize(32) for seed in range(3)]
    content = save(frames[0], "GIF")
    yield Case("GIF", "opaque", content, by_pillow(content))
    content = save(frames[0], "GIF", transparency=5)
    yield Case("GIF", "transparent", content, by_pillow(content), note="alpha")
    content = save(frames[0], "GIF", interlace=1)
    yield Case("GIF", "interlaced", content, by_pillow(content))
    for disposal in (0, 1, 2, 3):
        alpha = [Image.fromarray(with_opacity(pattern(3, seed))) for seed in range(3)]
        content = save(alpha[0], "GIF", save_all=True, append_images=alpha[1:], disposal=disposal)
        yield Case("GIF", f"all, disposal {disposal}", content, all_by_pillow(content), 0, ["all"])
    content = save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield Case("GIF", "first of 3", content, by_pillow(content), note="first frame")
    yield Case("GIF", "all of 3", content, all_by_pillow(content), 0, ["all"])


def plain_cases() -> Iterator[Case]:
    rgb, grey = Image.fromarray(pattern(3)), Image.fromarray(pattern(1)[..., 0])
    alpha = Image.fromarray(with_opacity(pattern(3)))
    for kind, suffix in (("BMP", ".bmp"), ("TGA", ".tga"), ("PPM", ".ppm")):
        for name, image in (("RGB", rgb), ("grey", grey), ("palette", rgb.quantize(60))):
            if kind == "PPM" and name == "palette":
                continue
            content = save(image, kind)
            yield Case(kind, name, content, by_pillow(content), suffix=suffix)
    content = save(rgb, "TGA", compression="tga_rle")
    yield Case("TGA", "RLE", content, by_pillow(content), suffix=".tga")
    content = save(rgb, "TGA", orientation=-1)
    yield Case("TGA", "from below", content, by_pillow(content), suffix=".tga")
    content = save(alpha, "TGA")
    yield Case("TGA", "alpha", content, [over(with_opacity(pattern(3)))], 1, suffix=".tga")
    content = save(alpha, "BMP")
    yield Case("BMP", "32 bits", content, by_pillow(content), 1, suffix=".bmp")
    content = save(grey.convert("1"), "PPM")
    yield Case("PPM", "bits", content, by_pillow(content), suffix=".pbm")
    deep = pattern(1)[..., 0].astype(np.uint16) * 257 // 2
    content = b"P5 %d %d 65535\n" % (WIDTH, HEIGHT) + deep.astype(">u2").tobytes()
    yield Case("PPM", "16 bits", content, [colour((deep >> 8).astype(np.uint8))], suffix=".pgm")
    content = b"P5 %d %d 4095\n" % (WIDTH, HEIGHT) + (deep >> 4).astype(">u2").tobytes()
    yield Case("PPM", "white is 4095", content, [colour((deep >> 8).astype(np.uint8))],
               suffix=".pgm")


# ---- WebP, TIFF, JPEG 2000, AVIF, HEIC ----


def webp_cases() -> Iterator[Case]:
    rgb = Image.fromarray(pattern(3))
    alpha = Image.fromarray(with_opacity(pattern(3)))
    for name, image, options in (("lossless", rgb, {"lossless": True}), ("lossy", rgb, {}),
                                 ("lossless alpha", alpha, {"lossless": True, "exact": True}),
                                 ("lossy alpha", alpha, {})):
        content = save(image, "WEBP", **options)
        yield Case("WebP", name, content, by_pillow(content), 1,
                   note="alpha" if "alpha" in name else "")
    for orientation in (3, 6, 8):
        content = save(rgb, "WEBP", lossless=True, exif=exif(orientation))
        yield Case("WebP", f"EXIF {orientation}", content, by_pillow(content), 0,
                   note="orientation")
    frames = [Image.fromarray(with_opacity(pattern(3, seed))) for seed in range(3)]
    content = save(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    yield Case("WebP", "first of 3", content, by_pillow(content), 1, note="first frame")
    yield Case("WebP", "all of 3", content, all_by_pillow(content), 1, ["all"])
    yield Case("WebP", "cut", content[:len(content) // 2], None, note="truncated")


def tiff_cases() -> Iterator[Case]:
    rgb, grey = Image.fromarray(pattern(3)), Image.fromarray(pattern(1)[..., 0])
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        content = save(rgb, "TIFF", compression=compression)
        yield Case("TIFF", f"RGB {compression}", content, by_pillow(content))
    content = save(rgb, "TIFF", compression="jpeg")
    yield Case("TIFF", "RGB jpeg", content, by_pillow(content), 1)
    for name, image, options in (("grey", grey, {}), ("palette", rgb.quantize(60), {}),
                                 ("1 bit", grey.convert("1"), {}),
                                 ("fax group 4", grey.convert("1"), {"compression": "group4"}),
                                 ("CMYK", Image.fromarray(pattern(4), "CMYK"), {})):
        content = save(image, "TIFF", **options)
        yield Case("TIFF", name, content, by_pillow(content), 1 if name == "CMYK" else 0,
                   note="inks" if name == "CMYK" else "")
    content = save(Image.fromarray(with_opacity(pattern(3))), "TIFF")
    yield Case("TIFF", "RGBA", content, [over(with_opacity(pattern(3)))], 1, note="alpha")
    content = save(Image.fromarray(with_opacity(pattern(1)), "LA"), "TIFF")
    yield Case("TIFF", "grey alpha", content, [over(with_opacity(pattern(1)))], 1, note="alpha")
    deep = pattern(1)[..., 0].astype(np.uint16) * 257 // 2 + 99
    content = save(Image.fromarray(deep), "TIFF")
    yield Case("TIFF", "grey of 16 bits", content, [colour((deep >> 8).astype(np.uint8))],
               note="16 to 8")
    content = save(Image.fromarray(deep >> 4), "TIFF", tiffinfo={281: 4095})
    yield Case("TIFF", "12 bits, MaxSampleValue", content,
               [colour((deep >> 8).astype(np.uint8))])
    content = save(Image.fromarray(deep >> 4), "TIFF")
    yield Case("TIFF", "12 bits in 16, not said", content,
               [colour((deep >> 12).astype(np.uint8))], note="few of its bits")
    content = save(Image.fromarray(deep.astype(np.float32)), "TIFF")
    yield Case("TIFF", "floating point", content, None, note="floating point")
    content = save(Image.fromarray(deep.astype(np.int32)), "TIFF")
    yield Case("TIFF", "32 bits", content, None, note="32 bits")
    for orientation in range(2, 9):
        content = save(rgb, "TIFF", tiffinfo={0x112: orientation})
        yield Case("TIFF", f"orientation {orientation}", content, by_pillow(content),
                   note="orientation")
    pages = [Image.fromarray(pattern(3, seed)) for seed in range(3)]
    content = save(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    yield Case("TIFF", "first of 3 pages", content, by_pillow(content), note="first frame")
    yield Case("TIFF", "all of 3 pages", content, all_by_pillow(content), 0, ["all"])
    yield Case("TIFF", "cut", save(rgb, "TIFF")[:-300], None)


def jp2_cases() -> Iterator[Case]:
    rgb, grey = Image.fromarray(pattern(3)), Image.fromarray(pattern(1)[..., 0])
    alpha = Image.fromarray(with_opacity(pattern(3)))
    for name, image, options in (("lossless RGB", rgb, {}), ("lossless grey", grey, {}),
                                 ("lossless RGBA", alpha, {}),
                                 ("lossy", rgb, {"irreversible": True, "quality_mode": "dB",
                                                 "quality_layers": [45]}),
                                 ("codestream", rgb, {"no_jp2": True})):
        content = save(image, "JPEG2000", **options)
        yield Case("JPEG 2000", name, content, by_pillow(content), 1)
    deep = pattern(1)[..., 0].astype(np.uint16) * 257 // 2 + 99
    content = save(Image.fromarray(deep), "JPEG2000")
    yield Case("JPEG 2000", "16 bits", content, [colour((deep >> 8).astype(np.uint8))],
               note="16 to 8")
    yield Case("JPEG 2000", "cut", save(rgb, "JPEG2000")[:200], None)


def heif_cases() -> Iterator[Case]:
    rgb = Image.fromarray(pattern(3, 0, 64, 80))
    alpha = Image.fromarray(with_opacity(pattern(3, 0, 64, 80)))
    if features.check("avif"):
        for name, image, options in (("4:4:4", rgb, {"subsampling": "4:4:4"}),
                                     ("4:2:0", rgb, {}), ("alpha", alpha, {})):
            content = save(image, "AVIF", quality=90, **options)
            # libheif and Pillow's libavif enlarge the halved chroma differently.
            yield Case("AVIF", name, content, by_pillow(content), 1 if name == "4:4:4" else 12,
                       note="alpha" if name == "alpha" else "")
    if pillow_heif is not None:
        pillow_heif.register_heif_opener()
        for name, image in (("RGB", rgb), ("alpha", alpha)):
            content = save(image, "HEIF", quality=90)
            yield Case("HEIC", name, content, by_pillow(content), 2,
                       note="alpha" if name == "alpha" else "")


MAKERS: dict[str, Callable[[], Iterator[Case]]] = {
    "PNG": png_cases, "JPEG": jpeg_cases, "GIF": gif_cases, "BMP": plain_cases,
    "WebP": webp_cases, "TIFF": tiff_cases, "JPEG 2000": jp2_cases, "AVIF": heif_cases}
SUFFIXES = {"PNG": ".png", "APNG": ".png", "JPEG": ".jpg", "GIF": ".gif", "WebP": ".webp",
            "TIFF": ".tif", "JPEG 2000": ".jp2", "AVIF": ".avif", "HEIC": ".heic"}

# ---- Comparing ----


def decode(program: str, case: Case, folder: pathlib.Path, number: int) -> tuple[int, str, bytes]:
    """Exit status, what was said, and pixels."""
    suffix = case.suffix or SUFFIXES[case.format]
    name = re.sub(r"\W+", "-", f"{case.format} {case.feature}")
    path, out = folder / f"{number:03}-{name}{suffix}", folder / "pixels"
    path.write_bytes(case.content)
    done = subprocess.run([program, str(path), str(out), *case.arguments], check=False,
                          capture_output=True, text=True)
    if done.stderr != "":
        return -1, f"a library prints: {done.stderr}", b""
    return done.returncode, done.stdout.strip(), out.read_bytes() if done.returncode == 0 else b""


def judge(case: Case, code: int, said: str, pixels: bytes) -> tuple[bool, str]:
    """Whether it is right, and what the table says of it."""
    if case.note not in said:
        return False, f"'{case.note}' is missing in: {said}"
    if case.pictures is None:
        return code == 3, f"refused: {said}" if code == 3 else "should be refused"
    if code != 0:
        return False, f"{code}: {said}"
    expected = np.concatenate([picture.reshape(-1) for picture in case.pictures])
    found = np.frombuffer(pixels, np.uint8)
    if found.size != expected.size:
        return False, f"{len(said.splitlines())} pictures for {len(case.pictures)}: {said}"
    difference = np.abs(found.astype(int) - expected.astype(int))
    text = f"difference {difference.max()} (mean {difference.mean():.3f})"
    return difference.max() <= case.most, f"{text}, {len(case.pictures)} pictures; {said}" if len(
        case.pictures) > 1 and difference.max() > case.most else text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("formats", nargs="*", help="formats this build does not read")
    parser.add_argument("--keep", help="folder for the files")
    options = parser.parse_args()
    failures = count = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.keep or temporary)
        folder.mkdir(exist_ok=True)
        for maker in MAKERS.values():
            for case in maker():
                if case.format in options.formats:
                    print(f"{case.format:10} {case.feature:32} SKIPPED: not in this build")
                    continue
                count += 1
                right, text = judge(case, *decode(options.program, case, folder, count))
                failures += not right
                print(f"{case.format:10} {case.feature:32} {'' if right else 'WRONG: '}{text}")
    print(f"{count} files, {failures} wrong; Pillow {Image.__version__}")
    return 1 if failures > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
