"""`python -m ops.config_service [PORT]`: the stand-in until Ctrl-C, with the key of INTERNAL_API_KEY.

Its values are those of CONFIG_ENVIRONMENT, production unless set.
"""

import contextlib
import os
import sys
import threading

from ops.config_service import StandIn, serve

PORT = 8090

if __name__ == "__main__":
    environment = os.environ.get("CONFIG_ENVIRONMENT") or "production"
    stand_in = StandIn(key=os.environ.get("INTERNAL_API_KEY", ""), environment=environment)
    with serve(stand_in, int(sys.argv[1]) if sys.argv[1:] else PORT), contextlib.suppress(KeyboardInterrupt):
        print(f"config service stand-in on {stand_in.url}", flush=True)
        threading.Event().wait()
