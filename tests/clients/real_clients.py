"""Unmodified clients of python-socketio, with threads or with asyncio, in an application without error handling.
They print their events line by line. `tests/it/real_clients.rs` starts this script."""

import asyncio
import json
import os
import sys
import threading

import socketio

library, url, configurations = sys.argv[1:]
FAST = {"reconnection_delay": 0.1, "reconnection_delay_max": 0.3}
print_lock = threading.Lock()


def prepare(sio, client, configuration):
    """Makes a client print its events; returns its print function and the arguments of its sync and connect calls."""
    namespace = configuration["namespace"]

    def report(event, message=None):
        with print_lock:
            print(json.dumps({"client": client, "event": event, "message": message}), flush=True)

    sio.on("new_message", lambda event: report("new_message", event["content"]), namespace=namespace)
    sio.on("connect_error", lambda data=None: report("connect_error", data), namespace=namespace)
    sio.on("disconnect", lambda *reason: report("disconnect", str(reason)), namespace=namespace)
    sync = {"event": "sync", "data": {"since": {}}, "namespace": namespace,
            "callback": lambda response: report("ack", response["ok"])}
    connection = {"auth": configuration.get("auth"), "headers": configuration.get("headers") or {},
                  "namespaces": [namespace], "socketio_path": "ws/socket.io", "transports": configuration["transports"],
                  "wait_timeout": 20}
    return report, sync, connection


async def run_async(client, configuration):
    sio = socketio.AsyncClient(**FAST)
    report, sync, connection = prepare(sio, client, configuration)

    async def ready(_):
        report("ready")
        await sio.emit(**sync)

    sio.on("ready", ready, namespace=configuration["namespace"])
    # The library reconnects on its own only after a first connection.
    await sio.connect(url, **connection)
    return sio


def run_sync(client, configuration):
    sio = socketio.Client(**FAST)
    report, sync, connection = prepare(sio, client, configuration)

    def ready(_):
        report("ready")
        sio.emit(**sync)

    sio.on("ready", ready, namespace=configuration["namespace"])
    sio.connect(url, **connection)
    return sio


async def all_async(configurations):
    # Keep a reference, or the clients would be garbage-collected.
    _clients = await asyncio.gather(*(run_async(*item) for item in enumerate(configurations)))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


configurations = json.loads(configurations)
if library == "python-socketio async":
    asyncio.run(all_async(configurations))
else:
    clients = [run_sync(client, configuration) for client, configuration in enumerate(configurations)]
    sys.stdin.read()
# The library's threads would keep the process alive.
os._exit(0)
