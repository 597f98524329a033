"""How the server listens."""

import asyncio
import socket

from rolloutwatch_server.serve import _listen


def test_what_is_answered_is_sent_at_once() -> None:
    """Nagle's algorithm is off: an answer over a kept connection would wait 40 ms for an acknowledgement."""

    async def option_of_a_connection() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = writer.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with _listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(accepted, sock=listener):
                _, writer = await asyncio.open_connection(*listener.getsockname())
                option = await found
                writer.close()
                await writer.wait_closed()
        return option

    assert asyncio.run(option_of_a_connection()) != 0
