// What owner and admins of a group do: its name and photo, members, invite links, requests and bans.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { at } from '../shared/page.js';
import { confirmDialog, openDialog } from '../shared/dialog.js';
import { explain, field, iconButton, submitForm, toggle } from '../shared/form.js';
import { ago, duration, fullTime } from '../shared/time.js';
import { toast } from '../shared/toast.js';
import { PeoplePicker } from './people_picker.js';
import { photoField } from './photo_field.js';
import { pictureOf } from './chat_info.js';
import { session } from './session.js';

const failed = (error) => toast(explain(error));
const SLOW = [0, 5, 15, 60, 300, 3600];
const select = (label, name, options) => {
  const element = h(
    'select',
    { class: 'input', name },
    options.map(([value, text, isChosen]) => h('option', { value, selected: isChosen }, text)),
  );
  return {
    element: h('label', { class: 'field' }, h('span', null, label), element),
    input: element,
    name,
    setError: () => {},
  };
};

export function editGroup(state) {
  const { chat } = state;
  openDialog({
    title: t('edit_group'),
    tall: true,
    body: (close) => {
      const photo = photoField(pictureOf(state), {
        onChange: () =>
          session.client
            .rest('PUT', `/chat/${state.id}/photo`, undefined, { form: photo.form() })
            .then(() => toast(t('saved')), failed),
      });
      const removePhoto =
        chat.photo &&
        h(
          'button',
          {
            type: 'button',
            class: 'link small',
            onclick: (event) =>
              session.client.rest('DELETE', `/chat/${state.id}/photo`).then(() => {
                event.target.remove();
                toast(t('saved'));
              }, failed),
          },
          t('remove_photo'),
        );
      const fields = [
        field({ label: t('group_name'), name: 'name', maxlength: 100, value: chat.name ?? '', autofocus: true }),
        field({
          label: t('description_optional'),
          name: 'description',
          multiline: true,
          rows: 3,
          maxlength: 1000,
          value: chat.description ?? '',
        }),
        select(
          t('slow_mode'),
          'slow_mode_secs',
          [...new Set([...SLOW, chat.slow_mode_secs])]
            .sort((a, b) => a - b)
            .map((it) => [
              it,
              it ? t('one_message_every', { time: duration(it) }) : t('off'),
              it === chat.slow_mode_secs,
            ]),
        ),
      ];
      return submitForm({
        fields,
        action: t('save'),
        before: h('div', { class: 'photo-field' }, photo.element, removePhoto),
        run: async ({ name, description, slow_mode_secs: slow }) => {
          await session.client.call('update_chat', {
            chat: {
              id: state.id,
              name: name.trim(),
              description: description.trim() || null,
              slow_mode_secs: Number(slow),
            },
          });
          close();
          toast(t('saved'));
        },
      }).form;
    },
  });
}

export function addMembers(state) {
  openDialog({
    title: t('add_members'),
    tall: true,
    body: (close) => {
      const picker = new PeoplePicker({ multiple: true, without: state.chat.members.map(({ user }) => user.id) });
      return submitForm({
        fields: [],
        action: t('add'),
        before: picker.element,
        run: async () => {
          for (const user of picker.selected.values()) {
            await session.client.call('add_member', { chat: { id: state.id }, user: { id: user.id } });
          }
          close();
        },
      }).form;
    },
  });
}

/** A dialog with a list of the group's; `row(item, reload)` draws an item. */
function listDialog({ title, state, what, row, empty, lead }) {
  const list = h('div', { class: 'people' });
  const load = async () => {
    try {
      const { items } = await session.client.ofChat(state.id, what, { limit: 100 });
      fill(list, items.length ? items.map((it) => row(it, load)) : h('p', { class: 'muted' }, empty));
    } catch (error) {
      fill(list, h('p', { class: 'notice bad', role: 'alert' }, explain(error)));
    }
  };
  fill(list, h('span', { class: 'skeleton', style: { height: '40px' } }));
  load();
  return openDialog({ title, tall: true, body: () => [lead?.(load), list] });
}

/** The link that opens the invitation in this client. */
const linkOf = (invite) => at(`#/invite/${invite.token}`);

