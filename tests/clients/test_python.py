"""A complete session of a Mango client with the unmodified python-socketio.

MANGO_URL is the URL of a running server; `scripts/test clients` sets it. Every test ends with a fresh fetch over REST.
The tests must not work around errors of the server.
"""

import asyncio
import os
import secrets

import httpx
import pytest
import pytest_asyncio
import socketio

URL = os.environ["MANGO_URL"]
NAMESPACE = "/ws"
TIMEOUT = 10

# The `message_type` in responses and events: the name, as Mango's clients send and expect it.
# Only Mango's own `GET /message/{chat_id}` returns the number.
TEXT_IN_RESPONSES = "text"

TRANSPORTS = [
    pytest.param(["websocket"], id="websocket"),
    pytest.param(["polling"], id="polling"),
    pytest.param(["polling", "websocket"], id="polling-then-upgrade"),
]


class Device:
    """A connection of a user that records every event in the order of arrival."""

    def __init__(self, user, **options):
        self.user = user
        self.events = []
        self.changed = asyncio.Condition()
        self.sio = socketio.AsyncClient(**options)
        self.sio.on("*", self._record, namespace=NAMESPACE)

    async def _record(self, event, payload=None):
        async with self.changed:
            self.events.append((event, payload))
            self.changed.notify_all()

    async def connect(self, transports):
        await self.sio.connect(
            URL,
            headers={"auth": self.user["access_token"]},
            namespaces=[NAMESPACE],
            socketio_path="ws/socket.io",
            transports=transports,
            wait_timeout=TIMEOUT,
        )
        await self.next("ready")
        return self

    async def call(self, event, payload):
        return await self.sio.call(event, payload, namespace=NAMESPACE, timeout=TIMEOUT)

    async def ok(self, event, payload):
        ack = await self.call(event, payload)
        assert ack["ok"] is True, ack
        return ack

    async def send(self, chat_id, content, **extra):
        message = {"chat_id": chat_id, "content": content, "message_type": "text", **extra}
        return await self.ok("send_message", {"message": message})

    async def emit(self, event, payload):
        await self.sio.emit(event, payload, namespace=NAMESPACE)

    async def next(self, name, matches=lambda payload: True, number=1):
        """Returns the payload of the nth matching event with this name, already received or later."""

        def found():
            hits = [payload for event, payload in self.events if event == name and matches(payload)]
            return hits[number - 1] if len(hits) >= number else None

        try:
            async with asyncio.timeout(TIMEOUT), self.changed:
                while found() is None:
                    await self.changed.wait()
                return found()
        except TimeoutError:
            raise AssertionError(f"no {name}; received: {self.names()}") from None

    def all(self, name):
        return [payload for event, payload in self.events if event == name]

    def names(self):
        return [event for event, _ in self.events]


@pytest_asyncio.fixture
async def http():
    async with httpx.AsyncClient(base_url=URL, timeout=TIMEOUT) as client:
        yield client


@pytest_asyncio.fixture
async def devices():
    """Opens devices and closes them at the end of the test."""
    opened = []

    async def open_device(user, transports, **options):
        device = Device(user, **options)
        opened.append(device)
        return await device.connect(transports)

    yield open_device
    for device in opened:
        await device.sio.shutdown()


async def new_user(http):
    """Registers and logs in as Mango's documentation describes: JSON to register, a form to log in."""
    phone = "+7901" + "".join(secrets.choice("0123456789") for _ in range(9))
    response = await http.post("/user/create", json={"phone": phone, "password": "password123"})
    assert response.status_code == 201, response.text
    user_id = response.json()["id"]
    response = await http.post("/user/login", data={"username": phone, "password": "password123"})
    assert response.status_code == 200, response.text
    # All users share the HTTP client, so it must not keep cookies.
    http.cookies.clear()
    return {"id": user_id, "phone": phone, **response.json()}


async def fetch(http, user, path):
    response = await http.get(path, headers={"Authorization": f"Bearer {user['access_token']}"})
    assert response.status_code == 200, response.text
    return response.json()


async def stored(http, user, chat_id):
    """Returns the chat's messages, oldest first."""
    return list(reversed(await fetch(http, user, f"/chat/{chat_id}/messages?limit=200")))


async def new_chat(caller, users, listeners=(), is_group=True):
    details = {"name": "Lunch", "is_group": is_group, "members_array": [user["id"] for user in users]}
    chat = (await caller.ok("create_chat", {"chat": details}))["chat"]
    for device in listeners:
        await device.next("chat_created", lambda event: event["chat"] == chat["id"])
    return chat


async def settle(sender, chat_id, *listeners):
    """Sends a last message and waits until the listeners have received it, and with it all earlier events."""
    message = (await sender.send(chat_id, secrets.token_hex(8)))["message"]
    for listener in listeners:
        await listener.next("new_message", lambda event: event["id"] == message["id"])
    return message


