// An example payload for a schema, filled with what exists: a chat of both identities, its newest message, their ids.

const TEXTS = {
  content: 'Hello from the console',
  name: 'Made in the console',
  description: 'A group to try things',
  reason: 'Spam',
  emoji: '🥭',
  resolution: 'Done',
  excerpt: 'Hello',
  username: 'alice',
  code: 'forbidden',
  mime: 'image/png',
  epoch: 'f3a1',
};
/** Optional fields that make an example say something; others would only repeat the default. */
const TELLING = new Set(['name', 'description', 'reason', 'emoji', 'content', 'limit', 'role']);
const MAX_DEPTH = 6;

/**
 * @param {object} schema
 * @param {(schema: object) => object} node Of the catalogue.
 * @param {object} known `{ chatId, messageId, seq, userId, otherId, token, inviteToken }`, as far as known.
 * @param {{ isWhole?: boolean }} [options] `isWhole` shows every field, for what the server sends.
 */
export function exampleOf(schema, node, known, { isWhole = false } = {}) {
  const value = (it, path, depth) => {
    const found = node(it);
    const name = path.at(-1) ?? '';
    const owner = path.at(-2) ?? '';
    if (found.const !== undefined) return found.const;
    if (found.enum) return found.enum.includes('admin') ? 'admin' : found.enum[0];
    if (found.options) return value(found.options[0], path, depth);
    if (found.type === 'array') return depth > MAX_DEPTH ? [] : [value(found.items ?? {}, path, depth + 1)];
    if (found.type === 'integer' || found.type === 'number') return number(found, name, owner);
    if (found.type === 'boolean') return name !== 'deleted';
    if (found.type === 'string') return string(found, name, owner);
    return object(found, path, depth);
  };

  function object(found, path, depth) {
    const properties = Object.entries(found.properties ?? {});
    if (!properties.length) {
      if (!found.additionalProperties || typeof found.additionalProperties !== 'object' || depth > MAX_DEPTH) return {};
      return { [String(known.chatId ?? 1)]: value(found.additionalProperties, [...path, 'entry'], depth + 1) };
    }
    if (depth > MAX_DEPTH) return {};
    const required = new Set(found.required ?? []);
    // `required` comes in the order in which the server names the fields, which reads better than the alphabet.
    const order = [...required];
    const rank = ([name]) => (order.includes(name) ? order.indexOf(name) : order.length);
    const isEmpty = !required.size;
    let hasOptionalObject = false;
    const chosen = properties.filter(([name, it]) => {
      if (isWhole || required.has(name)) return true;
      const inner = node(it);
      if (inner.properties) {
        const isFirst = !hasOptionalObject;
        hasOptionalObject = true;
        return isFirst;
      }
      return inner.type === 'boolean' || TELLING.has(name) || (isEmpty && Boolean(inner.additionalProperties));
    });
    return Object.fromEntries(
      chosen
        .sort((a, b) => rank(a) - rank(b))
        .map(([name, it]) => [
          name,
          isWhole && depth > 2 && node(it).isNullable ? null : value(it, [...path, name], depth + 1),
        ]),
    );
  }

  function number({ ref, minimum }, name, owner) {
    if (ref === 'ChatId' || name === 'chat_id' || (name === 'id' && owner === 'chat')) return known.chatId ?? 1;
    if (ref === 'MessageId' || (name === 'id' && owner === 'message') || name.endsWith('message_id'))
      return known.messageId ?? 1;
    if (ref === 'UserId' || (name === 'id' && owner === 'user') || owner === 'members' || name === 'users')
      return known.otherId ?? 2;
    if (name === 'seq' || name === 'rev') return known.seq ?? 1;
    if (name === 'entry') return 0;
    if (name === 'prev') return Math.max(0, (known.seq ?? 1) - 1);
    if (name === 'limit') return 20;
    return minimum ?? 1;
  }

  function string({ format }, name, owner) {
    if (format === 'date-time') return '2026-11-20T09:30:00.000Z';
    if (name === 'token')
      return owner === 'invite' ? (known.inviteToken ?? 'token-of-an-invite-link') : (known.token ?? 'access-token');
    if (name === 'photo') return 'a1b2c3d4';
    return TEXTS[name] ?? name;
  }

  return value(schema, [], 0);
}
