"""The table of planted faults in docs/validation.md is the one that the tests plant."""

from pathlib import Path

from tests.integration.test_planted_faults import EQUAL, FAULTS, Fault, levels_from

DOCS = Path(__file__).parents[2] / "docs" / "validation.md"
BEGIN, END = "<!-- planted faults -->\n", "<!-- end of planted faults -->"


def line(name: str, planted: Fault) -> str:
    """One fault as a row of the table."""
    found = ", ".join(
        f"`{kind}`" + (f" of {len(keys)} keys" if len(keys) > 1 else "") for kind, keys in planted.found.items()
    )
    levels = ", ".join(level.value for level in levels_from(planted.least))
    return f"| {name} | {found} | {', '.join(sorted(planted.fields))} | {levels} |\n"


def table() -> str:
    """All of them."""
    head = "| fault | found as | fields named | levels |\n|---|---|---|---|\n"
    return head + "".join(line(name, planted) for name, planted in FAULTS.items())


def test_the_table_has_every_fault_that_is_planted() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0] == table()


def test_what_is_equal_by_value_is_listed() -> None:
    assert f"Not found, since equal: {'; '.join(EQUAL)}." in DOCS.read_text(encoding="utf-8")
