"""The verbs operators use. Each is one function: gated, audited, called alike by command, admin, endpoint and task."""
