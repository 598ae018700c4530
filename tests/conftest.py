"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# No time limit for one example: how long it takes depends on the machine and what else it does.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")
