"""The domain: which instruments exist, which index holds which instrument, and since when.

In data order: ``screener`` holds the old store's tables as they are; ``exchanges`` knows the exchange codes
and indices; ``importing`` reads files of members and spells, decides row by row and writes them; ``models``
are the registry's own tables, whose rules live in the database (``sql``); ``logs`` keeps who changed what, and
what brokers were asked; ``pointintime`` answers who was a member on a day, as known then.
"""
