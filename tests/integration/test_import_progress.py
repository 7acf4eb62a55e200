"""A long import says how far it has come."""

from pathlib import Path

from registry.importing import import_file


class Recorder:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, list[tuple[int, int | None]]]] = []

    def begin(self, label: str) -> None:
        self.said.append((label, []))

    def at(self, done: int, total: int | None = None) -> None:
        self.said[-1][1].append((done, total))


def test_every_long_step_of_an_import_counts(stores: None, tmp_path: Path) -> None:
    file = tmp_path / "many.csv"
    rows = [f"S{n},Company {n},DAX" for n in range(2500)]
    file.write_text("\n".join(["symbol,name,index", *rows, ""]))
    told = Recorder()
    report = import_file(file, exchange="ETR", rejects=tmp_path / "rejects", steps=told)
    assert (report.read, report.accepted) == (2500, 2500)
    reading, deciding, *writing = told.said
    assert reading == ("many.csv: reading", [(1000, None), (2000, None)])
    assert deciding[0] == "many.csv: 2500 rows read, deciding what each stands for"
    assert [counts for label, counts in writing if label.endswith("writing")] == [
        [(0, 2500), (1000, 2500), (2000, 2500)],
        [(0, 2500), (1000, 2500), (2000, 2500)],
    ]
