// The members of a group, and what its owner and admins can do with them.
import { h } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { explain, iconButton } from '../shared/form.js';
import { openMenu } from '../shared/menu.js';
import { confirmDialog } from '../shared/dialog.js';
import { toast } from '../shared/toast.js';
import { openProfile } from './profile.js';
import { session } from './session.js';

const failed = (error) => toast(explain(error));

export class Members {
  /** All members, once they have been asked for; else the first of the chat are shown. */
  #all = null;

  constructor(conversation, onChange) {
    this.conversation = conversation;
    this.onChange = onChange;
  }

  /** The list, drawn anew. */
  element() {
    const { chat, my } = this.conversation.state;
    const members = this.#all ?? chat.members;
    const list = h(
      'div',
      { class: 'people' },
      members.map((member) => this.#memberRow(member, my)),
    );
    if (members.length < chat.member_count)
      list.append(
        h(
          'button',
          { type: 'button', class: 'link', onclick: () => this.#loadMembers() },
          t('show_all_members', { n: chat.member_count }),
        ),
      );
    return list;
  }

  #memberRow(member, my) {
    const { user, role } = member;
    const isOwn = user.id === session.userId;
    const outranks = my.role === 'owner' ? role !== 'owner' : my.role === 'admin' && role === 'member';
    return h(
      'div',
      { class: 'member' },
      h(
        'button',
        { type: 'button', class: 'person grow', onclick: () => openProfile(user) },
        avatar({ ...user, name: nameOf(user) }, 's', { online: session.client.presence.get(user.id)?.online }),
        h(
          'span',
          { class: 'grow' },
          h('b', { class: 'cut', dir: 'auto' }, isOwn ? `${nameOf(user)} (${t('you').toLowerCase()})` : nameOf(user)),
          user.username && h('small', { class: 'cut' }, `@${user.username}`),
        ),
        role !== 'member' && h('span', { class: 'tag quiet' }, t(`role_${role}`)),
      ),
      outranks &&
        !isOwn &&
        iconButton(
          'more',
          t('manage_member', { name: nameOf(user) }),
          (event) => this.#memberMenu(event.currentTarget, member),
          { 'aria-haspopup': 'menu' },
        ),
    );
  }

  #memberMenu(anchor, { user, role }) {
    const { state } = this.conversation;
    const { client } = session;
    const target = { chat: { id: state.id }, user: { id: user.id } };
    const isOwner = state.my.role === 'owner';
    const set = (to) => client.call('set_member_role', { ...target, role: to }).catch(failed);
    openMenu(
      anchor,
      [
        isOwner &&
          (role === 'admin'
            ? { label: t('make_member'), icon: 'person', run: () => set('member') }
            : { label: t('make_admin'), icon: 'shield', run: () => set('admin') }),
        isOwner && {
          label: t('make_owner'),
          icon: 'crown',
          run: async () => {
            if (
              await confirmDialog({
                title: t('make_owner_title', { name: nameOf(user) }),
                text: t('make_owner_text'),
                action: t('make_owner'),
                danger: true,
              })
            )
              set('owner');
          },
        },
        null,
        {
          label: t('remove_from_group'),
          icon: 'close',
          danger: true,
          run: async () => {
            if (
              await confirmDialog({
                title: t('remove_title', { name: nameOf(user) }),
                action: t('remove'),
                danger: true,
              })
            )
              client.call('remove_member', target).catch(failed);
          },
        },
        {
          label: t('ban'),
          icon: 'ban',
          danger: true,
          run: async () => {
            if (
              await confirmDialog({
                title: t('ban_title', { name: nameOf(user) }),
                text: t('ban_text'),
                action: t('ban'),
                danger: true,
              })
            )
              client.ban(state.id, user.id).catch(failed);
          },
        },
      ],
      { label: nameOf(user), align: 'end' },
    );
  }

  async #loadMembers() {
    const all = [];
    try {
      for (
        let path = `/chat/${this.conversation.state.id}/members?limit=200`, pages = 0;
        path && pages < 50;
        pages += 1
      ) {
        const { items, next } = await session.client.list(path);
        all.push(...items);
        path = next;
      }
      this.#all = all;
      this.onChange();
    } catch (error) {
      failed(error);
    }
  }
}
