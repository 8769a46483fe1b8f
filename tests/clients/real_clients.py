"""Unchanged clients of python-socketio, with threads or with asyncio, in an application that does not handle errors.
They print their events line by line. `tests/it/real_clients.rs` starts this script."""

import asyncio
import json
import os
import sys
import threading

import socketio

library, url, ways = sys.argv[1:]
FAST = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.3}
writing = threading.Lock()


def prepare(sio, client, way):
    """Makes a client print its events, and returns the arguments for its connect call."""
    namespace = way["namespace"]

    def tell(event, message=None):
        with writing:
            print(json.dumps({"client": client, "event": event, "message": message}), flush=True)

    sio.on("new_message", lambda event: tell("new_message", event["content"]), namespace=namespace)
    sio.on("connect_error", lambda data=None: tell("connect_error", data), namespace=namespace)
    sio.on("disconnect", lambda *reason: tell("disconnect", str(reason)), namespace=namespace)
    said = {"event": "sync", "data": {"since": {}}, "namespace": namespace,
            "callback": lambda answer: tell("ack", answer["ok"])}
    connection = {"auth": way.get("auth"), "headers": way.get("headers") or {}, "namespaces": [namespace],
                  "socketio_path": "ws/socket.io", "transports": way["transports"], "wait_timeout": 20}
    return tell, said, connection


async def run_async(client, way):
    sio = socketio.AsyncClient(**FAST)
    tell, said, connection = prepare(sio, client, way)

    async def ready(_):
        tell("ready")
        await sio.emit(**said)

    sio.on("ready", ready, namespace=way["namespace"])
    # The library reconnects by itself only after a first connection.
    await sio.connect(url, **connection)
    return sio


def run_sync(client, way):
    sio = socketio.Client(**FAST)
    tell, said, connection = prepare(sio, client, way)

    def ready(_):
        tell("ready")
        sio.emit(**said)

    sio.on("ready", ready, namespace=way["namespace"])
    sio.connect(url, **connection)
    return sio


async def all_async(ways):
    # Keep a reference, or the clients would be garbage-collected.
    _all = await asyncio.gather(*(run_async(client, way) for client, way in enumerate(ways)))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


ways = json.loads(ways)
if library == "python-socketio async":
    asyncio.run(all_async(ways))
else:
    everybody = [run_sync(client, way) for client, way in enumerate(ways)]
    sys.stdin.read()
# The library's threads would keep the process alive.
os._exit(0)
