"""How large the code is: lines of modules and functions, and how deep functions nest.

``python -m benchmarks.shape`` prints medians and maxima for each package and names what is over a
limit of the house; it exits with 1 where something is. `tests/test_architecture.py` holds the
packages to the same limits.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "stages", "benchmarks", "tests")
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
DEEPEST = 3
MEDIAN_MODULE = 150
MEDIAN_FUNCTION = 12

_BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True)
class Function:
    """A function or method: its lines, with decorators and docstring, and its nested blocks."""

    place: str
    lines: int
    depth: int


@dataclass(frozen=True)
class Module:
    """A file, named from the repository's root, and the functions defined in it."""

    name: str
    lines: int
    functions: tuple[Function, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What of it is over a limit, a line each."""
        found = [f"{self.name}: {self.lines} lines"] if self.lines > LONGEST_MODULE else []
        for function in self.functions:
            if function.lines > LONGEST_FUNCTION:
                found.append(f"{function.place}: {function.lines} lines")
            if function.depth > DEEPEST:
                found.append(f"{function.place}: {function.depth} blocks deep")
        return tuple(found)


def modules(package: str) -> tuple[Module, ...]:
    """Return every module of a package, measured."""
    return tuple(_module(path) for path in sorted((ROOT / package).rglob("*.py")))


def _module(path: Path) -> Module:
    name, text = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    return Module(name, len(text.splitlines()), tuple(_functions(name, ast.parse(text))))


def _functions(name: str, tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            lines = (node.end_lineno or first) - first + 1
            yield Function(f"{name}:{node.lineno} {node.name}", lines, _depth(node))


def _depth(node: ast.AST) -> int:
    inner = [one for one in ast.iter_child_nodes(node) if not isinstance(one, _DEFINITIONS)]
    return max(
        (_depth(one) + (isinstance(one, _BLOCKS) and not _is_elif(node, one)) for one in inner),
        default=0,
    )


def _is_elif(node: ast.AST, inner: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(inner, ast.If) and node.orelse == [inner]


def main() -> int:
    """Print a line for each package and for each fault; return 1 where there is one."""
    print(f"{'package':<12}{'modules':>8}{'median':>8}{'most':>6}", end="")
    print(f"{'functions':>11}{'median':>8}{'most':>6}{'deepest':>9}")
    faults: list[str] = []
    for package in PACKAGES:
        found = modules(package)
        functions = [one for module in found for one in module.functions]
        sizes, lengths = [one.lines for one in found], [one.lines for one in functions]
        print(f"{package:<12}{len(sizes):>8}{statistics.median(sizes):>8g}{max(sizes):>6}", end="")
        print(f"{len(lengths):>11}{statistics.median(lengths):>8g}{max(lengths):>6}", end="")
        print(f"{max(one.depth for one in functions):>9}")
        faults += [fault for module in found for fault in module.faults]
    print("\n".join(faults) or "nothing is over a limit")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
