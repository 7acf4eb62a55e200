"""Files into stores: the real ones, and those made to be refused."""

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from dualwrite.stages import Store
from registry.exceptions import ImportFileError, ImportOptionError, WriteRefusedError
from registry.importing import ImportReport, import_file
from registry.models import Index, IndexMembership, IndexMembershipHistory, Instrument
from registry.screener.models import ScreenerIndexMembership, ScreenerInstrument
from tests.integration.domain import domain, sql

__all__ = ["domain"]
ROOT = Path(__file__).parent.parent.parent
DATA = ROOT / "data"
HEADER = "index_name,symbol,name,isin,country,exchange_symbol,currency,industries\n"
IN_DOMAIN = pytest.mark.usefixtures("domain")


def counts(report: ImportReport) -> tuple[int, int, int, int]:
    assert report.read == report.accepted + report.rejected + report.unchanged
    return report.read, report.accepted, report.rejected, report.unchanged


def rejected(report: ImportReport) -> list[dict[str, str]]:
    with report.rejects_path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def rejects(tmp_path: Path) -> Path:
    return tmp_path / "rejects.csv"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.csv"


def load(file: Path, text: str, **options: str | None) -> ImportReport:
    file.write_text(HEADER + text)
    return import_file(file, rejects=file.with_suffix(".rejects"), **options)  # type: ignore[arg-type]


@IN_DOMAIN
def test_the_current_constituents_go_into_the_screener_and_a_second_time_change_nothing(
    rejects: Path,
) -> None:
    path = DATA / "constituents_current.csv"
    assert counts(import_file(path, rejects=rejects)) == (1294, 1244, 50, 0)
    before = sql("SELECT md5(string_agg(i::text, '' ORDER BY id)) FROM instruments i", store=Store.SCREENER)
    report = import_file(path, rejects=rejects)
    assert counts(report) == (1294, 0, 50, 1244)
    after = sql("SELECT md5(string_agg(i::text, '' ORDER BY id)) FROM instruments i", store=Store.SCREENER)
    assert before == after
    assert Counter(row["reason"] for row in rejected(report)) == {"missing symbol": 50}
    first = rejected(report)[0]
    assert (first["line"], first["column"], first["name"]) == ("47", "symbol", "Air France-KLM")
    assert ScreenerIndexMembership.objects.using("screener").count() == 1244
    assert Instrument.objects.count() == IndexMembership.objects.count() == 0
    assert Index.objects.count() == 17
    dax = Index.objects.get(index_id="DAX")
    assert (dax.exchange, dax.country, dax.currency) == ("ETR", "Germany", "EUR")
    assert Index.objects.get(index_id="EURO STOXX 50").country is None


@IN_DOMAIN
def test_the_real_spells_go_into_the_history_and_a_second_time_change_nothing(rejects: Path) -> None:
    import_file(DATA / "constituents_current.csv", rejects=rejects)
    dow, sp500 = DATA / "dow30_history.csv", DATA / "sp500_history.csv"
    assert counts(import_file(dow, index="DOW JONES", rejects=rejects)) == (78, 78, 0, 0)
    assert counts(import_file(sp500, index="S&P 500", rejects=rejects)) == (889, 882, 7, 0)
    report = import_file(sp500, index="S&P 500", rejects=rejects)
    assert counts(report) == (889, 0, 7, 882)
    assert {row["line"]: row["reason"].partition(":")[0] for row in rejected(report)} == {
        "31": "overlaps line 30",
        "57": "overlaps line 56",
        "88": "empty spell",
        "355": "empty spell",
        "400": "empty spell",
        "752": "overlaps line 751",
        "763": "overlaps line 762",
    }
    # Both files name an instrument alike: the exchange of a current member comes from the stores.
    apple = IndexMembershipHistory.objects.get(instrument_key="NASDAQ:AAPL", index_id="DOW JONES")
    assert (str(apple.spell.lower), apple.spell.upper, apple.source) == (
        "2015-03-19",
        None,
        "dow30_history.csv",
    )
    assert IndexMembershipHistory.objects.filter(instrument_key="NYSE:BRK.B", index_id="S&P 500").count() == 1
    assert counts(import_file(dow, index="DOW JONES", rejects=rejects)) == (78, 0, 0, 78)


