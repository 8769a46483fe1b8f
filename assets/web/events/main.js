// The event console: choose an event, see what it needs, send it, and see who receives what.
import { fill, h } from '../shared/dom.js';
import { addTexts, language, t } from '../shared/i18n.js';
import { icon, logo } from '../shared/icons.js';
import { at } from '../shared/page.js';
import { explain } from '../shared/form.js';

addTexts(await import(`./texts/${language}.js`));
const { loadCatalogue } = await import('./catalogue.js');
const { showConsole } = await import('./console.js');

document.title = `${t('con_title')} · Mango Chat`;
const place = h('div', { class: 'page' });
document.body.append(place);

const top = (...more) =>
  h(
    'header',
    { class: 'top' },
    h('a', { class: 'brand', href: at('') }, logo(28), h('span', null, t('con_title'))),
    more,
    h(
      'nav',
      { class: 'links', 'aria-label': t('con_documents') },
      [
        ['docs/', 'con_rest_api'],
        ['asyncapi.json', 'con_asyncapi'],
        ['events.d.ts', 'con_types'],
      ].map(([path, key]) =>
        h('a', { class: 'link small', href: at(path === 'events.d.ts' ? 'client/events.d.ts' : path) }, t(key)),
      ),
    ),
  );

async function start() {
  fill(
    place,
    top(),
    h(
      'main',
      { class: 'loading', 'aria-busy': 'true' },
      Array.from({ length: 5 }, () => h('div', { class: 'skeleton' })),
    ),
  );
  try {
    showConsole(place, await loadCatalogue(), top);
  } catch (error) {
    if (!error.code) console.error(error);
    fill(
      place,
      top(),
      h(
        'main',
        { class: 'empty', role: 'alert' },
        icon('alert'),
        h('h1', null, t('con_failed')),
        h('p', null, explain(error)),
        h('button', { type: 'button', class: 'btn', onclick: start }, t('try_again')),
      ),
    );
  }
}
await start();
