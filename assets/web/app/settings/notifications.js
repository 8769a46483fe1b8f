// Settings of desktop notifications; permission is asked here, on a click.
import { fill, h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { toggle } from '../../shared/form.js';
import { preference, setPreference } from '../../shared/preferences.js';

export function notifications() {
  const place = h('div', { class: 'stack' });
  const show = () => {
    const isThere = 'Notification' in globalThis;
    const isDenied = isThere && Notification.permission === 'denied';
    const isOn = isThere && Notification.permission === 'granted' && preference('notifications') === 'on';
    fill(
      place,
      !isThere && h('p', { class: 'notice' }, t('notifications_missing')),
      isDenied && h('p', { class: 'notice' }, t('notifications_denied')),
      toggle({
        label: t('notifications_on'),
        hint: t('notifications_hint'),
        checked: isOn,
        onchange: async (wanted) => {
          if (wanted && isThere && (await Notification.requestPermission()) !== 'granted') {
            show();
            return;
          }
          setPreference('notifications', wanted ? 'on' : 'off');
          show();
        },
      }),
      isOn &&
        toggle({
          label: t('notifications_preview'),
          checked: preference('preview') === 'on',
          onchange: (wanted) => setPreference('preview', wanted ? 'on' : 'off'),
        }),
      isOn &&
        toggle({
          label: t('notifications_sound'),
          checked: preference('sound') === 'on',
          onchange: (wanted) => setPreference('sound', wanted ? 'on' : 'off'),
        }),
    );
  };
  show();
  return place;
}
