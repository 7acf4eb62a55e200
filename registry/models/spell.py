"""The history of memberships together with its archive, to be asked."""

from registry.models.version import Version


class IndexMembershipSpell(Version):
    """A version, whether it is in the history or in the archive: a view, which nothing is written to."""

    class Meta(Version.Meta):
        managed = False
        db_table = "index_membership_history_all"
        default_permissions = ()
