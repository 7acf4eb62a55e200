"""Who asks over HTTP, and what they may do. Endpoints of the operators' API and of the domain share it by settings.

The flow, in the order of a request:

1. `authentication` finds who asks: by the environment's key, by an API key, by a session of the admin's.
   `keys` knows, makes and revokes API keys; `caller` is who was found.
2. `permissions` holds what the caller may do against what the view needs, `throttling` how much of it: `counting`
   counts, on all machines together.
3. `lengths` and `bodies` read what was sent, with limits; `idempotency` lets a call that is made twice be made once.
4. `calls` keeps in the audit who called what.

How it can fail, and the answer:

* the registry is away → the environment's key is known without any database; any other key cannot be told, 503;
* a key is revoked or expires → the next request with it is refused, as nothing about keys is kept in memory;
* somebody guesses keys → they are random and too long for that, compared in constant time, and all that is stored is
  their hash; who guesses is told the same whatever the guess;
* a page of anybody's makes a browser with a session ask → a session needs its CSRF token, a key stands in no cookie;
* somebody sends what no server likes (100 MB, a thousand brackets, half a character, a body in chunks) → refused in a
  sentence, before any of it is looked at;
* Redis is away → limits are kept by each process for itself;
* a user has neither → whoever is not staff of the admin has no clearance at all.
"""

from dualwrite.access.caller import Caller, caller_of, known, may_look
from dualwrite.clearance import Clearance

__all__ = ["Caller", "Clearance", "caller_of", "known", "may_look"]
