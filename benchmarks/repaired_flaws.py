"""Draws the figures of docs/repaired-flaws.md and prints the numbers that it quotes.

``python -m benchmarks.repaired_flaws [FOLDER]`` writes the PNGs to FOLDER (default: docs/figures).
All images are generated, all seeds are 0 to 19.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.corrupt import corrupt
from stages.corrupt.reference import reference_corrupt

mpl.use("Agg")
Image = NDArray[np.uint8]
SEEDS = range(20)
NAMES = ("imagecorruptions", "medimeta-c-fixed")


def fixed(image: Image, corruption: str, severity: int, seed: int = 0) -> Image:
    """Return `image` under the repaired corruption."""
    return corrupt(image, corruption, severity, suite="medimeta-c-fixed", seed=seed, sample=0)


def disc(side: int, radius: int) -> Image:
    """Return a centred white disc on black."""
    y, x = np.ogrid[:side, :side]
    away = (x - side // 2) ** 2 + (y - side // 2) ** 2
    inside = (away <= radius * radius) * np.uint8(255)
    return np.repeat(inside[:, :, np.newaxis], 3, axis=2)


def zoom(folder: Path) -> list[str]:
    """Show where a centred disc goes."""
    clean = disc(97, 17)
    shift = {name: [] for name in NAMES}
    for severity in range(1, 6):
        for name, image in zip(NAMES, _both(clean, "zoom_blur", severity), strict=True):
            weight = image[:, :, 0].astype(float)
            middle = (weight * np.arange(97)).sum() / weight.sum()
            shift[name].append(middle - 48)
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, image in zip(NAMES, _both(clean, "zoom_blur", 5), strict=True):
        left.plot(image[48, :, 0].astype(int) - image[48, ::-1, 0], label=name)
        right.plot(range(1, 6), shift[name], marker="o", label=name)
    left.set(xlabel="column", ylabel="grey levels", title="severity 5: left minus right")
    right.set(xlabel="severity", ylabel="pixels", title="shift of the centre of mass")
    right.legend()
    figure.savefig(folder / "zoom-blur.png", dpi=100)
    return [f"zoom_blur, shift in pixels, {n}: {_listed(v)}" for n, v in shift.items()]


def rounding(folder: Path) -> list[str]:
    """Show what becomes of flat images."""
    lines = []
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, corruption in zip(
        figure.subplots(1, 3, sharey=True), ("motion_blur", "contrast", "zoom_blur"), strict=True
    ):
        lost = {name: [] for name in NAMES}
        for level in range(256):
            flat = np.full((48, 48, 3), level, np.uint8)
            for name, image in zip(NAMES, _both(flat, corruption, 3), strict=True):
                lost[name].append(int(image[24, 24, 0]) - level)
        for name, values in lost.items():
            axes.plot(values, ".", markersize=3, label=name)
        axes.set(title=corruption, xlabel="level of a flat image")
        lines.append(
            f"{corruption}, flat levels that lose one, severity 3: "
            + ", ".join(f"{name} {sum(v < 0 for v in values)}" for name, values in lost.items())
        )
    figure.axes[0].set_ylabel("change, grey levels")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(folder / "rounding.png", dpi=100)
    return lines


def darkening(folder: Path) -> list[str]:
    """Show the brightness of white images of 32 pixels."""
    white = np.full((32, 32, 3), 255, np.uint8)
    means = {
        name: [
            [_both(white, "motion_blur", severity, seed)[n].mean() for seed in SEEDS]
            for severity in range(1, 6)
        ]
        for n, name in enumerate(NAMES)
    }
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, 2, sharey=True), means.items(), strict=True):
        axes.boxplot(values)
        axes.set(title=name, xlabel="severity", ylabel="mean level of a white image")
    figure.savefig(folder / "motion-blur.png", dpi=100)
    return [
        f"motion_blur, darkest mean of 20 white images of 32 pixels, {name}: "
        + _listed([min(value) for value in values])
        for name, values in means.items()
    ]


def coloured(folder: Path) -> list[str]:
    """Show noise on a gray image."""
    ramp = np.tile(np.linspace(40, 215, 96).astype(np.uint8), (96, 1))[:, :, np.newaxis]
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    lines = []
    for row, corruption in zip(
        figure.subplots(2, 2), ("gaussian_noise", "impulse_noise"), strict=True
    ):
        for axes, name, image in zip(row, NAMES, _both(ramp, corruption, 3), strict=True):
            colours = np.repeat(image, 4 - image.shape[2], axis=2)[:, :, :3]
            axes.imshow(colours, interpolation="nearest")
            axes.set(title=f"{corruption}, {name}", xticks=[], yticks=[])
            share = (colours.max(axis=2) != colours.min(axis=2)).mean()
            lines.append(f"{corruption}, share of coloured pixels, {name}: {share:.3f}")
    figure.savefig(folder / "coloured-noise.png", dpi=100)
    return lines


def _both(image: Image, corruption: str, severity: int, seed: int = 0) -> tuple[Image, Image]:
    return (
        reference_corrupt(image, corruption, severity, seed=seed),
        fixed(image, corruption, severity, seed),
    )


def _listed(values: list[float]) -> str:
    return " ".join(f"{value:.2f}" for value in values)


def main(folder: Path) -> list[str]:
    """Draw all figures; return the lines of numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    return [line for draw in (zoom, rounding, darkening, coloured) for line in draw(folder)]


if __name__ == "__main__":
    default = Path(__file__).parents[1] / "docs" / "figures"
    print("\n".join(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)))
