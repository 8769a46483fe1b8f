// A chat server on Node.js: socket.io, pg, and sharp for photos. Environment: PORT, DATABASE_URL, JWT_SECRET.

import { createServer } from 'node:http';

import pg from 'pg';
import { Server } from 'socket.io';

import { serveChat } from './chat.mjs';
import { servePhoto } from './photo.mjs';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });

/** Runs a statement that is prepared once per connection. */
const query = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const database = {
  async chatsOf(user) {
    const rows = await query('chats', 'SELECT chat_id FROM members WHERE user_id = $1', [user]);
    return rows.map((row) => row.chat_id);
  },
  async isMember(chat, user) {
    const text = 'SELECT 1 FROM members WHERE chat_id = $1 AND user_id = $2';
    return (await query('member', text, [chat, user])).length > 0;
  },
  async store(chat, user, content) {
    const text =
      'INSERT INTO messages (chat_id, user_id, content, created_at) VALUES ($1, $2, $3, now()) RETURNING id, created_at';
    return (await query('store', text, [chat, user, content]))[0];
  },
};

const server = createServer(servePhoto);
serveChat(new Server(server, { transports: ['websocket'], serveClient: false }), database);
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('listening'));
