// The devices that are signed in.
import { fill, h } from '../../shared/dom.js';
import { icon } from '../../shared/icons.js';
import { t } from '../../shared/i18n.js';
import { confirmDialog } from '../../shared/dialog.js';
import { explain } from '../../shared/form.js';
import { ago } from '../../shared/time.js';
import { toast } from '../../shared/toast.js';
import { session, signOut } from '../session.js';

/** `Firefox, Linux` from what a browser says about itself. */
function deviceOf(agent) {
  if (!agent) return t('unknown_device');
  const browser = [
    [/Edg\//, 'Edge'],
    [/OPR\//, 'Opera'],
    [/Firefox\//, 'Firefox'],
    [/Chrome\//, 'Chrome'],
    [/Safari\//, 'Safari'],
  ].find(([it]) => it.test(agent))?.[1];
  const system = [
    [/iPhone|iPad/, 'iOS'],
    [/Android/, 'Android'],
    [/Windows/, 'Windows'],
    [/Mac OS/, 'macOS'],
    [/CrOS/, 'ChromeOS'],
    [/Linux/, 'Linux'],
  ].find(([it]) => it.test(agent))?.[1];
  return [browser, system].filter(Boolean).join(', ') || agent.slice(0, 60);
}

export function sessions() {
  const list = h('div', { class: 'people' }, h('span', { class: 'skeleton', style: { height: '44px' } }));
  const load = async () => {
    try {
      const all = await session.client.rest('GET', '/auth/session');
      all.sort((a, b) => Number(b.current) - Number(a.current) || (a.last_used_at < b.last_used_at ? 1 : -1));
      const others = all.filter((it) => !it.current);
      fill(
        list,
        all.map((it) =>
          h(
            'div',
            { class: 'member' },
            h(
              'div',
              { class: 'person grow' },
              icon('devices'),
              h(
                'span',
                { class: 'grow' },
                h('b', null, deviceOf(it.user_agent)),
                h(
                  'small',
                  null,
                  it.current
                    ? t('this_device')
                    : [t('used', { ago: ago(it.last_used_at) }), it.address].filter(Boolean).join(' · '),
                ),
              ),
            ),
            it.current
              ? h('button', { type: 'button', class: 'btn plain small', onclick: signOut }, t('sign_out'))
              : h(
                  'button',
                  {
                    type: 'button',
                    class: 'btn plain small',
                    'aria-label': t('end_session_of', { name: deviceOf(it.user_agent) }),
                    onclick: () => end([it]),
                  },
                  t('end_session'),
                ),
          ),
        ),
        others.length > 1 &&
          h(
            'button',
            {
              type: 'button',
              class: 'link',
              onclick: async () => {
                if (await confirmDialog({ title: t('end_others_title'), action: t('end_others'), danger: true }))
                  end(others);
              },
            },
            t('end_others'),
          ),
      );
    } catch (error) {
      fill(list, h('p', { class: 'notice bad', role: 'alert' }, explain(error)));
    }
  };
  const end = async (which) => {
    try {
      for (const { id } of which) await session.client.rest('DELETE', `/auth/session/${id}`);
      toast(t('session_ended_note'));
    } catch (error) {
      toast(explain(error));
    }
    load();
  };
  load();
  return [h('p', { class: 'muted small' }, t('sessions_hint')), list];
}
