// The settings: a dialog with sections.
import { fill, h, newId } from '../../shared/dom.js';
import { icon } from '../../shared/icons.js';
import { t } from '../../shared/i18n.js';
import { openDialog } from '../../shared/dialog.js';
import { loadCss } from '../styles.js';
import { rove } from '../../shared/dom.js';
import { general } from './general.js';
import { notifications } from './notifications.js';
import { profile } from './profile.js';
import { account } from './account.js';
import { sessions } from './sessions.js';

const SECTIONS = {
  profile: ['person', profile],
  general: ['sun', general],
  notifications: ['bell', notifications],
  account: ['lock', account],
  sessions: ['devices', sessions],
};

export async function openSettings(section = 'general') {
  await loadCss('app/dialogs.css');
  const panelId = newId('panel');
  const panel = h('div', { class: 'settings-panel stack', role: 'tabpanel', id: panelId });
  const tabs = h('div', {
    class: 'settings-tabs',
    role: 'tablist',
    'aria-label': t('settings'),
    'aria-orientation': 'vertical',
  });
  const show = (name) => {
    for (const tab of tabs.children) {
      const isOn = tab.dataset.name === name;
      tab.setAttribute('aria-selected', String(isOn));
      tab.tabIndex = isOn ? 0 : -1;
      if (isOn) panel.setAttribute('aria-labelledby', tab.id);
    }
    fill(panel, SECTIONS[name][1]());
    panel.scrollTop = 0;
  };
  for (const [name, [symbol]] of Object.entries(SECTIONS)) {
    tabs.append(
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: newId('tab'),
          'aria-controls': panelId,
          'data-name': name,
          onclick: () => show(name),
        },
        icon(symbol),
        h('span', null, t(`settings_${name}`)),
      ),
    );
  }
  rove(tabs, '[role="tab"]', { wrap: true });
  openDialog({
    title: t('settings'),
    width: 760,
    tall: true,
    class: 'settings',
    body: () => h('div', { class: 'settings-frame' }, tabs, panel),
  });
  show(section in SECTIONS ? section : 'general');
}
