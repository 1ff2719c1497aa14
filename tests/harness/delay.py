"""A server that is further away: what is sent to it arrives some milliseconds later."""

import asyncio
import threading


class Delay:
    """Use as a context manager. Hands bytes on, and nothing else, so that it takes little of a processor."""

    def __init__(self, port, seconds):
        self._port, self._seconds = port, seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._server = self._run(self._loop.create_server(lambda: _Near(self._loop, self), "127.0.0.1", 0))
        self.url = "http://127.0.0.1:{}".format(self._server.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_):
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, task):
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(30)

    async def _close(self):
        self._server.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await asyncio.gather(*rest, return_exceptions=True)

    def open(self, near):
        return self._loop.create_connection(lambda: _Far(near), "127.0.0.1", self._port)

    def later(self, call, *arguments):
        self._loop.call_later(self._seconds, call, *arguments)


class _Near(asyncio.Protocol):
    """A client's connection. The server's is made at once, and what the client sends waits for both."""

    def __init__(self, loop, delay):
        self._loop, self._delay = loop, delay
        self._far, self._early = None, []

    def connection_made(self, transport):
        self.transport = transport
        self._opening = self._loop.create_task(self._open())

    async def _open(self):
        try:
            self._far, _ = await self._delay.open(self)
        except OSError:
            self.transport.close()
            return
        for data in self._early:
            self._far.write(data)

    def data_received(self, data):
        self._delay.later(self._send, data)

    def _send(self, data):
        if self._far is None:
            self._early.append(data)
        else:
            self._far.write(data)

    def connection_lost(self, _):
        if self._far is not None:
            self._far.close()


class _Far(asyncio.Protocol):
    def __init__(self, near):
        self._near = near

    def data_received(self, data):
        self._near.transport.write(data)

    def connection_lost(self, _):
        self._near.transport.close()
