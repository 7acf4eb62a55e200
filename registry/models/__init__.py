"""The registry's tables. The database enforces their rules (formats, immutable keys, spells), whoever writes.

No table refers to another by a database foreign key: a cascade would write behind the capture of the table it
reaches, and the order in which two tables are mirrored would start to matter. Orphans are found by validation
instead.
"""

from registry.models.archive import IndexMembershipHistoryArchive
from registry.models.audit import AuditLog
from registry.models.broker import BrokerApiLog
from registry.models.change import Change, ChangesHead
from registry.models.consumer import ConsumerCalls, IgnoreRule, ReadMismatch
from registry.models.history import IndexMembershipHistory
from registry.models.index import Index
from registry.models.instrument import Instrument
from registry.models.membership import IndexMembership
from registry.models.scratch import IngestionScratch
from registry.models.spell import IndexMembershipSpell

__all__ = [
    "AuditLog",
    "BrokerApiLog",
    "Change",
    "ChangesHead",
    "ConsumerCalls",
    "IgnoreRule",
    "Index",
    "IndexMembership",
    "IndexMembershipHistory",
    "IndexMembershipHistoryArchive",
    "IndexMembershipSpell",
    "IngestionScratch",
    "Instrument",
    "ReadMismatch",
]
