// The work of the Node.js and the Bun server: check the token, join the rooms, store a message, acknowledge, broadcast.
// `database` has chatsOf(user), isMember(chat, user) and store(chat, user, content), which returns the row.

import jwt from 'jsonwebtoken';

const secret = process.env.JWT_SECRET;

/** Registers the chat events on a Socket.IO server. */
export function serveChat(io, database) {
  io.use(async (socket, next) => {
    try {
      const claims = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ['HS256'] });
      socket.data.user = Number(claims.sub);
      socket.data.chats = await database.chatsOf(socket.data.user);
      next();
    } catch (error) {
      next(error);
    }
  });

  io.on('connection', (socket) => {
    const { user, chats } = socket.data;
    socket.on('send_message', async (request, acknowledge) => {
      try {
        const { chat_id: chat, content, message_type: type } = request.message;
        if (!(await database.isMember(chat, user))) {
          acknowledge({ ok: false, error: { code: 'not_found' } });
          return;
        }
        const row = await database.store(chat, user, content);
        const message = {
          id: Number(row.id),
          chat_id: chat,
          user_id: user,
          content,
          message_type: type,
          created_at: row.created_at,
        };
        acknowledge({ ok: true, message });
        socket.to(`chat:${chat}`).emit('new_message', message);
      } catch (error) {
        console.error(error);
        acknowledge({ ok: false, error: { code: 'internal' } });
      }
    });
    socket.join(chats.map((chat) => `chat:${chat}`));
    socket.emit('ready', { user_id: user });
  });
}
