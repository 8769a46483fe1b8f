// The catalogue of commands and events, read from the documents of the server: a new event appears by itself.
import { at } from '../shared/page.js';

async function fetchJson(path) {
  const answer = await fetch(at(path), { signal: AbortSignal.timeout(20_000) });
  if (!answer.ok)
    throw Object.assign(new Error(`${path} answers ${answer.status}`), {
      code: answer.status === 404 ? 'not_found' : 'unavailable',
    });
  return answer.json();
}

/**
 * @returns {Promise<{ events: object[], node(schema): object }>} Each event has `key` (unique), `name` (on the wire),
 *   `isCommand`, `summary`, `payload` and `ack` (schemas), and `rest` (its path over REST, if it has one).
 */
export async function loadCatalogue() {
  const [asyncapi, openapi] = await Promise.all([
    fetchJson('asyncapi.json'),
    fetchJson('openapi.json').catch(() => ({ paths: {} })),
  ]);
  const find = (ref) =>
    ref
      .replace(/^#\//, '')
      .split('/')
      .reduce((found, key) => found?.[key.replace(/~1/g, '/').replace(/~0/g, '~')], asyncapi);
  const follow = (it) => {
    let found = it;
    while (found?.$ref) found = find(found.$ref);
    return found;
  };
  const events = Object.entries(asyncapi.operations).map(([key, operation]) => {
    const message = follow(operation.messages[0]);
    const path = `/events/${message.name}`;
    const isCommand = operation.action === 'receive';
    return {
      key,
      name: message.name,
      isCommand,
      summary: message.summary ?? '',
      payload: message.payload,
      ack: message['x-ack'] ?? null,
      rest: isCommand && openapi.paths[path]?.post ? path : null,
    };
  });
  return { events, node: nodes(find) };
}

/** Makes schemas easy to read: references, `allOf` and "or null" are resolved, one level at a time. */
const nodes = (find) =>
  function node(schema) {
    let result = { ...schema };
    for (let depth = 0; result.$ref && depth < 10; depth += 1) {
      const name = result.$ref.split('/').at(-1);
      const { $ref, ...own } = result;
      // What stands beside a reference is about this use of it.
      result = { ...find($ref), ref: name, ...own };
    }
    for (const key of ['oneOf', 'anyOf']) {
      if (!result[key]) continue;
      const options = result[key].filter((it) => it.type !== 'null');
      const isNullable = options.length < result[key].length || result.isNullable;
      const { [key]: _, ...own } = result;
      if (options.length === 1) result = { ...node(options[0]), ...own, isNullable };
      else result = { ...own, options, isNullable };
    }
    if (result.allOf) {
      const { allOf, ...own } = result;
      const parts = allOf.map(node);
      result = {
        type: 'object',
        ...own,
        properties: Object.assign({}, ...parts.map((it) => it.properties), own.properties),
        required: [...parts.flatMap((it) => it.required ?? []), ...(own.required ?? [])],
      };
    }
    if (Array.isArray(result.type)) {
      result = { ...result, isNullable: result.type.includes('null'), type: result.type.find((it) => it !== 'null') };
    }
    return result;
  };
