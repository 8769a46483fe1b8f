"""The unchanged python-socketio as somebody uses it who does nothing about errors: it tells, line by line, what
happens to it. `tests/it/no_database.rs` starts it."""

import asyncio
import json
import sys

import socketio

url, token, namespace, *transports = sys.argv[1:]


def tell(event, message=None):
    print(json.dumps({"event": event, "message": message}), flush=True)


async def main():
    sio = socketio.AsyncClient(reconnection_delay=0.1, reconnection_delay_max=0.3)
    sio.on("ready", lambda *_: tell("ready"), namespace=namespace)
    sio.on("new_message", lambda event: tell("new_message", event["content"]), namespace=namespace)
    sio.on("connect_error", lambda data=None: tell("connect_error", data), namespace=namespace)
    sio.on("disconnect", lambda *reason: tell("disconnect", str(reason)), namespace=namespace)
    # Reconnecting by itself begins with a connection that was there.
    await sio.connect(url, auth={"token": token}, namespaces=[namespace], socketio_path="ws/socket.io",
                      transports=transports, wait_timeout=10)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
