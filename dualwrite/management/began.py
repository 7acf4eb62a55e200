"""When this process began, or nearly so: manage.py imports this first, before what takes long to load.

What happens while a command is loading, the operator who gave it cannot know.
"""

from datetime import UTC, datetime

BEGAN = datetime.now(UTC)
