// Reads JSON and remembers where each value stands, so that an error can be shown at its place.

export class JsonError extends Error {
  /** @param {'value'|'end'|'comma'|'colon'|'name'|'string'|'trailing'|'twice'} kind */
  constructor(kind, offset) {
    super(kind);
    this.kind = kind;
    this.offset = offset;
  }
}

/**
 * @returns {{ value: any, places: Map<string, number> }} `places` has the offset of each value by its path, such as
 *   `message.chat_id` or `users.0`.
 * @throws {JsonError}
 */
export function parseJson(text) {
  let at = 0;
  const places = new Map();
  const skip = () => {
    while (/[ \t\r\n\ufeff]/.test(text[at] ?? '')) at += 1;
  };
  const fail = (kind, offset = at) => {
    throw new JsonError(at >= text.length && kind !== 'twice' ? 'end' : kind, Math.min(offset, text.length));
  };

  function value(path) {
    skip();
    places.set(path.join('.'), at);
    const char = text[at];
    if (char === '{') return object(path);
    if (char === '[') return array(path);
    if (char === '"') return string('string');
    const literal = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(
      text.slice(at, at + 400),
    )?.[0];
    if (!literal || /[\w.]/.test(text[at + literal.length] ?? '')) return fail('value');
    at += literal.length;
    return JSON.parse(literal);
  }

  function string(kind) {
    const start = at;
    for (at += 1; at < text.length && text[at] !== '"'; at += 1) {
      if (text[at] === '\n') return fail('string', start);
      if (text[at] === '\\') at += 1;
    }
    if (at >= text.length) return fail('string', start);
    at += 1;
    try {
      return JSON.parse(text.slice(start, at));
    } catch {
      return fail(kind, start);
    }
  }

  function object(path) {
    const result = {};
    at += 1;
    skip();
    if (text[at] === '}') {
      at += 1;
      return result;
    }
    for (;;) {
      skip();
      const start = at;
      if (text[at] !== '"') return fail('name');
      const name = string('name');
      if (Object.hasOwn(result, name)) return fail('twice', start);
      skip();
      if (text[at] !== ':') return fail('colon');
      at += 1;
      // `__proto__` is a name like any other.
      Object.defineProperty(result, name, {
        value: value([...path, name]),
        enumerable: true,
        writable: true,
        configurable: true,
      });
      skip();
      if (text[at] === '}') {
        at += 1;
        return result;
      }
      if (text[at] !== ',') return fail('comma');
      at += 1;
    }
  }

  function array(path) {
    const result = [];
    at += 1;
    skip();
    if (text[at] === ']') {
      at += 1;
      return result;
    }
    for (;;) {
      result.push(value([...path, result.length]));
      skip();
      if (text[at] === ']') {
        at += 1;
        return result;
      }
      if (text[at] !== ',') return fail('comma');
      at += 1;
    }
  }

  const result = value([]);
  skip();
  if (at < text.length) throw new JsonError('trailing', at);
  return { value: result, places };
}

/** Line and column of an offset, from 1. */
export function lineOf(text, offset) {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: before.at(-1).length + 1 };
}
