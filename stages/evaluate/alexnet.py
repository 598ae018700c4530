"""Errors of the AlexNets that MedMNIST-C divides by, as its authors published them.

Di Salvo, Doerrich and Ledig, "MedMNIST-C: Comprehensive benchmark and improved classifier
robustness by simulating realistic image corruptions", 2024, arXiv:2406.17536; the numbers are
those of `medmnistc` 0.1.0, `utils/baselines.py`, rounded to six decimals. An error is 1 - balanced
accuracy on the test split at 224 x 224, that of a corruption the mean over its five severities,
measured on the authors' own corrupted files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SUITE = "medmnist-c"
NAME = "alexnet (published)"
"""What stands in the baseline column."""

_ERRORS = """
pathmnist: clean .088393, pixelate .209342, jpeg_compression .247093, defocus_blur .462126,
motion_blur .368908, brightness_up .415516, brightness_down .281169, contrast_up .233893,
contrast_down .137187, saturate .334114, stain_deposit .249308, bubble .108183

bloodmnist: clean .018369, pixelate .059756, jpeg_compression .139762, defocus_blur .223998,
motion_blur .184519, brightness_up .069463, brightness_down .079008, contrast_up .052154,
contrast_down .079661, saturate .034786, stain_deposit .185361, bubble .128988

dermamnist: clean .398578, pixelate .510512, jpeg_compression .477163, gaussian_noise .770161,
speckle_noise .768878, impulse_noise .799555, shot_noise .839155, defocus_blur .700832,
motion_blur .626641, zoom_blur .527767, brightness_up .447399, brightness_down .577297,
contrast_up .430415, contrast_down .539821, black_corner .759146, characters .446192

retinamnist: clean .558206, pixelate .601700, jpeg_compression .679522, gaussian_noise .704083,
speckle_noise .613526, defocus_blur .688291, motion_blur .707576, brightness_down .584479,
contrast_down .609288

tissuemnist: clean .391779, pixelate .492729, jpeg_compression .508070, impulse_noise .797087,
gaussian_blur .480514, brightness_up .461827, brightness_down .519819, contrast_up .502623,
contrast_down .536934

octmnist: clean .202000, pixelate .312400, jpeg_compression .296400, speckle_noise .386000,
defocus_blur .308400, motion_blur .489200, contrast_down .419600

breastmnist: clean .145363, pixelate .461278, jpeg_compression .298622, speckle_noise .387093,
motion_blur .259023, brightness_up .319799, brightness_down .211278, contrast_down .158647

chestmnist: clean .283906, pixelate .448951, jpeg_compression .345757, gaussian_noise .476883,
speckle_noise .456879, impulse_noise .485536, shot_noise .492697, gaussian_blur .317680,
brightness_up .299372, brightness_down .297115, contrast_up .287510, contrast_down .295474,
gamma_corr_up .287462, gamma_corr_down .289164

pneumoniamnist: clean .100855, pixelate .221026, jpeg_compression .279829, gaussian_noise .441453,
speckle_noise .345726, impulse_noise .458120, shot_noise .410684, gaussian_blur .273077,
brightness_up .146496, brightness_down .278205, contrast_up .095299, contrast_down .237436,
gamma_corr_up .096068, gamma_corr_down .166410

organamnist: clean .050054, pixelate .075897, jpeg_compression .102332, gaussian_noise .558868,
speckle_noise .500898, impulse_noise .600512, shot_noise .570455, gaussian_blur .233407,
brightness_up .147635, brightness_down .264645, contrast_up .109779, contrast_down .126842,
gamma_corr_up .103600, gamma_corr_down .105771

organcmnist: clean .075968, pixelate .121613, jpeg_compression .107545, gaussian_noise .573654,
speckle_noise .513096, impulse_noise .599778, shot_noise .549248, gaussian_blur .316896,
brightness_up .160118, brightness_down .232427, contrast_up .099918, contrast_down .153274,
gamma_corr_up .142642, gamma_corr_down .123909

organsmnist: clean .243005, pixelate .312594, jpeg_compression .269970, gaussian_noise .588912,
speckle_noise .545010, impulse_noise .601011, shot_noise .551913, gaussian_blur .446665,
brightness_up .359850, brightness_down .359287, contrast_up .287170, contrast_down .312824,
gamma_corr_up .302532, gamma_corr_down .311602
"""


def _parsed() -> dict[str, Mapping[str, float]]:
    found: dict[str, Mapping[str, float]] = {}
    for paragraph in _ERRORS.strip().split("\n\n"):
        dataset, _, cells = paragraph.partition(":")
        pairs = (cell.split() for cell in cells.split(","))
        found[dataset] = MappingProxyType({name: float(error) for name, error in pairs})
    return found


ALEXNET: Mapping[str, Mapping[str, float]] = MappingProxyType(_parsed())
"""The error of each corruption, and of `clean`, by dataset."""


def alexnet_errors(suite: str, dataset: str, split: str) -> Mapping[str, float] | None:
    """Return the published errors, None where there are none for such sets.

    They are for the test splits of the suite `medmnist-c`; a dataset may name its size, as
    `bloodmnist-224` does.
    """
    if suite != SUITE or split != "test":
        return None
    return ALEXNET.get(dataset.partition("-")[0])
