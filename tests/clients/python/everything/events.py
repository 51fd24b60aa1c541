"""Events that a client may ask for again, after its stream was closed."""

from mcp.server.streamable_http import EventMessage, EventStore


class Events(EventStore):
    """Keeps every event as long as the server runs, which is as long as a test."""

    def __init__(self):
        self._events = []

    async def store_event(self, stream_id, message):
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id, send_callback):
        last = int(last_event_id)
        stream_id, _ = self._events[last - 1]
        for number, (stream, message) in enumerate(self._events[last:], start=last + 1):
            # An event without a message opens a stream; nobody waits for it twice.
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream_id
