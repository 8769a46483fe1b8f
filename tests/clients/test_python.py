"""A Mango client's whole session with the unchanged python-socketio.

MANGO_URL is the URL of a running server; `scripts/test clients` sets it. Every test ends with a fresh fetch over REST.
The contract says what is right; this file must not work around the server.
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
PATIENCE = 10

# What `message_type` is in answers and events: the name, as Mango's clients send and expect it.
# Only Mango's own `GET /message/{chat_id}` returns the number.
TEXT_AS_ANSWERED = "text"

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
            wait_timeout=PATIENCE,
        )
        await self.next("ready")
        return self

    async def call(self, event, payload):
        return await self.sio.call(event, payload, namespace=NAMESPACE, timeout=PATIENCE)

    async def ok(self, event, payload):
        ack = await self.call(event, payload)
        assert ack["ok"] is True, ack
        return ack

    async def send(self, chat_id, content, **extra):
        message = {"chat_id": chat_id, "content": content, "message_type": "text", **extra}
        return await self.ok("send_message", {"message": message})

    async def emit(self, event, payload):
        await self.sio.emit(event, payload, namespace=NAMESPACE)

    async def next(self, name, fits=lambda payload: True, number=1):
        """Returns the payload of the nth event with this name that fits, received already or later."""

        def found():
            hits = [payload for event, payload in self.events if event == name and fits(payload)]
            return hits[number - 1] if len(hits) >= number else None

        try:
            async with asyncio.timeout(PATIENCE), self.changed:
                while found() is None:
                    await self.changed.wait()
                return found()
        except TimeoutError:
            raise AssertionError(f"no {name}; seen: {self.names()}") from None

    def all(self, name):
        return [payload for event, payload in self.events if event == name]

    def names(self):
        return [event for event, _ in self.events]


@pytest_asyncio.fixture
async def http():
    async with httpx.AsyncClient(base_url=URL, timeout=PATIENCE) as client:
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
    answer = await http.post("/user/create", json={"phone": phone, "password": "password123"})
    assert answer.status_code == 201, answer.text
    user_id = answer.json()["id"]
    answer = await http.post("/user/login", data={"username": phone, "password": "password123"})
    assert answer.status_code == 200, answer.text
    # Each user is a separate device: no cookie may remain in the shared HTTP client.
    http.cookies.clear()
    return {"id": user_id, "phone": phone, **answer.json()}


async def fetch(http, user, path):
    answer = await http.get(path, headers={"Authorization": f"Bearer {user['access_token']}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(http, user, chat_id):
    """Returns the chat's messages, oldest first."""
    return list(reversed(await fetch(http, user, f"/chat/{chat_id}/messages?limit=200")))


async def new_chat(caller, users, hearers=(), is_group=True):
    wish = {"name": "Lunch", "is_group": is_group, "members_array": [user["id"] for user in users]}
    chat = (await caller.ok("create_chat", {"chat": wish}))["chat"]
    for device in hearers:
        await device.next("chat_created", lambda event: event["chat"] == chat["id"])
    return chat


async def settle(sender, chat_id, *listeners):
    """Sends a last message and waits for it: all earlier events have arrived by then."""
    message = (await sender.send(chat_id, secrets.token_hex(8)))["message"]
    for listener in listeners:
        await listener.next("new_message", lambda event: event["id"] == message["id"])
    return message


