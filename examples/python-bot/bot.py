"""A bot on python-socketio that survives restarts of the server and answers every command exactly once.

It renews its token, fetches after every connect what it missed (`sync`), and repeats a send whose acknowledgement was lost.
"""

import asyncio
import os
import random
import re
import time
from datetime import datetime, timezone

import aiohttp
import socketio

URL = os.environ.get("MANGO_URL", "http://localhost:5000")
USERNAME = os.environ.get("MANGO_USERNAME", "bob")
PASSWORD = os.environ.get("MANGO_PASSWORD", "mango-demo")

RETRY_SECS = 1
ACK_TIMEOUT_SECS = 5
# The token is renewed this long before it ends; the server asks for a new one 60 s before.
RENEW_BEFORE_SECS = 90
MAX_DICE = 20
# Statuses of a login that trying again does not change: wrong password, banned.
REFUSED = {401, 403}
# A command that fails with one of these is sent again; with any other it is given up.
TEMPORARY = {"rate_limited", "unavailable", "internal"}


def answer_to(text):
    """Returns the answer to a message, or None if it is not for the bot."""
    if text.strip() == "!time":
        return f"It is {datetime.now(timezone.utc).isoformat(timespec='seconds')}."
    roll = re.fullmatch(r"!roll (\d{1,2})d(\d{1,4})", text.strip())
    if not roll:
        return None
    count, sides = int(roll[1]), int(roll[2])
    if not 1 <= count <= MAX_DICE or sides < 2:
        return f"I roll 1 to {MAX_DICE} dice with at least 2 sides, such as !roll 2d6."
    dice = [random.randint(1, sides) for _ in range(count)]
    return f"{' + '.join(map(str, dice))} = {sum(dice)}"


