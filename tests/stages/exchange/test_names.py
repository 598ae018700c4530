"""Names of files and folders that every file system takes, and that keep things apart."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from stages.exchange.exported_set import _file_names, class_folders, flag_of, safe_name, size_of


@dataclass(frozen=True, eq=False)
class Ids:
    """As much of a set as names are made of."""

    given: list[str]

    def ids(self) -> list[str]:
        return self.given


@given(text=st.text(max_size=300))
def test_any_text_becomes_a_file_name(text: str) -> None:
    """No separators, no leading dot, not empty, not too long."""
    name = safe_name(text)
    assert 0 < len(name.encode()) < 500
    assert not set(name) & set('/\\:*?"<>|\n\0 ')
    assert not name.startswith(".")


@given(ids=st.lists(st.text("aA/-. ", min_size=1, max_size=4), unique=True))
def test_samples_have_different_files(ids: list[str]) -> None:
    """Ids that differ only in what file names cannot hold still have files of their own."""
    names = [name.casefold() for name in _file_names(Ids(ids))]  # type: ignore[arg-type]
    assert len(set(names)) == len(ids)


def test_class_folders_sort_as_the_labels_do() -> None:
    """Readers that number classes by folder name find the same labels."""
    classes = [f"class {9 - number % 10}, {number}" for number in range(12)]
    assert sorted(class_folders(classes)) == class_folders(classes)
    assert class_folders(["normal, benign", "a/b"]) == ["0-normal-benign", "1-a-b"]


def test_sizes_of_medmnist_are_no_part_of_a_name() -> None:
    """Other tools know a dataset without the size that tells ours apart."""
    assert (flag_of("bloodmnist-224"), size_of("bloodmnist-224")) == ("bloodmnist", "224")
    assert (flag_of("pbc"), size_of("pbc")) == ("pbc", "")
    assert flag_of("phantom-oct") == "phantom-oct"