export function openInvites(state) {
  const copy = async (invite) => {
    try {
      await navigator.clipboard.writeText(linkOf(invite));
      toast(t('link_copied'));
    } catch {
      toast(t('cannot_copy'));
    }
  };
  listDialog({
    title: t('invite_links'),
    state,
    what: 'invite',
    empty: t('no_invites'),
    lead: (reload) => {
      const expires = select(t('valid_for'), 'expires', [
        ['', t('for_ever_valid')],
        [3600, duration(3600)],
        [86_400, duration(86_400)],
        [604_800, duration(604_800), true],
      ]);
      const uses = select(t('uses'), 'uses', [
        ['', t('unlimited'), true],
        [1, '1'],
        [10, '10'],
        [100, '100'],
      ]);
      let approval = false;
      return submitForm({
        fields: [expires, uses],
        action: t('create_link'),
        class: 'invite-form',
        extra: toggle({
          label: t('needs_approval'),
          checked: false,
          onchange: (isOn) => {
            approval = isOn;
          },
        }),
        run: async (values) => {
          const invite = await session.client.createInvite(state.id, {
            expiresInSecs: values.expires ? Number(values.expires) : undefined,
            maxUses: values.uses ? Number(values.uses) : undefined,
            approval,
          });
          await reload();
          copy(invite);
        },
      }).form;
    },
    row: (invite, reload) =>
      h(
        'div',
        { class: 'member invite' },
        h(
          'div',
          { class: 'grow' },
          h('input', {
            class: 'input link-text',
            readonly: true,
            value: linkOf(invite),
            'aria-label': t('invite_link'),
            onfocus: (event) => event.target.select(),
          }),
          h(
            'small',
            { class: 'muted' },
            [
              invite.max_uses
                ? t('used_of', { n: invite.uses, max: invite.max_uses })
                : t('used_n', { n: invite.uses }),
              invite.expires_at ? t('until', { date: fullTime(invite.expires_at) }) : t('for_ever_valid'),
              invite.approval && t('needs_approval'),
            ]
              .filter(Boolean)
              .join(' · '),
          ),
        ),
        iconButton('copy', t('copy_link'), () => copy(invite)),
        iconButton('trash', t('revoke'), async () => {
          if (
            await confirmDialog({ title: t('revoke_title'), text: t('revoke_text'), action: t('revoke'), danger: true })
          )
            session.client.revokeInvite(state.id, invite.id).then(reload, failed);
        }),
      ),
  });
}

const person = (user, note, ...buttons) =>
  h(
    'div',
    { class: 'member' },
    h(
      'div',
      { class: 'person grow' },
      avatar({ ...user, name: nameOf(user) }, 'm'),
      h(
        'span',
        { class: 'grow' },
        h('b', { class: 'cut', dir: 'auto' }, nameOf(user)),
        h('small', { class: 'cut' }, note),
      ),
    ),
    buttons,
  );

export function openJoinRequests(state) {
  const answer = (user, isApproved, reload) =>
    session.client.answerJoinRequest(state.id, user.id, isApproved).then(reload, failed);
  listDialog({
    title: t('join_requests'),
    state,
    what: 'join_request',
    empty: t('no_join_requests'),
    row: ({ user, created_at: since }, reload) =>
      person(
        user,
        ago(since),
        h('button', { type: 'button', class: 'btn small', onclick: () => answer(user, true, reload) }, t('approve')),
        h(
          'button',
          { type: 'button', class: 'btn plain small', onclick: () => answer(user, false, reload) },
          t('decline'),
        ),
      ),
  });
}

export function openBans(state) {
  listDialog({
    title: t('banned'),
    state,
    what: 'ban',
    empty: t('no_bans'),
    row: ({ user, until, reason }, reload) =>
      person(
        user,
        [reason, until ? t('until', { date: fullTime(until) }) : t('for_ever_banned')].filter(Boolean).join(' · '),
        h(
          'button',
          {
            type: 'button',
            class: 'btn plain small',
            onclick: () => session.client.unban(state.id, user.id).then(reload, failed),
          },
          icon('check', 's'),
          t('unban'),
        ),
      ),
  });
}
