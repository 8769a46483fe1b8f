"""A chat server in Python: python-socketio, asyncpg, uvicorn with uvloop, and Pillow for photos.

Environment: PORT, DATABASE_URL, JWT_SECRET.
"""

import asyncio
import io
import logging
import os

import asyncpg
import jwt
import socketio
import uvicorn
import uvloop
from PIL import Image, ImageOps

SECRET = os.environ["JWT_SECRET"]
sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"])


def register(pool):
    """Registers the events: check the token, join the rooms, store a message, acknowledge, broadcast."""

    @sio.event
    async def connect(sid, environ, auth):
        try:
            user = int(jwt.decode(auth["token"], SECRET, algorithms=["HS256"])["sub"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError) as error:
            raise ConnectionRefusedError("unauthorized") from error
        await sio.save_session(sid, {"user": user})
        rows = await pool.fetch("SELECT chat_id FROM members WHERE user_id = $1", user)
        for row in rows:
            await sio.enter_room(sid, f"chat:{row['chat_id']}")
        # `ready` must follow the CONNECT packet, which is sent when this handler returns.
        sio.start_background_task(sio.emit, "ready", {"user_id": user}, to=sid)

    @sio.event
    async def send_message(sid, request):
        user = (await sio.get_session(sid))["user"]
        sent = request["message"]
        chat, content = sent["chat_id"], sent["content"]
        member = await pool.fetchval("SELECT 1 FROM members WHERE chat_id = $1 AND user_id = $2", chat, user)
        if member is None:
            return {"ok": False, "error": {"code": "not_found"}}
        row = await pool.fetchrow(
            "INSERT INTO messages (chat_id, user_id, content, created_at) VALUES ($1, $2, $3, now())"
            " RETURNING id, created_at",
            chat,
            user,
            content,
        )
        message = {
            "id": row["id"],
            "chat_id": chat,
            "user_id": user,
            "content": content,
            "message_type": sent["message_type"],
            "created_at": row["created_at"].isoformat(),
        }
        await sio.emit("new_message", message, room=f"chat:{chat}", skip_sid=sid)
        return {"ok": True, "message": message}


def render(original):
    """Renders three square WebP pictures and the JPEG; returns their sizes in bytes."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(original)).convert("RGB"))
    sizes = []
    for side in (400, 100, 50):
        part = io.BytesIO()
        ImageOps.fit(picture, (side, side)).save(part, "WEBP", quality=80)
        sizes.append(part.tell())
    part = io.BytesIO()
    picture.save(part, "JPEG", quality=85)
    return [*sizes, part.tell()]


async def serve_photo(scope, receive, send):
    """Answers POST /photo, whose body is a JPEG."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    sizes = await asyncio.to_thread(render, body)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(sizes).encode()})


async def main():
    """Serves until the process is ended."""
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=10)
    register(pool)
    config = uvicorn.Config(
        socketio.ASGIApp(sio, other_asgi_app=serve_photo),
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_level=logging.WARNING,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.05)
    print("listening", flush=True)
    await serving


if __name__ == "__main__":
    uvloop.run(main())
