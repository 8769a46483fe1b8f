// Dates, times, sizes and durations in the user's language. The server's clock counts: a device's may be wrong.
import { language, locale, t } from './i18n.js';

let offset = 0;
/** Tells what the server's time is now; differences below two seconds are the network's. */
export function setServerTime(iso) {
  const difference = new Date(iso) - Date.now();
  offset = Math.abs(difference) > 2000 ? difference : 0;
}
/** Milliseconds now by the server's clock. */
export const now = () => Date.now() + offset;

const format = (options) => {
  const formatter = new Intl.DateTimeFormat(locale, options);
  return (date) => formatter.format(date);
};
const asTime = format({ hour: 'numeric', minute: '2-digit' });
const asWeekday = format({ weekday: 'short' });
const asDay = format({ day: 'numeric', month: 'short' });
const asDate = format({ day: 'numeric', month: 'short', year: 'numeric' });
const asLongDay = format({ weekday: 'long', day: 'numeric', month: 'long' });
const asLongDate = format({ day: 'numeric', month: 'long', year: 'numeric' });
const asFull = format({ dateStyle: 'long', timeStyle: 'short' });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });

const capital = (text) => text.charAt(0).toLocaleUpperCase(language) + text.slice(1);

/** The local day as a comparable text. */
export function dayOf(iso) {
  const date = new Date(iso);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
}
function daysAgo(date) {
  const midnight = (it) => new Date(it.getFullYear(), it.getMonth(), it.getDate());
  return Math.round((midnight(new Date(now())) - midnight(date)) / 86_400_000);
}

/** `10:42` */
export const time = (iso) => asTime(new Date(iso));
/** Everything, for a tooltip. */
export const fullTime = (iso) => asFull(new Date(iso));
/** `3 May 2026` */
export const date = (iso) => asLongDate(new Date(iso));

/** As short as possible: time today, weekday within a week, else the date. */
export function shortTime(iso) {
  const at = new Date(iso);
  const days = daysAgo(at);
  if (days <= 0) return asTime(at);
  if (days < 7) return asWeekday(at);
  return at.getFullYear() === new Date(now()).getFullYear() ? asDay(at) : asDate(at);
}

/** The heading of a day: Today, Yesterday, or the date. */
export function dayTitle(iso) {
  const at = new Date(iso);
  const days = daysAgo(at);
  if (days <= 0) return t('today');
  if (days === 1) return t('yesterday');
  return at.getFullYear() === new Date(now()).getFullYear() ? capital(asLongDay(at)) : asLongDate(at);
}

/** `5 minutes ago` */
export function ago(iso) {
  const seconds = Math.min(0, (new Date(iso) - now()) / 1000);
  if (seconds > -60) return t('just_now');
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), 'minute');
  if (seconds > -86_400) return relative.format(Math.round(seconds / 3600), 'hour');
  if (seconds > -7 * 86_400) return relative.format(Math.round(seconds / 86_400), 'day');
  return shortTime(iso);
}

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
/** `184 KB` */
export function size(bytes) {
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < UNITS.length - 1; unit += 1) value /= 1024;
  const digits = unit > 1 && value < 100 ? 1 : 0;
  return new Intl.NumberFormat(locale, {
    style: 'unit',
    unit: UNITS[unit],
    unitDisplay: unit ? 'short' : 'long',
    maximumFractionDigits: digits,
  }).format(value);
}

/** `1:05` */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${String(whole % 60).padStart(2, '0')}`;
}

/** `5 seconds`, `15 minutes`; for whole units. */
export function duration(seconds) {
  if (seconds < 60) return t('seconds_n', { n: seconds });
  if (seconds < 3600) return t('minutes_n', { n: Math.round(seconds / 60) });
  if (seconds < 86_400) return t('hours_n', { n: Math.round(seconds / 3600) });
  return t('days_n', { n: Math.round(seconds / 86_400) });
}
