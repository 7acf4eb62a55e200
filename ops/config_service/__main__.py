"""`python -m ops.config_service [PORT]`: the stand-in until Ctrl-C, with the key of INTERNAL_API_KEY."""

import contextlib
import os
import sys
import threading

from ops.config_service import StandIn, serve

PORT = 8090

if __name__ == "__main__":
    stand_in = StandIn(key=os.environ.get("INTERNAL_API_KEY", ""))
    with serve(stand_in, int(sys.argv[1]) if sys.argv[1:] else PORT), contextlib.suppress(KeyboardInterrupt):
        print(f"config service stand-in on {stand_in.url}", flush=True)
        threading.Event().wait()
