// The same call from elsewhere: curl, socket.io-client, and the SDK.
import { at, root } from '../shared/page.js';

const origin = () => root.href.replace(/\/$/, '');
const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const indent = (text) => text.replaceAll('\n', '\n  ');
const loginLine = (username) =>
  `TOKEN=$(curl -sS ${at('auth/login')} -H 'content-type: application/json' \\\n  -d '{"username":"${username}","password":"…"}' | jq -r .access_token)`;

/** `[key, label, code]` for an event; `payload` is the JSON text. */
export function snippetsOf(event, payload, username = 'alice') {
  if (!event.isCommand) {
    return [
      [
        'socketio',
        'socket.io-client',
        `${connectLines()}\nsocket.on(${JSON.stringify(event.name)}, (data) => console.log(data));`,
      ],
      [
        'sdk',
        'SDK',
        `${sdkLines(username)}\nchat.on(${JSON.stringify(event.name)}, (data) => console.log(data));\nawait chat.connect();`,
      ],
    ];
  }
  let compact = payload;
  try {
    compact = JSON.stringify(JSON.parse(payload));
  } catch {
    /* Shown as it is, so that the place can be seen. */
  }
  return [
    event.rest && [
      'curl',
      'curl',
      `${loginLine(username)}\ncurl -sS ${at(event.rest)} \\\n  -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' \\\n  -d ${shell(compact)}`,
    ],
    [
      'socketio',
      'socket.io-client',
      `${connectLines()}\nconst ack = await socket.emitWithAck(${JSON.stringify(event.name)}, ${indent(payload)});\nconsole.log(ack);`,
    ],
    [
      'sdk',
      'SDK',
      `${sdkLines(username)}\nawait chat.connect();\nconsole.log(await chat.call(${JSON.stringify(event.name)}, ${indent(payload)}));`,
    ],
  ].filter(Boolean);
}

function connectLines() {
  const path = new URL('ws/socket.io', root).pathname;
  return `import { io } from 'socket.io-client';\n\nconst socket = io(${JSON.stringify(root.origin)}, { path: ${JSON.stringify(path)}, auth: { token: process.env.TOKEN } });`;
}

const sdkLines = (username) =>
  `import { MangoChat, sessionTokens } from ${JSON.stringify(at('client/mango-chat.js'))};\n\nconst url = ${JSON.stringify(origin())};\nconst token = sessionTokens({ url });\nawait token.login({ username: ${JSON.stringify(username)}, password: '…' });\nconst chat = new MangoChat({ url, token });`;
