// The texts of the interface. `t('key', { name, n })` fills in values; a text with plural forms is chosen by `n`.

export const LANGUAGES = { en: 'English', ru: 'Русский' };

/** The language: the chosen one, else the browser's first that there is. */
export const language = (() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem('mango-language');
  } catch {
    /* no storage */
  }
  if (chosen in LANGUAGES) return chosen;
  return navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES) ?? 'en';
})();
/** For Intl: the browser's variant of the language, for example `en-GB`. */
export const locale = navigator.languages.find((tag) => tag.toLowerCase().startsWith(language)) ?? language;
document.documentElement.lang = language;

const texts = { ...(await import(`./texts/${language}.js`)).default };
const rules = new Intl.PluralRules(locale);
const numbers = new Intl.NumberFormat(locale);

/** Adds texts of a part that is loaded later: `addTexts(await import(`./texts/${language}.js`))`. */
export const addTexts = (more) => Object.assign(texts, more.default ?? more);

/** The text for a key. Values in braces are filled in; numbers as the language writes them. */
export function t(key, values = {}) {
  let text = texts[key];
  if (text === undefined) return key;
  if (typeof text === 'object') text = text[rules.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === 'number' ? numbers.format(values[name]) : String(values[name] ?? ''),
  );
}

export const hasText = (key) => key in texts;