@IN_DOMAIN
def test_blanks_do_not_overwrite_and_changes_do(file: Path) -> None:
    load(file, "DAX,SAP.DE,SAP SE,DE0007164600,Germany,,EUR,Software|Tech\n")
    report = load(file, "DAX,SAP.DE,SAP,,,,,\nTecDAX,SAP.DE,ignored,,,,,\n")
    assert counts(report) == (2, 2, 0, 0)
    sap = ScreenerInstrument.objects.using("screener").get()
    assert (sap.name, sap.isin, sap.country, sap.currency) == ("SAP", "DE0007164600", "Germany", "EUR")
    memberships = ScreenerIndexMembership.objects.using("screener").order_by("id")
    assert list(memberships.values_list("index_name", "sector")) == [("DAX", "Software"), ("TecDAX", None)]


@IN_DOMAIN
def test_of_duplicates_in_the_old_table_the_oldest_is_written_and_none_is_added(file: Path) -> None:
    for name in ("first", "second"):
        sql(
            "INSERT INTO instruments (symbol, exchange, name) VALUES ('SAP', 'ETR', %s)",
            name,
            store=Store.SCREENER,
        )
    load(file, "DAX,SAP.DE,SAP SE,,,,,\n")
    rows = ScreenerInstrument.objects.using("screener").order_by("id")
    assert list(rows.values_list("name", flat=True)) == ["SAP SE", "second"]


@IN_DOMAIN
def test_every_kind_of_bad_row_is_rejected_and_the_good_ones_go_on(file: Path) -> None:
    good = HEADER.encode() + b"DAX,SAP.DE,,,,,,\n"
    bad = b"DAX,,,,,,,\nDAX,BAS.DE,,DE0007164601,,,,\nDAX,SAP,,,,,,\nDAX,\xe4.DE,,,,,,\nDAX,A\0.DE,,,,,,\nDAX\n"
    file.write_bytes(good + bad + b"MINE,X,,,,,,\n")
    report = import_file(file, rejects=file.with_suffix(".rejects"))
    assert counts(report) == (8, 1, 7, 0)
    reasons = [line.split(b",")[:3] for line in report.rejects_path.read_bytes().split(b"\r\n")[1:-1]]
    assert [(int(line), reason.split(b":")[0]) for line, _, reason in reasons] == [
        (3, b"missing symbol"),
        (4, b"bad ISIN check digit or form"),
        (5, b"duplicate of line 2"),
        (6, b"bad encoding"),
        (7, b"control character"),
        (8, b"wrong number of columns"),
        (9, b'"unknown exchange'),
    ]


@IN_DOMAIN
def test_members_go_into_the_registry_once_it_takes_writes(file: Path) -> None:
    file.write_text("index,symbol,figi\nDAX,SAP.DE,BBG000BG7DY8\n")
    report = import_file(file, into="registry", rejects=file.with_suffix(".rejects"))
    assert counts(report) == (1, 1, 0, 0)
    assert counts(import_file(file, into="registry", rejects=file.with_suffix(".rejects"))) == (1, 0, 0, 1)
    sap = Instrument.objects.get()
    assert (sap.instrument_key, sap.mic, sap.figi) == ("ETR:SAP", "XETR", "BBG000BG7DY8")
    assert IndexMembershipHistory.objects.count() == 1


def test_the_registry_refuses_members_while_the_screener_is_the_authority(stores: None, file: Path) -> None:
    file.write_text(HEADER + "DAX,SAP.DE,,,,,,\n")
    with pytest.raises(WriteRefusedError) as caught:
        import_file(file, into="registry", rejects=file.with_suffix(".rejects"))
    assert "\n" not in str(caught.value)
    assert Instrument.objects.count() == Index.objects.count() == 0


def test_the_engine_lets_spells_into_the_history_while_the_screener_is_the_authority(
    stores: None, rejects: Path
) -> None:
    report = import_file(DATA / "dow30_history.csv", index="DOW JONES", rejects=rejects)
    assert counts(report) == (78, 78, 0, 0)


@IN_DOMAIN
@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"exchange": "NOWHERE"}, "valid are ETR"),
        ({"into": "both"}, "valid are registry, screener"),
        ({"index": " DAX"}, "without surrounding blanks"),
        ({"index": ""}, "without surrounding blanks"),
    ],
)
def test_an_unknown_option_lists_what_is_valid(file: Path, options: dict[str, str], word: str) -> None:
    with pytest.raises(ImportOptionError, match=word):
        load(file, "", **options)