@pytest.mark.parametrize("transports", TRANSPORTS)
class TestEveryTransport:
    async def test_a_complete_session_from_registration_to_a_pin(self, http, devices, transports):
        alice, bob = await new_user(http), await new_user(http)
        caller, second = await devices(alice, transports), await devices(alice, transports)
        peer = await devices(bob, transports)
        assert caller.all("ready")[0]["user_id"] == alice["id"]

        chat = await new_chat(caller, [bob], [caller, second, peer])
        ack = await caller.send(chat["id"], "How are you?!")
        assert ack["duplicate"] is False
        assert ack["chat_id"] == chat["id"]
        assert ack["prev"] < ack["rev"] == ack["message"]["seq"]
        for device in (second, peer):
            event = await device.next("new_message")
            assert (event["content"], event["chat"]) == ("How are you?!", chat["id"])
            assert event["message_type"] == TEXT_IN_RESPONSES
            assert event["id"] == ack["message"]["id"]

        like = await peer.ok("toggle_like_message", {"message": {"id": ack["message"]["id"]}})
        assert (like["liked"], like["likes"]) == (True, 1)
        for device in (caller, second):
            event = await device.next("message_liked")
            assert (event["message_id"], event["liked"], event["likes"]) == (ack["message"]["id"], True, 1)

        assert (await caller.ok("toggle_chat_pin", {"chat": {"id": chat["id"]}}))["pinned"] is True
        for device in (caller, second):
            assert (await device.next("chat_pinned"))["chat"] == chat["id"]

        last = await settle(caller, chat["id"], second, peer)
        assert caller.names() == ["ready", "chat_created", "message_liked", "chat_pinned"]
        assert second.names() == ["ready", "chat_created", "new_message", "message_liked", "chat_pinned", "new_message"]
        assert peer.names() == ["ready", "chat_created", "new_message", "new_message"]

        messages = await fetch(http, bob, f"/message/{chat['id']}")
        assert [message["id"] for message in messages] == [last["id"], ack["message"]["id"]]
        assert [liker["id"] for liker in messages[1]["likes_array"]] == [bob["id"]]
        assert messages[1]["message_type"] == 1
        assert [pinned["id"] for pinned in await fetch(http, alice, "/chat/pinned")] == [chat["id"]]
        assert await fetch(http, bob, "/chat/pinned") == []

    async def test_sends_in_a_row_are_stored_and_delivered_in_order(self, http, devices, transports):
        alice, bob = await new_user(http), await new_user(http)
        caller, peer = await devices(alice, transports), await devices(bob, transports)
        chat = await new_chat(caller, [bob], [peer])
        # python-engineio rejects a polling response of more than 16 packets (`Payload.max_decode_packets`) and
        # reconnects. The server may put all waiting packets into one response, so a burst must stay below that.
        burst = 12 if transports == ["polling"] else 100
        expected = [f"number {index}" for index in range(burst)]
        for content in expected:
            await caller.emit("send_message", {"message": {"chat_id": chat["id"], "content": content, "message_type": "text"}})
        last = await settle(caller, chat["id"], peer)
        expected.append(last["content"])
        assert [event["content"] for event in peer.all("new_message")] == expected
        assert [message["content"] for message in await stored(http, bob, chat["id"])] == expected

    async def test_a_message_with_a_repeated_client_id_is_stored_and_announced_once(self, http, devices, transports):
        alice, bob = await new_user(http), await new_user(http)
        caller, peer = await devices(alice, transports), await devices(bob, transports)
        chat = await new_chat(caller, [bob], [peer])
        client_id = secrets.token_hex(8)
        first = await caller.send(chat["id"], "once", client_id=client_id)
        repeated = await caller.send(chat["id"], "once", client_id=client_id)
        assert (first["duplicate"], repeated["duplicate"]) == (False, True)
        assert first["message"]["id"] == repeated["message"]["id"]
        last = await settle(caller, chat["id"], peer)
        expected = [first["message"]["id"], last["id"]]
        assert [event["id"] for event in peer.all("new_message")] == expected
        assert [message["id"] for message in await stored(http, bob, chat["id"])] == expected

    async def test_errors_without_a_callback_are_reported_by_exception_events(self, http, devices, transports):
        alice = await new_user(http)
        caller = await devices(alice, transports)
        await caller.emit("make_coffee", {})
        await caller.emit("send_message", {"message": {"chat_id": "one", "content": "x", "message_type": "text"}})
        await caller.emit("send_message", [1, 2])
        await caller.emit("send_message", {"message": {"chat_id": 2**40, "content": "x", "message_type": "text"}})
        await caller.next("exception", number=4)
        received = [(event["event"], event["error"]["code"]) for event in caller.all("exception")]
        assert received == [
            ("make_coffee", "unknown_event"),
            ("send_message", "validation_failed"),
            ("send_message", "validation_failed"),
            ("send_message", "not_found"),
        ]
        assert "message.chat_id" in caller.all("exception")[1]["error"]["errors"]
        rejected = await caller.call("make_coffee", {})
        assert (rejected["ok"], rejected["error"]["code"]) == (False, "unknown_event")
        assert len(caller.all("exception")) == 4
        assert await fetch(http, alice, "/chat") == []

    async def test_a_client_that_reconnects_gets_ready_and_the_missed_messages(self, http, devices, transports):
        alice, bob = await new_user(http), await new_user(http)
        caller, peer = await devices(alice, transports), await devices(bob, transports)
        chat = await new_chat(caller, [bob], [peer])
        await peer.sio.disconnect()
        missed = (await caller.send(chat["id"], "while bob was away"))["message"]
        peer.events.clear()
        await peer.connect(transports)
        history = await peer.ok("history", {"chat": {"id": chat["id"]}})
        assert [message["id"] for message in history["messages"]] == [missed["id"]]
        assert history["has_more"] is False
        last = await settle(caller, chat["id"], peer)
        assert [event["id"] for event in peer.all("new_message")] == [last["id"]]
        assert [message["id"] for message in await stored(http, bob, chat["id"])] == [missed["id"], last["id"]]

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [({}, "token_missing"), ({"auth": "not.a.token"}, "token_invalid")],
        ids=["no-token", "bad-token"],
    )
    async def test_a_rejected_client_gets_the_reason(self, http, transports, headers, reason):
        errors = asyncio.Queue()
        sio = socketio.AsyncClient(reconnection=False)
        sio.on("connect_error", errors.put, namespace=NAMESPACE)
        try:
            with pytest.raises(socketio.exceptions.ConnectionError):
                await sio.connect(
                    URL, headers=headers, namespaces=[NAMESPACE], socketio_path="ws/socket.io",
                    transports=transports, wait_timeout=TIMEOUT,
                )
            received = await asyncio.wait_for(errors.get(), TIMEOUT)
            message = received["message"] if isinstance(received, dict) else received
            assert message == f"unauthorized: {reason}"
        finally:
            await sio.shutdown()
        assert (await http.get("/health/live")).status_code == 200


