// Settings of look and language, and of the Enter key.
import { h } from '../../shared/dom.js';
import { LANGUAGES, language, t } from '../../shared/i18n.js';
import { choices } from '../../shared/form.js';
import { preference, setPreference } from '../../shared/preferences.js';

export function general() {
  return [
    choices({
      label: t('theme'),
      name: 'theme',
      value: preference('theme'),
      options: [
        ['system', t('theme_system')],
        ['light', t('theme_light')],
        ['dark', t('theme_dark')],
      ],
      onchange: (value) => setPreference('theme', value),
    }),
    choices({
      label: t('language'),
      name: 'language',
      value: language,
      options: Object.entries(LANGUAGES),
      onchange: (value) => {
        setPreference('language', value);
        location.reload();
      },
    }),
    choices({
      label: t('enter_key'),
      name: 'enter',
      value: preference('enter'),
      options: [
        ['send', t('enter_sends')],
        ['break', t('enter_breaks')],
      ],
      onchange: (value) => setPreference('enter', value),
    }),
    h(
      'section',
      null,
      h('h3', { class: 'label' }, t('shortcuts')),
      h(
        'dl',
        { class: 'facts keys' },
        [
          [['Ctrl', 'K'], 'search'],
          [['Alt', '↓'], 'key_next'],
          [['↑'], 'key_edit'],
          [['Esc'], 'key_escape'],
          [[':sm'], 'key_emoji'],
          [['@'], 'key_mention'],
          [['R'], 'key_reply'],
          [['E'], 'key_edit_focused'],
        ].map(([keys, text]) => [
          h(
            'dt',
            null,
            keys.map((it) => [h('kbd', null, it), ' ']),
          ),
          h('dd', null, t(text)),
        ]),
      ),
    ),
  ];
}
