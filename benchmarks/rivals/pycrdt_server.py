"""pycrdt-websocket on uvicorn: ``python -m benchmarks.rivals.pycrdt_server PORT``."""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from pycrdt.websocket import ASGIServer, WebsocketServer


async def main(port: int) -> None:
    server = WebsocketServer(auto_clean_rooms=False)
    config = uvicorn.Config(
        ASGIServer(server),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
    async with server:
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
