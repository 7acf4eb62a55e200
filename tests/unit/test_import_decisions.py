"""What each row of an imported file stands for, without any database."""

import os
from pathlib import Path

import pytest

from registry.exceptions import ImportFileError, ImportOptionError
from registry.importing import members, rejects, spells
from registry.importing.layout import Form, Layout, recognise
from registry.importing.listing import Evidence
from registry.importing.reading import Rejection, Row, opened, problem
from registry.importing.spells import Days, Decided

MEMBERS = "index_name,symbol,name,isin,exchange_symbol,currency,industries\n"
SPELLS = "symbol,name,opt_in,opt_out\n"


def read(path: Path, text: str | bytes, index: str | None = None) -> tuple[Layout, list[Row]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with opened(path, {}, index) as (layout, rows):
        return layout, list(rows)


def decide(path: Path, text: str) -> tuple[list[members.Member], list[Rejection]]:
    layout, rows = read(path, MEMBERS + text)
    return members.decide(rows, layout, None, Evidence())


def compare(path: Path, text: str, stored: dict[str, list[Days]] | None = None) -> tuple[Decided, list[Rejection]]:
    layout, rows = read(path, SPELLS + text, "DAX")
    parsed, rejected = spells.parse(rows, layout, "DAX", Evidence())
    return spells.compare(parsed, layout, stored or {}), rejected


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.csv"


def test_columns_tell_members_from_spells() -> None:
    assert recognise(["symbol", "index_name"], {}, None).form is Form.MEMBERS
    assert recognise(["symbol"], {}, "DAX").form is Form.MEMBERS
    assert recognise(["symbol", "opt_in", "opt_out"], {}, "DAX").form is Form.SPELLS


def test_columns_that_fit_no_form_are_listed_with_what_is_needed() -> None:
    with pytest.raises(ImportFileError) as caught:
        recognise(["ticker", "name"], {}, None)
    message = str(caught.value)
    assert "lacks index, symbol" in message
    assert "name (column name)" in message
    assert "spells need symbol, opt_in, opt_out" in message


def test_spells_without_index_name_the_known_ones() -> None:
    with pytest.raises(ImportOptionError, match="--index; known are AEX"):
        recognise(["symbol", "opt_in", "opt_out"], {}, None)


def test_a_column_given_for_a_field_is_read() -> None:
    layout = recognise(["ticker", "index_name"], {"symbol": "ticker"}, None)
    assert layout.column("symbol") == "ticker"


@pytest.mark.parametrize(("given", "word"), [({"ticker": "a"}, "no field"), ({"symbol": "b"}, "no column")])
def test_a_field_or_column_that_does_not_exist_is_refused(given: dict[str, str], word: str) -> None:
    with pytest.raises(ImportOptionError, match=word):
        recognise(["a", "index_name"], given, None)


def test_rows_know_the_line_they_begin_on(file: Path) -> None:
    _, rows = read(file, MEMBERS + 'DAX,"A\nB",,,,,\n\nDAX,SAP.DE,,,,,\n')
    assert [row.line for row in rows] == [2, 5]


def test_a_byte_order_mark_is_no_part_of_the_first_column(file: Path) -> None:
    layout, _ = read(file, b"\xef\xbb\xbf" + MEMBERS.encode())
    assert layout.header[0] == "index_name"


@pytest.mark.parametrize(
    ("content", "column", "reason"),
    [
        (b"DAX,SAP.DE,x,,,\n", "", "wrong number of columns: 6 instead of 7"),
        (b"DAX,SAP.DE,\xe4,,,,\n", "name", "bad encoding: not UTF-8"),
        (b"DAX,SAP.DE,a\0b,,,,\n", "name", "control character"),
        (b'DAX,"SA\nP.DE",,,,,\n', "symbol", "control character"),
    ],
)
def test_an_unreadable_row_is_rejected_with_its_column(file: Path, content: bytes, column: str, reason: str) -> None:
    layout, rows = read(file, MEMBERS.encode() + content + b"DAX,SAP.DE,,,,,\n")
    found = problem(rows[0], layout)
    assert found is not None
    assert (found.column, found.reason) == (column, reason)
    assert problem(rows[1], layout) is None


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "is empty"), ("symbol,index".encode("utf-16"), "not UTF-8"), (b"\xff,index\n", "not UTF-8")],
)
def test_a_file_that_is_no_utf8_csv_is_refused_as_a_whole(file: Path, content: bytes, word: str) -> None:
    with pytest.raises(ImportFileError, match=word):
        read(file, content)


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    for path, word in ((tmp_path / "none.csv", "does not exist"), (tmp_path, "is a directory")):
        with pytest.raises(ImportFileError, match=word), opened(path, {}, None):
            pytest.fail("opened")


def test_a_pipe_is_refused_as_it_might_wait_for_its_writer_for_ever(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(ImportFileError, match=r"pipe\.csv is a pipe, a CSV file is wanted"), opened(pipe, {}, None):
        pytest.fail("opened")


def test_a_device_is_refused() -> None:
    with pytest.raises(ImportFileError, match="is a device or socket"), opened(Path("/dev/zero"), {}, None):
        pytest.fail("opened")


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("DAX,,Nobody,,,,", "symbol", "missing symbol"),
        ("DAX,.DE,Nobody,,,,", "exchange_symbol", "unknown exchange"),
        (",SAP.DE,,,,,", "index_name", "missing index"),
        ("DAX,SAP.DE,,DE0007164601,,,", "isin", "bad ISIN check digit"),
        ("DAX,SAP.DE,,de0007164600,,,", "isin", "bad ISIN check digit"),
        ("DAX,SAP.DE,,,ETR:SAP,Euro,", "currency", "malformed currency"),
        ("MINE,SAP,,,,,", "exchange_symbol", "unknown exchange: index 'MINE'"),
    ],
)
def test_a_row_is_rejected_with_line_column_and_reason(file: Path, row: str, column: str, reason: str) -> None:
    accepted, rejected = decide(file, f"{row}\n")
    assert not accepted
    assert [(r.row.line, r.column) for r in rejected] == [(2, column)]
    assert rejected[0].reason.startswith(reason)