@IN_DOMAIN
def test_spells_of_an_unknown_index_need_an_exchange(file: Path) -> None:
    file.write_text("symbol,opt_in,opt_out\nA,2000-01-01,\n")
    target = file.with_suffix(".rejects")
    with pytest.raises(ImportOptionError, match="give --exchange"):
        import_file(file, index="MINE", rejects=target)
    with pytest.raises(ImportOptionError, match="keeps no history"):
        import_file(file, index="DAX", into="screener", rejects=target)
    assert counts(import_file(file, index="MINE", exchange="LON", rejects=target)) == (1, 1, 0, 0)
    assert Index.objects.get().exchange == "LON"


@IN_DOMAIN
def test_a_spell_that_overlaps_what_is_stored_is_rejected(file: Path) -> None:
    sql(
        "INSERT INTO index_membership_history (instrument_key, index_id, spell, source)"
        " VALUES ('ETR:A', 'DAX', '[2000-01-01,)', 't')"
    )
    file.write_text("symbol,opt_in,opt_out\nA,1999-01-01,2000-01-02\nA,1998-01-01,2000-01-01\n")
    report = import_file(file, index="DAX", rejects=file.with_suffix(".rejects"))
    assert counts(report) == (2, 1, 1, 0)
    assert rejected(report)[0]["reason"] == "overlaps stored spell 2000-01-01 to now"


@IN_DOMAIN
def test_the_imported_file_is_never_overwritten_by_its_rejects(file: Path) -> None:
    file.write_text(HEADER)
    with pytest.raises(ImportOptionError, match="is the imported file itself"):
        import_file(file, rejects=file)
    assert file.read_text() == HEADER


@IN_DOMAIN
def test_nothing_is_written_when_the_rejects_cannot_be(file: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    file.write_text(HEADER + "DAX,SAP.DE,,,,,,\nDAX,,,,,,,\n")
    with pytest.raises(ImportOptionError, match="cannot be written"):
        import_file(file, rejects=tmp_path / "blocked" / "rejects.csv")
    assert ScreenerInstrument.objects.using("screener").count() == 0


@IN_DOMAIN
def test_a_file_with_a_header_only_is_imported_as_nothing(file: Path) -> None:
    assert counts(load(file, "")) == (0, 0, 0, 0)


@IN_DOMAIN
def test_a_missing_file_is_refused_before_anything_else(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="does not exist"):
        import_file(tmp_path / "none.csv")


@IN_DOMAIN
def test_the_command_prints_the_report_as_json_and_exits_1_when_rows_were_rejected(file: Path) -> None:
    file.write_text("INDEX,symbol\nDAX,SAP.DE\nDAX,\n")
    out, target = StringIO(), str(file.with_suffix(".rejects"))
    with pytest.raises(SystemExit) as caught:
        call_command(
            "import_constituents",
            str(file),
            "--column",
            "index=INDEX",
            "--json",
            "--rejects",
            target,
            stdout=out,
        )
    assert caught.value.code == 1
    assert json.loads(out.getvalue()) == {
        "file": str(file),
        "read": 2,
        "accepted": 1,
        "rejected": 1,
        "unchanged": 0,
        "rejects_file": target,
    }


@IN_DOMAIN
def test_the_command_exits_2_for_a_file_it_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="is a directory") as caught:
        call_command("import_constituents", str(tmp_path))
    assert caught.value.returncode == 2


def test_a_database_that_cannot_be_reached_is_named_in_one_line_without_password(tmp_path: Path) -> None:
    url = "postgres://someone:hunter2@127.0.0.1:1/nowhere"
    environment = {**os.environ, "SCREENER_DATABASE_URL": url, "DATABASE_URL": url, "SECRET_KEY": "x"}
    command = [sys.executable, "manage.py", "import_constituents", str(DATA / "constituents_current.csv")]
    rejects = ["--rejects", str(tmp_path / "rejects.csv")]
    done = subprocess.run(
        [*command, *rejects],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert "screener at 127.0.0.1:1/nowhere" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@IN_DOMAIN
@pytest.mark.parametrize("place", ["fifo", "folder", "no such folder/rejects.csv"])
def test_rejected_rows_never_take_the_place_of_something_else(place: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    before = (tmp_path / "fifo").stat().st_mode
    with pytest.raises(ImportOptionError, match="cannot be written"):
        import_file(DATA / "dow30_history.csv", index="DOW JONES", rejects=tmp_path / place)
    assert (tmp_path / "fifo").stat().st_mode == before
    assert not (tmp_path / "no such folder").exists()
    assert not IndexMembershipHistory.objects.exists(), "nothing is imported either"
