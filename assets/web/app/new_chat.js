// Starting a chat: with a person, or a group.
import { h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { openDialog } from '../shared/dialog.js';
import { field, submitForm } from '../shared/form.js';
import { navigate } from '../shared/router.js';
import { toast } from '../shared/toast.js';
import { PeoplePicker } from './people_picker.js';
import { photoField } from './photo_field.js';
import { openDirect } from './search_box.js';
import { session } from './session.js';
import { loadCss } from './styles.js';

/** Asks with whom. */
export async function openNewChat() {
  await loadCss('app/dialogs.css');
  openDialog({
    title: t('new_chat'),
    tall: true,
    body: (close) =>
      new PeoplePicker({
        onPick: (user) => {
          close();
          openDirect(user);
        },
        lead: h(
          'button',
          {
            type: 'button',
            class: 'person',
            onclick: () => {
              close();
              openNewGroup();
            },
          },
          h('span', { class: 'round-icon' }, icon('people')),
          h('b', null, t('new_group')),
        ),
      }).element,
  });
}

export function openNewGroup() {
  const dialog = openDialog({
    title: t('new_group'),
    tall: true,
    body: (close) => {
      const photo = photoField({ name: '', id: 3 });
      const name = field({ label: t('group_name'), name: 'name', maxlength: 100, autofocus: true });
      const description = field({
        label: t('description_optional'),
        name: 'description',
        multiline: true,
        rows: 2,
        maxlength: 1000,
      });
      const picker = new PeoplePicker({ multiple: true });
      picker.input.removeAttribute('autofocus');
      const { form } = submitForm({
        fields: [name, description],
        action: t('create_group'),
        before: photo.element,
        extra: h('div', null, h('div', { class: 'label' }, t('members')), picker.element),
        run: async (values) => {
          if (!values.name.trim()) {
            name.setError(t('name_missing'));
            throw { code: 'validation_failed', errors: { name: [t('name_missing')] } };
          }
          const state = await session.client.createChat({
            name: values.name.trim(),
            description: values.description.trim() || undefined,
            members: [...picker.selected.keys()],
          });
          close();
          navigate(`#/chat/${state.id}`);
          if (photo.file)
            await session.client
              .rest('PUT', `/chat/${state.id}/photo`, undefined, { form: photo.form() })
              .catch(() => toast(t('photo_failed')));
        },
      });
      return form;
    },
  });
  return dialog;
}