def test_a_membership_given_twice_is_a_duplicate_of_the_first_line(file: Path) -> None:
    accepted, rejected = decide(file, "DAX,SAP.DE,,,,,\nTecDAX,SAP.DE,,,,,\nDAX,SAP,,,,,\n")
    assert [m.index_id for m in accepted] == ["DAX", "TecDAX"]
    assert [(r.row.line, r.reason) for r in rejected] == [(4, "duplicate of line 2")]


def test_the_first_industry_is_the_sector_and_blanks_are_no_values(file: Path) -> None:
    (member,), _ = decide(file, "DAX,SAP.DE, ,DE0007164600,,,Software|Technology\n")
    assert member.membership == {"sector": "Software"}
    assert member.instrument == {"isin": "DE0007164600", "currency": "EUR"}


@pytest.mark.parametrize(
    ("field", "currency", "expected"),
    [("FRA:APC", "EUR", "USD"), ("NASDAQ:AAPL", "USX", "USX"), ("", "USX", "USX"), ("", "", "USD")],
)
def test_the_currency_of_another_listing_does_not_count(file: Path, field: str, currency: str, expected: str) -> None:
    (member,), _ = decide(file, f"NASDAQ 100,AAPL,,,{field},{currency},\n")
    assert member.instrument["currency"] == expected


def test_the_first_value_of_an_instrument_wins() -> None:
    described = [("a", {"name": "one"}), ("b", {}), ("a", {"name": "two", "isin": "x"})]
    assert members.merged(described) == {"a": {"name": "one", "isin": "x"}, "b": {}}


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        (",x,2000-01-01,", "symbol", "missing symbol"),
        ("A,x,,2000-01-01", "opt_in", "missing opt_in"),
        ("A,x,2000-02-30,", "opt_in", "malformed date: 2000-02-30"),
        ("A,x,20000201,", "opt_in", "malformed date"),
        ("A,x,2000-01-01,soon", "opt_out", "malformed date: soon"),
    ],
)
def test_a_malformed_spell_is_rejected(file: Path, row: str, column: str, reason: str) -> None:
    _, (rejection,) = compare(file, f"{row}\n")
    assert (rejection.row.line, rejection.column) == (2, column)
    assert rejection.reason.startswith(reason)


@pytest.mark.parametrize(("end", "kind"), [("2000-01-01", "empty"), ("1999-12-31", "inverted")])
def test_a_spell_that_ends_no_later_than_it_begins_is_rejected(file: Path, end: str, kind: str) -> None:
    _, (rejection,) = compare(file, f"A,x,2000-01-01,{end}\n")
    assert rejection.reason == f"{kind} spell: 2000-01-01 to {end}"


def test_of_overlapping_rows_the_first_stays_and_touching_ones_do_not_overlap(file: Path) -> None:
    text = "A,,2000-01-01,2005-01-01\nA,,2005-01-01,\nA,,2004-12-31,2005-01-01\nA,,2005-01-01,\nB,,2001-01-01,\n"
    decided, _ = compare(file, text)
    assert [spell.row.line for spell in decided.new] == [2, 3, 6]
    assert [r.reason for r in decided.rejections] == ["overlaps line 2", "duplicate of line 3"]


def test_stored_spells_are_unchanged_or_overlapped(file: Path) -> None:
    (first, _), (other, _) = compare(file, "A,,2000-01-01,2005-01-01\n"), compare(file, "B,,2000-01-01,\n")
    stored = {
        "ETR:A": [first.new[0].days],
        "ETR:B": [Days(other.new[0].days.opt_in.replace(year=2001), None)],
    }
    decided, _ = compare(file, "A,,2000-01-01,2005-01-01\nB,,2000-01-01,\nB,,1990-01-01,2001-01-01\n", stored)
    assert [row.line for row in decided.unchanged] == [2]
    assert [(r.row.line, r.reason) for r in decided.rejections] == [(3, "overlaps stored spell 2001-01-01 to now")]
    assert [spell.row.line for spell in decided.new] == [4]


def test_rejects_carry_the_original_fields_in_the_order_of_the_file(tmp_path: Path, file: Path) -> None:
    layout, rows = read(file, MEMBERS.encode() + b'DAX,,\xe4,,,,\nDAX,,"a,b",,,,\n')
    (tmp_path / "deep").mkdir()
    target = tmp_path / "deep" / "rejects.csv"
    rejects.write(target, layout, [Rejection(rows[1], "symbol", "two"), Rejection(rows[0], "name", "one")])
    lines = target.read_bytes().split(b"\r\n")
    assert lines[0].startswith(b"line,column,reason,index_name,symbol")
    assert lines[1:] == [b"2,name,one,DAX,,\xe4,,,,", b'3,symbol,two,DAX,,"a,b",,,,', b""]
    assert list(target.parent.iterdir()) == [target]
