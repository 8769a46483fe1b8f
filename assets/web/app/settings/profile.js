// The own profile: photo, name, username, description.
import { h } from '../../shared/dom.js';
import { t } from '../../shared/i18n.js';
import { nameOf } from '../../shared/avatar.js';
import { explain, field, submitForm } from '../../shared/form.js';
import { toast } from '../../shared/toast.js';
import { photoField } from '../photo_field.js';
import { session, setMe } from '../session.js';

export function profile() {
  const { client, me } = session;
  const done = (updated) => {
    setMe({ ...session.me, ...updated });
    toast(t('saved'));
  };
  const failed = (error) => toast(explain(error));
  const photo = photoField(
    { ...me, name: nameOf(me ?? {}) },
    { onChange: () => client.rest('PUT', '/user/me/photo', undefined, { form: photo.form() }).then(done, failed) },
  );
  const fields = [
    field({ label: t('your_name'), name: 'name', value: me?.name ?? '', maxlength: 100, autocomplete: 'name' }),
    field({
      label: t('username'),
      name: 'username',
      value: me?.username ?? '',
      hint: t('username_hint'),
      autocomplete: 'username',
      autocapitalize: 'none',
      spellcheck: 'false',
      dir: 'ltr',
    }),
    field({
      label: t('about_you'),
      name: 'description',
      value: me?.description ?? '',
      multiline: true,
      rows: 3,
      maxlength: 1000,
    }),
  ];
  const { form } = submitForm({
    fields,
    action: t('save'),
    wide: false,
    before: h(
      'div',
      { class: 'photo-field' },
      photo.element,
      h(
        'button',
        {
          type: 'button',
          class: 'link small',
          onclick: () => client.rest('DELETE', '/user/me/photo').then(done, failed),
        },
        t('remove_photo'),
      ),
    ),
    run: async ({ name, username, description }) => {
      const changes = {
        name: name.trim() || null,
        username: username.trim() || null,
        description: description.trim() || null,
      };
      for (const key of Object.keys(changes)) if (changes[key] === (me?.[key] ?? null)) delete changes[key];
      done(await client.rest('PATCH', '/user/me', changes));
    },
  });
  return form;
}
