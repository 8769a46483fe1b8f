// The text of a message: links, mentions, and large emoji; other types are rendered by the server.
import { h, trustedHtml } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { session } from './session.js';

const LINK = /\b(?:https?:\/\/|www\.)[^\s<>"'`]+/giu;
const MENTION = /(?<![\p{L}\p{N}_@/.])@([\p{L}\p{N}_]{3,32})/gu;
const EMOJI_ONLY = /^(?:\p{RGI_Emoji}|\s)+$/v;

/** How many emoji a text consists of if it has nothing else and at most three, else 0. */
export function emojiCount(text) {
  if (text.length > 60 || !EMOJI_ONLY.test(text)) return 0;
  const count = [...new Intl.Segmenter().segment(text.replace(/\s/g, ''))].length;
  return count <= 3 ? count : 0;
}

/** A link without the punctuation that belongs to the sentence. */
function cutLink(found) {
  let end = found.replace(/[.,;:!?…]+$/u, '');
  while (/[)\]}]$/.test(end)) {
    const close = end.at(-1);
    const open = { ')': '(', ']': '[', '}': '{' }[close];
    if (end.split(open).length > end.split(close).length - 0 || end.split(open).length === end.split(close).length)
      break;
    end = end.slice(0, -1);
  }
  return end;
}

function pushMentions(parts, text, mentionsAll) {
  let last = 0;
  for (const found of text.matchAll(MENTION)) {
    const name = found[1].toLowerCase();
    const isMe = name === session.me?.username?.toLowerCase() || (name === 'all' && mentionsAll);
    parts.push(text.slice(last, found.index), h('span', { class: `mention${isMe ? ' is-me' : ''}` }, found[0]));
    last = found.index + found[0].length;
  }
  parts.push(text.slice(last));
}

/** The text as nodes, with links and mentions. */
export function formatText(text, { mentionsAll = false } = {}) {
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(LINK)) {
    const shown = cutLink(found[0]);
    let url;
    try {
      url = new URL(shown.startsWith('www.') ? `https://${shown}` : shown);
    } catch {
      continue;
    }
    pushMentions(parts, text.slice(last, found.index), mentionsAll);
    parts.push(h('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer nofollow' }, shown));
    last = found.index + shown.length;
  }
  pushMentions(parts, text.slice(last), mentionsAll);
  return parts;
}

/** Types that are shown as the server renders them. */
const RENDERED = new Set(['html', 'json', 'xml', 'yaml', 'javascript', 'css', 'svg', 'markdown', 'rtf']);
const CODE = new Set(['json', 'xml', 'yaml', 'javascript', 'css', 'svg']);
const rendered = new Map();
const MOST_RENDERED = 400;

/** Sets the server's HTML; links open elsewhere. */
function setRendered(element, html) {
  trustedHtml(element, html);
  for (const link of element.querySelectorAll('a[href]')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
}

/** The content of a message as an element, or null if it has none. */
export function contentOf(message, { onResize } = {}) {
  const { content, message_type: type, id, rev } = message;
  if (!content.trim()) return null;
  if (type === 'csv') return tableOf(content);
  if (RENDERED.has(type)) {
    const body = h('div', {
      class: `text rendered ${CODE.has(type) ? 'is-code' : ''}`,
      dir: CODE.has(type) ? 'ltr' : 'auto',
    });
    const key = `${id}:${message.edited_at ?? ''}`;
    const known = rendered.get(key);
    if (known !== undefined) setRendered(body, known);
    else {
      body.append(CODE.has(type) ? h('pre', null, content) : content);
      if (id) {
        session.client
          .rendered(id)
          .then((html) => {
            rendered.set(key, html);
            if (rendered.size > MOST_RENDERED) rendered.delete(rendered.keys().next().value);
            setRendered(body, html);
            onResize?.();
          })
          .catch(() => {});
      }
    }
    return CODE.has(type)
      ? h(
          'div',
          { class: 'code-card' },
          h('div', { class: 'code-head' }, h('span', null, type.toUpperCase()), copyButton(content)),
          body,
        )
      : body;
  }
  if (type !== 'text') {
    // Other types carry their file as an attachment; a text in their content is shown as it is.
    return h('div', { class: 'text', dir: 'auto' }, formatText(content));
  }
  const count = emojiCount(content);
  return h(
    'div',
    { class: count ? `text emoji-${count}` : 'text', dir: 'auto' },
    formatText(content, { mentionsAll: message.mentions_all }),
  );
}

const copyButton = (content) =>
  h(
    'button',
    {
      type: 'button',
      class: 'link small',
      onclick: (event) => {
        navigator.clipboard.writeText(content);
        event.currentTarget.textContent = t('copied');
      },
    },
    t('copy'),
  );

const ROWS_SHOWN = 30;
/** Comma, semicolon or tab separated values as a table. */
function tableOf(content) {
  const [head] = content.split('\n', 1);
  const separator = ['\t', ';', ','].find((it) => head.includes(it)) ?? ',';
  const rows = [[]];
  let cell = '';
  let isQuoted = false;
  for (let at = 0; at < content.length && rows.length <= ROWS_SHOWN + 1; at += 1) {
    const char = content[at];
    if (isQuoted) {
      if (char !== '"') cell += char;
      else if (content[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else isQuoted = false;
    } else if (char === '"' && !cell) isQuoted = true;
    else if (char === separator) {
      rows.at(-1).push(cell);
      cell = '';
    } else if (char === '\n') {
      rows.at(-1).push(cell);
      cell = '';
      rows.push([]);
    } else if (char !== '\r') cell += char;
  }
  if (cell || rows.at(-1).length) rows.at(-1).push(cell);
  const lines = rows.filter((it) => it.length > 1 || it[0]);
  const [first = [], ...rest] = lines;
  const total = content.split('\n').filter(Boolean).length - 1;
  return h(
    'div',
    { class: 'code-card' },
    h(
      'div',
      { class: 'code-head' },
      h('span', null, `CSV · ${t('rows_n', { n: Math.max(0, total) })}`),
      copyButton(content),
    ),
    h(
      'div',
      { class: 'table', tabindex: '0', role: 'group', 'aria-label': 'CSV' },
      h(
        'table',
        null,
        h(
          'thead',
          null,
          h(
            'tr',
            null,
            first.map((it) => h('th', { dir: 'auto', scope: 'col' }, it)),
          ),
        ),
        h(
          'tbody',
          null,
          rest.slice(0, ROWS_SHOWN).map((row) =>
            h(
              'tr',
              null,
              row.map((it) => h('td', { dir: 'auto' }, it)),
            ),
          ),
        ),
      ),
    ),
  );
}