@pytest.mark.parametrize("transports", TRANSPORTS)
class TestEveryTransport:
    async def test_a_whole_session_from_registration_to_the_pin(self, http, devices, transports):
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
            assert event["message_type"] == TEXT_AS_ANSWERED
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

    async def test_sends_in_a_row_are_stored_and_seen_in_order(self, http, devices, transports):
        alice, bob = await new_user(http), await new_user(http)
        caller, peer = await devices(alice, transports), await devices(bob, transports)
        chat = await new_chat(caller, [bob], [peer])
        # python-engineio refuses a polling answer of more than 16 packets (`Payload.max_decode_packets`) and
        # reconnects. If the server puts all waiting packets into one answer, a burst must stay below that.
        burst = 12 if transports == ["polling"] else 100
        wanted = [f"number {index}" for index in range(burst)]
        for content in wanted:
            await caller.emit("send_message", {"message": {"chat_id": chat["id"], "content": content, "message_type": "text"}})
        last = await settle(caller, chat["id"], peer)
        wanted.append(last["content"])
        assert [event["content"] for event in peer.all("new_message")] == wanted
        assert [message["content"] for message in await stored(http, bob, chat["id"])] == wanted

    async def test_a_repeated_client_id_is_stored_and_announced_once(self, http, devices, transports):
        alice, bob = await new_user(http), await new_user(http)
        caller, peer = await devices(alice, transports), await devices(bob, transports)
        chat = await new_chat(caller, [bob], [peer])
        client_id = secrets.token_hex(8)
        first = await caller.send(chat["id"], "once", client_id=client_id)
        again = await caller.send(chat["id"], "once", client_id=client_id)
        assert (first["duplicate"], again["duplicate"]) == (False, True)
        assert first["message"]["id"] == again["message"]["id"]
        last = await settle(caller, chat["id"], peer)
        wanted = [first["message"]["id"], last["id"]]
        assert [event["id"] for event in peer.all("new_message")] == wanted
        assert [message["id"] for message in await stored(http, bob, chat["id"])] == wanted

    async def test_errors_without_a_callback_come_as_exceptions(self, http, devices, transports):
        alice = await new_user(http)
        caller = await devices(alice, transports)
        await caller.emit("make_coffee", {})
        await caller.emit("send_message", {"message": {"chat_id": "one", "content": "x", "message_type": "text"}})
        await caller.emit("send_message", [1, 2])
        await caller.emit("send_message", {"message": {"chat_id": 2**40, "content": "x", "message_type": "text"}})
        await caller.next("exception", number=4)
        told = [(event["event"], event["error"]["code"]) for event in caller.all("exception")]
        assert told == [
            ("make_coffee", "unknown_event"),
            ("send_message", "validation_failed"),
            ("send_message", "validation_failed"),
            ("send_message", "not_found"),
        ]
        assert "message.chat_id" in caller.all("exception")[1]["error"]["errors"]
        refused = await caller.call("make_coffee", {})
        assert (refused["ok"], refused["error"]["code"]) == (False, "unknown_event")
        assert len(caller.all("exception")) == 4
        assert await fetch(http, alice, "/chat") == []

    async def test_who_comes_back_is_ready_again_and_finds_what_was_missed(self, http, devices, transports):
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
    async def test_who_is_refused_reads_why(self, http, transports, headers, reason):
        refusals = asyncio.Queue()
        sio = socketio.AsyncClient(reconnection=False)
        sio.on("connect_error", refusals.put, namespace=NAMESPACE)
        try:
            with pytest.raises(socketio.exceptions.ConnectionError):
                await sio.connect(
                    URL, headers=headers, namespaces=[NAMESPACE], socketio_path="ws/socket.io",
                    transports=transports, wait_timeout=PATIENCE,
                )
            told = await asyncio.wait_for(refusals.get(), PATIENCE)
            message = told["message"] if isinstance(told, dict) else told
            assert message == f"unauthorized: {reason}"
        finally:
            await sio.shutdown()
        assert (await http.get("/health/live")).status_code == 200


async def test_a_client_that_loses_its_transport_comes_back_by_itself(http, devices):
    alice, bob = await new_user(http), await new_user(http)
    caller = await devices(alice, ["websocket"])
    peer = await devices(bob, ["websocket"], reconnection_delay=0.1, randomization_factor=0)
    chat = await new_chat(caller, [bob], [peer])
    await peer.sio.eio.ws.close()
    await peer.next("ready", number=2)
    last = await settle(caller, chat["id"], peer)
    assert [event["id"] for event in peer.all("new_message")] == [last["id"]]
    assert [message["id"] for message in await stored(http, bob, chat["id"])] == [last["id"]]


async def test_a_member_is_added_with_the_whole_history_and_removed_for_good(http, devices):
    alice, bob = await new_user(http), await new_user(http)
    caller, peer = await devices(alice, ["websocket"]), await devices(bob, ["polling"])
    chat = await new_chat(caller, [])
    before = (await caller.send(chat["id"], "before bob"))["message"]
    member = {"chat": {"id": chat["id"]}, "user": {"id": bob["id"]}}
    assert (await caller.ok("add_member", member))["member"]["user"]["id"] == bob["id"]
    assert (await peer.next("member_added"))["member"]["user"]["id"] == bob["id"]
    assert [message["id"] for message in await stored(http, bob, chat["id"])] == [before["id"]]
    heard = await settle(caller, chat["id"], peer)
    await caller.ok("remove_member", member)
    await peer.next("member_removed")
    after = await settle(caller, chat["id"])
    refused = await peer.call("history", {"chat": {"id": chat["id"]}})
    assert refused["error"]["code"] == "not_found"
    assert [event["id"] for event in peer.all("new_message")] == [heard["id"]]
    assert peer.names()[-1] == "member_removed"
    assert [message["id"] for message in await stored(http, alice, chat["id"])] == [before["id"], heard["id"], after["id"]]


@pytest.mark.parametrize("transports", TRANSPORTS)
@pytest.mark.parametrize("namespace", ["/", NAMESPACE])
async def test_who_takes_the_path_of_the_plain_socket_is_told_at_once(transports, namespace):
    client = socketio.AsyncClient(reconnection=False)
    told = []

    @client.on("connect_error", namespace=namespace)
    async def on_connect_error(data):
        told.append(data["message"])

    connecting = client.connect(URL, socketio_path="ws", namespaces=[namespace], transports=transports)
    with pytest.raises(socketio.exceptions.ConnectionError):
        await asyncio.wait_for(connecting, 5)
    assert told and "/ws/socket.io" in told[0], told
    await client.disconnect()
