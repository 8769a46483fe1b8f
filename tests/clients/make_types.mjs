// Generates the types of the JavaScript client: events.d.ts from the server's AsyncAPI document, and mango-chat.d.ts
// from the client's own JSDoc. `node make_types.mjs FOLDER` writes both there; sdk_types.test.mjs compares them with
// the ones in assets/client, and `node make_types.mjs ../../assets/client` updates those.

import { execFileSync } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile } from 'json-schema-to-typescript';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
export const CLIENT = here('../../assets/client');
export const TSC = here('node_modules/typescript/bin/tsc');
const HEAD = '// Made by tests/clients/make_types.mjs; do not edit.\n';

/** Converts a schema of the document to JSON Schema with `$defs`; a description beside a `$ref` would add a type. */
const local = (value) => JSON.parse(JSON.stringify(value).replaceAll('#/components/schemas/', '#/$defs/'),
  (_, it) => (it?.$ref && it.description ? { description: it.description, allOf: [{ $ref: it.$ref }] } : it));

/** @returns {Promise<string>} The types of all events, from the AsyncAPI document. */
export async function eventTypes(document) {
  const { messages, schemas } = document.components;
  const names = (action) => Object.values(document.operations).filter((it) => it.action === action)
    .flatMap((operation) => operation.messages.map(({ $ref }) => $ref.split('/').at(-1)));
  const events = (keys, shape) => ({
    type: 'object', additionalProperties: false, required: keys.map((key) => messages[key].name),
    properties: Object.fromEntries(keys.map((key) => [messages[key].name, { description: messages[key].summary, ...shape(messages[key]) }])),
  });
  const succeeds = ({ 'x-ack': ack }) => ack?.oneOf[0] ?? { type: 'null' };
  const client = events(names('receive'), (message) => ({
    type: 'object', additionalProperties: false, required: ['payload', 'ack'],
    properties: { payload: message.payload, ack: succeeds(message) },
  }));
  const server = events(names('send'), (message) => ({ allOf: [message.payload] }));
  const whole = local({
    $defs: { ...schemas, ClientEvents: client, ServerEvents: server },
    type: 'object', additionalProperties: false, required: ['client', 'server'],
    properties: { client: { $ref: '#/$defs/ClientEvents' }, server: { $ref: '#/$defs/ServerEvents' } },
  });
  const text = await compile(whole, 'EveryEvent', {
    additionalProperties: false, bannerComment: HEAD, unreachableDefinitions: true, style: { printWidth: 120, singleQuote: true },
  });
  // Remove the notes of the generator on where it found each type in the schema.
  return text.replace(/\n( \*)?\n \* This interface was referenced by [^\n]*\n \* via the `definition` [^\n]*/g, '')
    .replace(/\/\*\*\n \* This interface was referenced by [^\n]*\n \* via the `definition` [^\n]*\n \*\/\n/g, '');
}

/** Writes both files into a folder. */
export async function makeTypes(folder) {
  const document = JSON.parse(await readFile(here('../../assets/api/asyncapi.json'), 'utf8'));
  const work = await mkdtemp(join(tmpdir(), 'mango-types-'));
  try {
    await writeFile(join(work, 'events.d.ts'), await eventTypes(document));
    await copyFile(join(CLIENT, 'mango-chat.js'), join(work, 'mango-chat.js'));
    execFileSync(process.execPath, [
      TSC, '--allowJs', '--checkJs', 'false', '--declaration', '--emitDeclarationOnly', '--stripInternal', '--target', 'es2022',
      '--module', 'nodenext', '--lib', 'es2023,dom', '--outDir', join(work, 'made'), join(work, 'mango-chat.js'),
    ], { stdio: ['ignore', 'inherit', 'inherit'] });
    await copyFile(join(work, 'events.d.ts'), join(folder, 'events.d.ts'));
    await writeFile(join(folder, 'mango-chat.d.ts'), HEAD + await readFile(join(work, 'made', 'mango-chat.d.ts'), 'utf8'));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await makeTypes(process.argv[2] ?? CLIENT);
