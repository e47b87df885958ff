"""Two agents in MCP clients of their own share one piece of work: one does it, the other waits and gets the result."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

ROOST = str(Path(sys.executable).with_name("roost"))
KEY = f"summary of the guide, {time.time_ns()}"  # names the work and all that its result depends on


def server(agent: str) -> StdioServerParameters:
    """What stands in the configuration of an MCP client: it starts this command itself."""
    return StdioServerParameters(command=ROOST, args=["mcp", "--flock", "example-mcp", "--agent", agent])


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    return (await client.call_tool(tool, arguments)).structured_content


async def main() -> None:
    async with Client(server("robin")) as robin, Client(server("wren")) as wren:
        mine = await call(robin, "claim", key=KEY, label="reading the guide")
        print("robin:", mine["status"])
        other = await call(wren, "claim", key=KEY, wait_seconds=0)
        print(f"wren: {other['status']} by {other['by']}, who is {other['label']}")

        waiting = asyncio.create_task(call(wren, "claim", key=KEY))
        await call(robin, "complete", ticket=mine["ticket"], content="Nests are built in spring.")
        note = (await waiting)["known"]
        print(f"wren has it: {note['text']} ({note['note']['author']})")


asyncio.run(main())
