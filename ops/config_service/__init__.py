"""A stand-in for the config service: speaks its contract, keeps values in memory, and can be told to misbehave.

GET /api/v1/secrets/NAME/value?environment=ENV   200 {"secret_value": ...}, 404 where nothing is set; with the key
PUT /stand-in/values/NAME                        {"value": ...}; null takes it back
PUT /stand-in/mood                               {"mood": "well" | "slow" | "down" | "wrong"}
"""

from ops.config_service.server import StandIn, serve

__all__ = ["StandIn", "serve"]
