"""What is left out of the log."""

import logging

SERVER_ERROR = 500


def without_traceback(record: logging.LogRecord) -> bool:
    """Keep the line and drop the traceback of a request that was answered with an error of its own making.

    Django logs a refused permission (403) with the exception that said so; who was refused what stands in the line.
    """
    if getattr(record, "status_code", SERVER_ERROR) < SERVER_ERROR:
        record.exc_info = record.exc_text = None
    return True