class CommandFailed(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


class Tokens:
    """The tokens of one session: renewed in time, by a new login where the session has ended."""

    def __init__(self, http):
        self.http = http
        self.pair = None
        self.renew_at = 0

    async def access_token(self):
        if not self.pair or time.monotonic() >= self.renew_at:
            self.pair = await self._refresh() or await self._post("/auth/login", username=USERNAME, password=PASSWORD)
            self.renew_at = time.monotonic() + self.pair["expires_in"] - RENEW_BEFORE_SECS
        return self.pair["access_token"]

    async def _refresh(self):
        try:
            return self.pair and await self._post("/auth/refresh", refresh_token=self.pair["refresh_token"])
        except aiohttp.ClientResponseError:
            return None

    async def _post(self, path, **body):
        async with self.http.post(f"{URL}{path}", json=body) as response:
            response.raise_for_status()
            return await response.json()


class Bot:
    def __init__(self, tokens):
        self.tokens = tokens
        # `run` reconnects by itself: then a refused token and a server that is away are handled alike.
        self.sio = socketio.AsyncClient(reconnection=False)
        self.sio.on("*", self.on_event)
        self.online = asyncio.Event()
        self.jobs = asyncio.Queue()
        # Events that arrive during a `sync` wait here: what it brings is older. None when no sync is running.
        self.held = None
        self.catching_up = None
        self.banned = False
        self.me = None
        self.started_at = None
        self.user_rev = None
        self.epoch = None
        self.chats = {}
        # For each chat the `rev` up to which everything has been seen: what `sync` asks for as `since`.
        self.revs = {}
        # Messages up to this `seq` have been handled, by chat.
        self.handled = {}
        self.greeted = set()

    async def run(self):
        worker = asyncio.create_task(self.work())
        try:
            while not self.banned:
                try:
                    token = await self.tokens.access_token()
                    await self.sio.connect(URL, auth={"token": token}, socketio_path="/ws/socket.io", transports=["websocket"])
                    await self.sio.wait()
                except (socketio.exceptions.ConnectionError, aiohttp.ClientError, asyncio.TimeoutError) as error:
                    if getattr(error, "status", None) in REFUSED:
                        raise SystemExit(f"the login is refused: {error}")
                    if "unauthorized" in str(error):
                        self.tokens.pair = None
                    print("not connected:", error, flush=True)
                self.online.clear()
                # A random part, so that many clients do not come back at the same moment.
                await asyncio.sleep(RETRY_SECS * random.uniform(0.5, 1.5))
        finally:
            worker.cancel()

    async def work(self):
        """One job after the other, so that the read mark never passes a message that is still to be answered."""
        while True:
            handle, *arguments = await self.jobs.get()
            try:
                await handle(*arguments)
            except CommandFailed as error:
                print("refused:", error, flush=True)

    async def call(self, event, payload):
        """Sends a command until it is acknowledged, over as many connections as that takes."""
        while True:
            await self.online.wait()
            pause = RETRY_SECS
            try:
                ack = await self.sio.call(event, payload, timeout=ACK_TIMEOUT_SECS)
                if ack["ok"]:
                    self.advance({**ack, "chat": ack.get("chat_id")})
                    return ack
                if ack["error"]["code"] not in TEMPORARY:
                    raise CommandFailed(ack["error"])
                pause = ack["error"].get("retry_after_ms", RETRY_SECS * 1000) / 1000
            except socketio.exceptions.SocketIOError:
                pass  # The acknowledgement was lost; with a `client_id` it is safe to send again.
            await asyncio.sleep(pause)

    # --- catching up --------------------------------------------------------------------------

    async def on_event(self, event, data):
        if event == "ready":
            self.me = data["user_id"]
            self.started_at = self.started_at or data["server_time"]
            self.online.set()
            print("online", flush=True)
            self.catch_up()
        elif event == "token_expiring":
            await self.renew()
        elif event == "session_ended":
            self.tokens.pair = None
        elif event == "user_banned":
            self.banned = True
        else:
            self.receive(event, data)

    async def renew(self):
        try:
            await self.sio.emit("authenticate", {"token": await self.tokens.access_token()})
        except aiohttp.ClientError as error:
            print("no new token:", error, flush=True)

    def receive(self, event, data):
        # A new message carries its own `seq`; its `rev` may be that of a later edit.
        position = {**data, "rev": data["seq"]} if event == "new_message" else data
        is_gap = self.held is None and not self.advance(position)
        if is_gap or event == "sync_hint":
            self.catch_up()
        if self.held is not None:
            self.held.append((event, data))
        else:
            self.apply(event, data)

    def apply(self, event, data):
        if "details" in data:
            self.chats[data["chat"]] = data["details"]
        if event == "new_message":
            self.jobs.put_nowait((self.handle_message, data))
        if event == "member_added":
            if data["member"]["user"]["id"] == self.me:
                self.catch_up()  # Somebody has added the bot itself: it does not have the chat yet.
            else:
                self.jobs.put_nowait((self.greet, data["member"], data["chat"]))

    def advance(self, change):
        """Moves the position of a chat on. Returns False if something before this change is missing."""
        chat, rev, prev = str(change.get("chat")), change.get("rev"), change.get("prev")
        known = self.revs.get(chat, 0)
        if prev is None or rev <= known:
            return True
        if prev > known:
            return False
        self.revs[chat] = rev
        return True

    def catch_up(self):
        if self.held is None:
            self.held = []
            self.catching_up = asyncio.create_task(self.fetch_missed())

    async def fetch_missed(self):
        """Fetches what was missed, page by page. What is fetched twice does no harm: everything is answered once."""
        try:
            await self.fetch_pages()
        except CommandFailed as error:
            print("refused:", error, flush=True)
        waiting, self.held = self.held, None
        for event, data in waiting:
            self.receive(event, data)

    async def fetch_pages(self):
        has_more = True
        while has_more:
            request = {"since": self.revs, "user_rev": self.user_rev, "epoch": self.epoch}
            page = await self.call("sync", {key: value for key, value in request.items() if value is not None})
            if page.get("reset"):
                self.revs, self.handled = {}, {}
            for chat in page["chats"]:
                self.chats[chat["id"]] = chat
                self.handled.setdefault(chat["id"], chat["my"]["last_read_seq"])
                for member in chat["members"]:
                    self.jobs.put_nowait((self.greet, member, chat["id"]))
            for message in page["messages"]:
                self.jobs.put_nowait((self.handle_message, message))
            for left in page["left"]:
                self.revs.pop(str(left["chat_id"]), None)
                self.handled.pop(left["chat_id"], None)
            self.revs.update(page["revs"])
            self.user_rev, self.epoch, has_more = page["user_rev"], page["epoch"], page["has_more"]

    # --- the bot ------------------------------------------------------------------------------

    async def handle_message(self, message):
        chat, seq = message["chat_id"], message["seq"]
        if message["user"]["id"] == self.me or seq <= self.handled.get(chat, 0):
            return
        answer = answer_to(message["content"]) if message["message_type"] == "text" else None
        if answer:
            await self.say_once(chat, answer, f"answer-{message['id']}", reply_to=message["id"])
        self.handled[chat] = seq
        # The read mark is the bot's memory across its own restarts.
        await self.call("mark_read", {"chat": {"id": chat}, "seq": seq})

    async def greet(self, member, chat_id):
        chat, user, joined_at = self.chats.get(chat_id), member["user"], member["joined_at"]
        client_id = f"welcome-{chat_id}-{user['id']}-{joined_at}"
        if not chat or not chat["is_group"] or user["id"] == self.me or client_id in self.greeted:
            return
        # The first members join together with the chat itself.
        if joined_at > self.started_at and joined_at > chat["created_at"]:
            # Both names may be missing: a user can register with a phone number alone.
            name = user["name"] or user["username"] or "friend"
            await self.say_once(chat_id, f"Welcome, {name}! Try !time or !roll 2d6.", client_id)
            self.greeted.add(client_id)

    async def say_once(self, chat_id, content, client_id, **fields):
        """The `client_id` says what the text answers, so the server refuses a second answer, even after a restart."""
        message = {"chat_id": chat_id, "content": content, "message_type": "text", "client_id": client_id, **fields}
        try:
            await self.call("send_message", {"message": message})
        except CommandFailed as error:
            # The bot was stopped after it had answered and before it had noted that; the other answer stands.
            if error.code != "client_id_conflict":
                raise


async def main():
    async with aiohttp.ClientSession() as http:
        await Bot(Tokens(http)).run()


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
