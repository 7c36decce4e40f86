"""Things to look at: a contact sheet of people, a film of one who talks."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from incarnate.io.pictures import write_picture
from incarnate.io.runs import check_output
from incarnate.progress import Report
from incarnate.studio.mhclo import dressed, wardrobe
from incarnate.studio.people import Person, person
from incarnate.studio.poses import talk, voice
from incarnate.studio.scenes import film, pictured
from incarnate.studio.shards import Order, checked

COLUMNS = 8


def sheet(order: Order, path: Path, report: Report) -> None:
    """Writes one random picture each of `order.count` people, beside its normals, as a .png."""
    checked(order, 1)
    check_output(path, 8 * order.count * order.size**2)
    report.stage("shooting")
    cells = []
    for k in range(order.count):
        who = member(order, k)
        sample = next(pictured(who, np.random.default_rng([order.seed, k, 3]), order.size, 1))
        normals = ((sample.shot.normal * [1, -1, -1] + 1) * 127.5).astype(np.uint8)
        cells.append(np.concatenate([sample.shot.rgb, normals], 1))
        report.step(k + 1, order.count)
    write_picture(path, _tiled(cells, max(1, COLUMNS // 2)))


def film_of(order: Order, path: Path, report: Report) -> None:
    """Writes a film with sound of the seed's first person, who says a sentence."""
    checked(order, 1)
    check_output(path, 50_000_000)
    report.stage("filming")
    rng = np.random.default_rng([order.seed, 0, 4])
    who = member(order, 0)
    film(who, talk(rng, sounding=voice(rng, who.woman)), path, rng, order.size)


def member(order: Order, index: int) -> Person:
    """Person number `index` of an order."""
    who = person((order.seed, index))
    if order.makehuman is not None and index % 2:
        rng = np.random.default_rng([order.seed, index, 2])
        who = dressed(who, wardrobe(order.makehuman), rng)
    return who


def _tiled(cells: list[UInt8[NDArray, "h w 3"]], columns: int) -> UInt8[NDArray, "hh ww 3"]:
    blank = np.full_like(cells[0], 255)
    cells = cells + [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
    return np.concatenate(rows)
