"""The domain in Django's admin.

The registry's instruments and memberships follow the screener, and their history follows them: the database
refuses other writers, so they are shown and not edited here. The old store's tables take edits, where there is an
old store; whatever is saved there is captured by that store's own triggers, and who saved it is kept in the business
audit (``audited``). The ``logs`` are shown only;
files are imported from their page (``importing``). ``consumers`` has who calls what, and which reads differed.
"""

from registry.admin import consumers, importing, logs, memberships

__all__ = ["consumers", "importing", "logs", "memberships"]
