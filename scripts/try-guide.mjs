#!/usr/bin/env node
// Follows docs/adding-an-event.md in a copy of the working tree: adds the guide's event again, under another name, by
// pasting the guide's code blocks beside the code they quote. The copy must refuse to compile until the handler exists,
// and then pass the tests that hold for every event. Needs the npm packages of tests/clients; run by scripts/test.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const built = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target');
const copy = join(built, 'guide');
/** A build of the copy would replace the programs of the original, so it has its own folder. */
const target = join(copy, 'target');

/** The names of the guide's event, and those of the event that is added. */
const names = [
  ['set_member_role', 'set_member_rank'],
  ['SetMemberRole', 'SetMemberRank'],
  ['member_role_changed', 'member_rank_changed'],
  ['set_role', 'set_rank'],
];
const rename = (text) => names.reduce((renamed, [from, to]) => renamed.replaceAll(from, to), text);

function run(program, args, env = {}) {
  const options = { cwd: copy, encoding: 'utf8', env: { ...process.env, CARGO_TARGET_DIR: target, TEST_DB: 'sqlite', ...env } };
  const { status, stdout, stderr } = spawnSync(program, args, options);
  return { status, output: `${stdout}${stderr}` };
}

function succeed(program, args, env) {
  const { status, output } = run(program, args, env);
  assert.equal(status, 0, `${program} ${args.join(' ')}:\n${output}`);
  return output;
}

/** Copies the files that Git knows or would add, and keeps their times so that Cargo builds only what has changed. */
function copyTree() {
  rmSync(copy, { recursive: true, force: true });
  const list = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  assert.equal(list.status, 0, list.stderr);
  for (const file of list.stdout.split('\0').filter(Boolean)) {
    if (!existsSync(join(root, file)) || !statSync(join(root, file)).isFile()) continue;
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(root, file), join(copy, file), { preserveTimestamps: true });
  }
  const packages = 'tests/clients/node_modules';
  symlinkSync(join(root, packages), join(copy, packages));
}

/**
 * Takes over what was built of the dependencies, which takes minutes to build. What belongs to this workspace stays out:
 * the compiler and Cargo write some of those files in place.
 */
function takeDependencies() {
  const { packages } = JSON.parse(succeed('cargo', ['metadata', '--no-deps', '--format-version=1']));
  const own = packages.flatMap(({ name, targets }) => [name, ...targets.map((it) => it.name)]);
  const isOwn = new RegExp(`^(lib)?(${own.join('|').replaceAll('-', '[-_]')})-[0-9a-f]{16}`);
  for (const [folder, ...options] of [['deps', '--link'], ['build', '--link'], ['.fingerprint']]) {
    const [from, to] = [join(built, 'debug', folder), join(target, 'debug', folder)];
    mkdirSync(to, { recursive: true });
    const names = existsSync(from) ? readdirSync(from).filter((name) => !isOwn.test(name)) : [];
    if (names.length) execFileSync('cp', ['--archive', ...options, ...names, to], { cwd: from });
  }
}

/** The code blocks of the guide and the files they quote. */
function blocks() {
  const text = readFileSync(join(copy, 'docs/adding-an-event.md'), 'utf8');
  const pattern = /<!-- quote (\S+) from .*? -->\n```rust\n([^]*?)```/g;
  return [...text.matchAll(pattern)].map(([, file, code]) => ({ file, code }));
}

/** Adds the renamed block behind the block in its file, with the indentation that it has there. */
function paste({ file, code }) {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const first = code.split('\n').find(Boolean);
  const indent = text.split('\n').find((line) => line.trimStart() === first)?.match(/^ */)[0];
  assert.notEqual(indent, undefined, `${file} does not have ${first}`);
  const indented = code.replace(/^(?=.)/gm, indent);
  assert.equal(text.split(indented).length, 2, `${file} must have the block once:\n${code}`);
  writeFileSync(path, text.replace(indented, () => `${indented}\n${rename(indented)}`));
}

copyTree();
takeDependencies();
/** Whether a block is part of the new event: shared types are mentioned by their old events only. */
function isNew({ code }) {
  const item = code.match(/^(?:pub(?:\(\w+\))? )?(?:async )?(?:struct|enum|fn) (\w+)/m)?.[1] ?? code;
  return rename(item) !== item;
}

const added = blocks().filter(isNew);
const isHandler = ({ file }) => file.startsWith('src/domain/');
// The guide's last test is one of the rule itself, and the rule is not new.
const isRule = ({ file }) => file.startsWith('tests/it/verify/');

added.filter((block) => !isHandler(block) && !isRule(block)).forEach(paste);
const { status, output } = run('cargo', ['check', '--lib']);
assert.notEqual(status, 0, 'the copy compiles without a handler');
assert.match(output, /`CommandHandler` is not implemented for `SetMemberRank`/, output);
assert.deepEqual([...new Set(output.match(/^error\[E\d+\]/gm))], ['error[E0277]'], output);

added.filter(isHandler).forEach(paste);
// What the guide leaves to the compiler: the import of the new type.
for (const file of new Set(added.filter(isHandler).map((block) => block.file))) {
  const text = readFileSync(join(copy, file), 'utf8');
  writeFileSync(join(copy, file), text.replace(/^use (.*::)(?:\{.*)?\bSetMemberRole\b.*$/m, '$&\nuse $1SetMemberRank;'));
}
succeed('cargo', ['fmt', '--all']);
succeed('cargo', ['test', '--test', 'it', '--', 'documents::'], { UPDATE_DOCUMENTS: '1' });
succeed('node', ['tests/clients/make_types.mjs']);
const tests = succeed('cargo', ['test', '--test', 'it', '--', 'documents::', 'guards::', 'tidy::']);
const passed = Number(tests.match(/(\d+) passed/)?.[1]);
assert.ok(passed > 0, tests);
for (const file of ['assets/api/asyncapi.json', 'assets/api/openapi.json', 'assets/client/events.d.ts']) {
  assert.match(readFileSync(join(copy, file), 'utf8'), /set_member_rank/, file);
}
rmSync(copy, { recursive: true });
console.log(`${passed} passed`);