async def test_a_client_that_loses_its_transport_reconnects(http, devices):
    alice, bob = await new_user(http), await new_user(http)
    caller = await devices(alice, ["websocket"])
    peer = await devices(bob, ["websocket"], reconnection_delay=0.1, randomization_factor=0)
    chat = await new_chat(caller, [bob], [peer])
    await peer.sio.eio.ws.close()
    await peer.next("ready", number=2)
    last = await settle(caller, chat["id"], peer)
    assert [event["id"] for event in peer.all("new_message")] == [last["id"]]
    assert [message["id"] for message in await stored(http, bob, chat["id"])] == [last["id"]]


async def test_an_added_member_can_read_the_whole_history_and_a_removed_one_nothing(http, devices):
    alice, bob = await new_user(http), await new_user(http)
    caller, peer = await devices(alice, ["websocket"]), await devices(bob, ["polling"])
    chat = await new_chat(caller, [])
    before = (await caller.send(chat["id"], "before bob"))["message"]
    member = {"chat": {"id": chat["id"]}, "user": {"id": bob["id"]}}
    assert (await caller.ok("add_member", member))["member"]["user"]["id"] == bob["id"]
    assert (await peer.next("member_added"))["member"]["user"]["id"] == bob["id"]
    assert [message["id"] for message in await stored(http, bob, chat["id"])] == [before["id"]]
    received_message = await settle(caller, chat["id"], peer)
    await caller.ok("remove_member", member)
    await peer.next("member_removed")
    after = await settle(caller, chat["id"])
    rejected = await peer.call("history", {"chat": {"id": chat["id"]}})
    assert rejected["error"]["code"] == "not_found"
    assert [event["id"] for event in peer.all("new_message")] == [received_message["id"]]
    assert peer.names()[-1] == "member_removed"
    assert [message["id"] for message in await stored(http, alice, chat["id"])] == [before["id"], received_message["id"], after["id"]]


@pytest.mark.parametrize("transports", TRANSPORTS)
@pytest.mark.parametrize("namespace", ["/", NAMESPACE])
async def test_a_client_with_the_path_of_the_plain_websocket_gets_an_error_at_once(transports, namespace):
    client = socketio.AsyncClient(reconnection=False)
    received = []

    @client.on("connect_error", namespace=namespace)
    async def on_connect_error(data):
        received.append(data["message"])

    connecting = client.connect(URL, socketio_path="ws", namespaces=[namespace], transports=transports)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await asyncio.wait_for(connecting, 5)
    assert received and "/ws/socket.io" in received[0], received
    await client.disconnect()
