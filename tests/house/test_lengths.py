"""Nothing grows until nobody can hold it in mind: functions and modules have a largest length."""

from house.sources import functions, modules, shown

LONGEST_FUNCTION = 50
LONGEST_MODULE = 400


def test_no_function_is_longer_than_50_lines() -> None:
    lengths = {
        f"{shown(path, function)} {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in modules()
        for function in functions(path)
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_MODULE} == {}
