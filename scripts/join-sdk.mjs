// Joins the modules of the JavaScript SDK in assets/client/src into the single file that the server serves:
// `node scripts/join-sdk.mjs`. tests/clients/sdk_types.test.mjs compares the result with assets/client/mango-chat.js.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const CLIENT = new URL('../assets/client/', import.meta.url);
/** The modules, each after the modules that it imports. */
const MODULES = [
  'types', 'errors', 'rest', 'tokens', 'connections', 'chat', 'replica', 'synchronizer', 'sender', 'connector', 'listeners',
  'requests', 'commands', 'client',
];
/** Matches the `export` of internal names; the joined file exports only the public ones. */
const PUBLIC = /^export (?!(class (MangoError|ChatState|MangoChat)|function sessionTokens)\b)/gm;
const HEAD = `// The Mango Chat client: one ES module without dependencies, for browsers and Node.js 20+. It connects, stays connected,
// and keeps \`chats\` equal to what the server has. docs/sdk.md explains how to use it.
//
// Joined from assets/client/src by scripts/join-sdk.mjs; do not edit.
`;

/** @returns {string} The content of mango-chat.js. */
export function joined() {
  const parts = MODULES.map((name) => {
    const text = readFileSync(new URL(`src/${name}.js`, CLIENT), 'utf8');
    const body = text.replace(/^import [^;]*;\n/gm, '').replace(PUBLIC, '').trim();
    return `// --- ${name} ---\n\n${body}\n`;
  });
  return [HEAD, ...parts].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(new URL('mango-chat.js', CLIENT), joined());
