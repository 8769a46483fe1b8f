// A chat server on Bun: socket.io over Bun's own WebSocket server, and postgres. Environment: PORT, DATABASE_URL,
// JWT_SECRET.

import { Server as Engine } from '@socket.io/bun-engine';
import postgres from 'postgres';
import { Server } from 'socket.io';

import { serveChat } from './chat.mjs';

const sql = postgres(process.env.DATABASE_URL, { max: 10, onnotice: () => {} });

const database = {
  async chatsOf(user) {
    const rows = await sql`SELECT chat_id FROM members WHERE user_id = ${user}`;
    return rows.map((row) => row.chat_id);
  },
  async isMember(chat, user) {
    return (await sql`SELECT 1 FROM members WHERE chat_id = ${chat} AND user_id = ${user}`).length > 0;
  },
  async store(chat, user, content) {
    const rows = await sql`INSERT INTO messages (chat_id, user_id, content, created_at)
      VALUES (${chat}, ${user}, ${content}, now()) RETURNING id, created_at`;
    return rows[0];
  },
};

const io = new Server();
const engine = new Engine({ path: '/socket.io/' });
io.bind(engine);
serveChat(io, database);
Bun.serve({ port: Number(process.env.PORT), hostname: '127.0.0.1', ...engine.handler() });
console.log('listening');
