// Emoji by group and by search word; loaded when first needed.
import list from './emoji_list.js';
import { language } from '../shared/i18n.js';

/** @type {{emoji: string, name: string, words: string[]}[]} */
export const all = [];
/** @type {Map<string, {emoji: string, name: string}[]>} */
export const groups = new Map();

const own = language === 'ru' ? (await import('./emoji_list_ru.js')).default.split('\n') : null;
let group;
for (const line of list.split('\n')) {
  if (line.startsWith('#')) {
    groups.set(line.slice(1), (group = []));
    continue;
  }
  const space = line.indexOf(' ');
  const [name, words = ''] = line.slice(space + 1).split('|');
  const [ownName, ownWords = ''] = own?.[all.length]?.split('|') ?? [];
  const item = {
    emoji: line.slice(0, space),
    name: ownName || name,
    words: `${name} ${words} ${ownName ?? ''} ${ownWords}`.toLowerCase().split(/[\s:,-]+/),
  };
  all.push(item);
  group.push(item);
}

const KEY = 'mango-emoji';
/** The emoji that were used last, latest first. */
export function recent() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]');
  } catch {
    return [];
  }
}
export function used(emoji) {
  try {
    localStorage.setItem(KEY, JSON.stringify([emoji, ...recent().filter((it) => it !== emoji)].slice(0, 24)));
  } catch {
    /* no storage */
  }
}

/** Emoji whose words begin with what was typed; those used last come first. */
export function findEmoji(query, most) {
  const wanted = query
    .toLowerCase()
    .split(/[\s_]+/)
    .filter(Boolean);
  const last = recent();
  const scored = [];
  for (const [index, item] of all.entries()) {
    if (!wanted.every((part) => item.words.some((word) => word.startsWith(part)))) continue;
    const isExact = item.words.includes(wanted[0]);
    const place = last.indexOf(item.emoji);
    scored.push([
      (place >= 0 ? place : 100) + (item.words[0].startsWith(wanted[0]) ? 0 : 20) + (isExact ? 0 : 40) + index / 2000,
      item,
    ]);
  }
  return scored
    .sort((a, b) => a[0] - b[0])
    .slice(0, most)
    .map(([, item]) => item);
}
