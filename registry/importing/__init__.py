"""Imports CSV files of current members and of membership spells.

In data order: ``layout`` tells the form of a file from its header; ``reading`` yields its rows; ``listing``
decides where each is listed (evidence from ``known``); ``members`` and ``spells`` decide, purely, what each
row stands for (``checks`` judges single values); ``member_store`` and ``spell_store`` write, within the
transaction of ``database``; ``record`` keeps in the registry what a file held and what became of it;
``rejects`` writes the rows that were refused; ``report`` says what came of it; ``options`` says what may be asked for;
``run`` puts them in this order, telling ``progress`` how far it has come.
"""

from registry.importing.report import ImportReport
from registry.importing.run import import_file

__all__ = ["ImportReport", "import_file"]
