"""The contract every corruption keeps, as tests to inherit.

A new corruption gets its tests by naming itself::

    class TestFog(CorruptionContract):
        suite = "imagenet-c"
        corruption = "fog"
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest

from pipeline.stream import Stream
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.rendering import SUITES, render, sample_stream
from stages.corrupt.schema import SuiteManifest
from stages.vocabulary import SEVERITIES

_SHAPES = ((28, 28, 1), (28, 28, 3), (33, 47, 3), (64, 64, 1), (128, 65, 3), (224, 224, 3))
any_severity = pytest.mark.parametrize("severity", SEVERITIES)
_ANY_SHAPE = pytest.mark.parametrize("shape", _SHAPES)


def _manifest(suite: str | SuiteManifest) -> SuiteManifest:
    return suite if isinstance(suite, SuiteManifest) else SUITES[suite]


class CorruptionContract:
    """Inherit and set `corruption` (and `suite`) to test a corruption against the contract."""

    suite: ClassVar[str | SuiteManifest] = "medimeta-c"
    corruption: ClassVar[str]

    def rendered(self, image: Image, severity: int, sample: str = "a") -> Image:
        """Return `image` at `severity`, as sample `sample`."""
        return self._renderer(severity)(image, sample)[0]

    def _renderer(
        self, severity: int
    ) -> Callable[[Image, str], tuple[Image, dict[str, int | float | str]]]:
        manifest = _manifest(self.suite)
        declared = manifest.corruption(self.corruption)

        def call(image: Image, sample: str) -> tuple[Image, dict[str, int | float | str]]:
            stream = sample_stream(0, "contract", sample, self.corruption, severity)
            return render(image, declared, severity, manifest, stream)

        return call

    @_ANY_SHAPE
    @any_severity
    def test_output_has_the_shape_of_the_input(
        self, shape: tuple[int, int, int], severity: int
    ) -> None:
        """The output is uint8 of the input's size; a gray image follows the suite's policy."""
        replicated = _manifest(self.suite).gray == "replicate"
        output = self.rendered(generated_image(shape), severity)
        assert output.dtype == np.uint8
        assert output.shape == (*shape[:2], 3 if replicated else shape[2])

    @any_severity
    def test_input_is_not_changed(self, severity: int) -> None:
        """The input keeps its bytes, and a read-only input gives the same output."""
        image = generated_image((40, 56, 3))
        before = image.copy()
        output = self.rendered(image, severity)
        assert np.array_equal(image, before)
        assert not np.shares_memory(image, output)
        image.setflags(write=False)
        assert np.array_equal(self.rendered(image, severity), output)

    @any_severity
    def test_a_view_renders_like_its_copy(self, severity: int) -> None:
        """Memory layout does not matter."""
        image = generated_image((80, 60, 3))
        view = image.transpose(1, 0, 2)[::-1]
        assert np.array_equal(
            self.rendered(view, severity), self.rendered(np.ascontiguousarray(view), severity)
        )

    def test_severity_zero_is_the_identity(self) -> None:
        """Severity 0 returns the pixels as they are and draws nothing."""
        image = generated_image((40, 56, 3))
        output, drawn = self._renderer(0)(image, "a")
        assert np.array_equal(output, image)
        assert drawn == {}

    @any_severity
    def test_drawn_parameters_are_plain_numbers(self, severity: int) -> None:
        """Drawn parameters are words or Python numbers of 64 bits, which a table can store."""
        _, drawn = self._renderer(severity)(generated_image((40, 56, 3)), "a")
        assert drawn
        for value in drawn.values():
            assert type(value) in (int, float, str)
            assert isinstance(value, str) or -(2**63) <= value < 2**63

    @any_severity
    def test_drawn_parameters_determine_the_output(self, severity: int) -> None:
        """Applying the stored parameters renders the image again."""
        image = generated_image((40, 56, 3))
        output, drawn = self._renderer(severity)(image, "a")
        kernel = KERNELS[_manifest(self.suite).corruption(self.corruption).kernel]
        assert np.array_equal(kernel.apply_one(image, drawn), output)

    def test_a_batch_is_its_images(self) -> None:
        """Images of different samples and severities in one batch are what they are alone."""
        images = np.stack([generated_image((33, 47, 3), str(n)) for n in range(10)])
        declared = _manifest(self.suite).corruption(self.corruption)
        kernel = KERNELS[declared.kernel]
        drawn = [
            kernel.draw(Stream.of("batch", n // 3), declared.severities[n // 2], images[n].shape)
            for n in range(len(images))
        ]
        together = np.empty_like(images)
        kernel.apply(images, drawn, together)
        for image, parameters, corrupted in zip(images, drawn, together, strict=True):
            assert np.array_equal(kernel.apply_one(image, parameters), corrupted)

    def test_order_and_threads_do_not_matter(self) -> None:
        """A batch rendered forwards, backwards and by four threads is the same."""
        images = {f"sample {n}": generated_image((40 + n, 56, 3), str(n)) for n in range(8)}

        def one(sample: str) -> bytes:
            return self.rendered(images[sample], 3, sample).tobytes()

        forwards = {sample: one(sample) for sample in images}
        backwards = {sample: one(sample) for sample in reversed(images)}
        with ThreadPoolExecutor(4) as pool:
            together = dict(zip(images, pool.map(one, images), strict=True))
        assert forwards == backwards == together

    def test_distance_grows_with_severity(self) -> None:
        """The mean distance from the clean image grows, except where the suite says it may not."""
        manifest = _manifest(self.suite)
        declared = manifest.corruption(self.corruption)
        images = [generated_image((96, 96, 3), str(n)) for n in range(16)]
        # The same random numbers at every severity, so that severity alone is measured.
        streams = [sample_stream(0, "contract", n, self.corruption, 0) for n in range(16)]
        distances = []
        for severity in range(6):
            rendered = [
                render(image, declared, severity, manifest, stream)[0].astype(int)
                for image, stream in zip(images, streams, strict=True)
            ]
            far = [np.abs(r - image).mean() for r, image in zip(rendered, images, strict=True)]
            distances.append(np.mean(far))
        assert distances[0] == 0
        falls = {n for n in SEVERITIES if distances[n] <= distances[n - 1]}
        assert falls <= {fall.to for fall in declared.falls}, distances
