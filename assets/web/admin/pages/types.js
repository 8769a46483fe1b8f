// The catalogue of message types, as clients name them.
import { fill, h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { failed, heading, skeleton } from '../parts.js';
import { rest } from '../session.js';

export function create() {
  const place = h('div');
  async function load() {
    fill(place, skeleton(8));
    try {
      const types = await rest('GET', '/message_type');
      fill(
        place,
        h(
          'div',
          { class: 'table-frame' },
          h(
            'table',
            { class: 'table' },
            h('caption', { class: 'vh' }, t('adm_types')),
            h(
              'thead',
              null,
              h(
                'tr',
                null,
                h('th', { scope: 'col', class: 'number' }, t('adm_number')),
                h('th', { scope: 'col' }, t('adm_name')),
                h('th', { scope: 'col' }, t('adm_media_type')),
                h('th', { scope: 'col', class: 'mid' }, t('adm_content')),
              ),
            ),
            h(
              'tbody',
              null,
              types.map((it) =>
                h(
                  'tr',
                  null,
                  h('td', { class: 'number' }, String(it.id)),
                  h('td', null, h('code', null, it.name)),
                  h('td', null, h('code', { class: 'muted' }, it.mime)),
                  h('td', { class: 'mid' }, t(it.text ? 'adm_readable' : 'adm_binary')),
                ),
              ),
            ),
          ),
        ),
      );
    } catch (error) {
      if (!error.code) console.error(error);
      fill(place, failed(error, load));
    }
  }
  load();
  return {
    element: h('div', { class: 'column narrow' }, heading(t('adm_types'), t('adm_types_lead')), place),
    update() {},
  };
}
