"""The web server's process, which leaves nobody standing at the door when it ends.

gunicorn's own stops taking connections when it is told to end, but keeps its listening socket open until the last
request is answered: the kernel goes on accepting for it, and cuts all of those off in the end. This one takes who is
waiting, and closes the door at once.
"""

from gunicorn.workers.gthread import ThreadWorker


class DrainingWorker(ThreadWorker):  # type: ignore[misc]
    """Of threads; `worker_class` of config.gunicorn."""

    def set_accept_enabled(self, enabled: bool) -> None:
        """Called once more, with false, when the worker was told to end."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            self._close_the_door()

    def _close_the_door(self) -> None:
        for listener in self.sockets:
            taken = -1
            while taken != self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()
