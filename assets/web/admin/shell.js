// The frame: navigation on the left (a bar on small screens), and the page that the address names.
import { attr, fill, h } from '../shared/dom.js';
import { LANGUAGES, language, t } from '../shared/i18n.js';
import { icon, logo } from '../shared/icons.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { at, load } from '../shared/page.js';
import { openMenu } from '../shared/menu.js';
import { preference, setPreference } from '../shared/preferences.js';
import { onRoute, route } from '../shared/router.js';
import { failed, skeleton } from './parts.js';
import { isAdmin, rest, session, signOut } from './session.js';

const PAGES = [
  { name: 'overview', label: 'adm_overview', icon: 'chart', load: () => import('./pages/overview.js') },
  { name: 'users', label: 'adm_users', icon: 'people', load: () => import('./pages/users.js') },
  { name: 'chats', label: 'adm_chats', icon: 'chat', load: () => import('./pages/chats.js') },
  { name: 'reports', label: 'adm_reports', icon: 'flag', load: () => import('./pages/reports.js') },
  { name: 'audit', label: 'adm_audit', icon: 'list', admin: true, load: () => import('./pages/audit.js') },
  { name: 'mail', label: 'adm_mail', icon: 'mail', admin: true, load: () => import('./pages/mail.js') },
  { name: 'settings', label: 'adm_settings', icon: 'gear', admin: true, load: () => import('./pages/settings.js') },
  { name: 'types', label: 'adm_types', icon: 'code', reference: true, load: () => import('./pages/types.js') },
];

/** Shows the panel in `place`. */
export function showShell(place) {
  const pages = PAGES.filter((it) => !it.admin || isAdmin());
  const main = h('main', { class: 'main', id: 'main', tabindex: '-1' });
  const links = new Map(pages.map((page) => [page.name, link(page)]));
  const own = h(
    'button',
    {
      type: 'button',
      class: 'own',
      'aria-haspopup': 'menu',
      'aria-label': t('own_menu'),
      onclick: (event) => ownMenu(event.currentTarget),
    },
    avatar({ ...session.me, name: nameOf(session.me) }, 's'),
    h(
      'span',
      { class: 'own-text' },
      h('b', { class: 'cut' }, nameOf(session.me)),
      h('small', null, t(`adm_role_${session.me.role}`)),
    ),
  );
  const nav = h(
    'nav',
    { class: 'nav', 'aria-label': t('adm_sections') },
    h('a', { class: 'brand', href: '#/overview' }, logo(30), h('b', null, t('adm_brand'))),
    h(
      'ul',
      { class: 'nav-list' },
      pages.filter((it) => !it.reference).map((it) => h('li', null, links.get(it.name))),
    ),
    h(
      'div',
      { class: 'nav-more' },
      h('h2', { class: 'nav-title' }, t('adm_reference')),
      h(
        'ul',
        { class: 'nav-list' },
        pages.filter((it) => it.reference).map((it) => h('li', null, links.get(it.name))),
        outside(),
      ),
    ),
    own,
  );
  fill(
    place,
    h(
      'a',
      {
        class: 'skip',
        href: '#main',
        onclick: (event) => {
          event.preventDefault();
          main.focus();
        },
      },
      t('adm_skip'),
    ),
    h('div', { class: 'panel' }, nav, main),
  );

  let current = null;
  const show = async () => {
    const { path, query } = route();
    const page = pages.find((it) => it.name === (path[0] ?? 'overview')) ?? pages[0];
    for (const [name, element] of links) attr(element, 'aria-current', name === page.name ? 'page' : null);
    document.title = `${t(page.label)} · ${t('adm_title')}`;
    if (current?.name === page.name) {
      current.view?.update({ path: path.slice(1), query });
      return;
    }
    current?.view?.leave?.();
    const mine = (current = { name: page.name, view: null });
    if (!main.firstChild)
      fill(main, h('div', { class: 'column' }, h('h1', { class: 'vh' }, t(page.label)), skeleton(6)));
    try {
      const module = await load(page.load);
      if (current !== mine) return;
      mine.view = module.create();
      fill(main, mine.view.element);
      scrollTo(0, 0);
      const now = route();
      mine.view.update({ path: now.path.slice(1), query: now.query });
    } catch (error) {
      console.error(error);
      if (current === mine) {
        current = null;
        fill(main, failed(error, show));
      }
    }
  };
  const off = onRoute(() => {
    if (place.contains(main)) show();
    else off();
  });
  show();
  countReports(links.get('reports'));
}

const link = ({ name, label, icon: symbol }) =>
  h('a', { class: 'nav-link', href: `#/${name}`, title: t(label) }, icon(symbol), h('span', null, t(label)));

/** Links to the console and the documents, if this server has them. */
function outside() {
  const items = [
    ['events', 'adm_console'],
    ['docs/', 'adm_api'],
  ].map(([path, label]) =>
    h(
      'li',
      { hidden: true },
      h('a', { class: 'nav-link', href: at(path), title: t(label) }, icon('link'), h('span', null, t(label))),
    ),
  );
  fetch(at('asyncapi.json'), { method: 'HEAD' })
    .then((answer) => {
      for (const item of items) item.hidden = !answer.ok;
    })
    .catch(() => {});
  return items;
}

/** Shows beside the link whether somebody should look at reports. */
async function countReports(element) {
  try {
    const open = await rest('GET', '/admin/report?claimed=nobody&limit=100');
    if (open.length)
      element.append(
        h('span', { class: 'badge', 'aria-hidden': 'true' }, open.length > 99 ? '99+' : String(open.length)),
      );
  } catch {
    /* The page itself says what is wrong. */
  }
}

function ownMenu(anchor) {
  const theme = preference('theme');
  openMenu(
    anchor,
    [
      ...['system', 'light', 'dark'].map((value) => ({
        label: t(`theme_${value}`),
        checked: theme === value,
        run: () => setPreference('theme', value),
      })),
      null,
      ...Object.entries(LANGUAGES).map(([key, name]) => ({
        label: name,
        checked: key === language,
        run: () => {
          setPreference('language', key);
          location.reload();
        },
      })),
      null,
      {
        label: t('adm_to_client'),
        icon: 'chat',
        run: () => {
          location.href = at('');
        },
      },
      { label: t('sign_out'), icon: 'logout', run: signOut },
    ],
    { label: t('own_menu') },
  );
}
