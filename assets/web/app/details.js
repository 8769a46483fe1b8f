// The pane beside a conversation: about the chat, its members, pinned messages and shared files.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { explain, iconButton } from '../shared/form.js';
import { confirmDialog } from '../shared/dialog.js';
import { navigate } from '../shared/router.js';
import { ago, shortTime } from '../shared/time.js';
import { toast } from '../shared/toast.js';
import { canManage, excerptOf, otherOf, pictureOf, presenceText, titleOf } from './chat_info.js';
import { fileCard, urlOf } from './attachments.js';
import { leave } from './chat_menu.js';
import { addMembers, editGroup, openBans, openInvites, openJoinRequests } from './group_admin.js';
import { Members } from './members.js';
import { openProfile } from './profile.js';
import { session } from './session.js';
import { loadCss } from './styles.js';

const failed = (error) => toast(explain(error));
/** Pages of history that are looked through for files at a time. */
const PAGES = 3;

export class Details {
  #files = [];
  #filesBefore = undefined;

  constructor(conversation, element, { section } = {}) {
    Object.assign(this, { conversation, element });
    loadCss('app/dialogs.css');
    const { client } = session;
    const refresh = ({ chat, type }) => {
      if (!element.isConnected || element.hidden || !element.contains(this.body)) {
        client.off('change', refresh);
        return;
      }
      if (chat.id !== conversation.chatId) return;
      if (/^(chat|member|reset|user)/.test(type)) this.show();
    };
    client.on('change', refresh);
    element.onkeydown = (event) => {
      if (event.key !== 'Escape' || event.defaultPrevented) return;
      event.preventDefault();
      conversation.closeDetails();
    };
    this.members = new Members(conversation, () => this.show());
    this.body = h('div', { class: 'details-body' });
    fill(
      element,
      h(
        'header',
        { class: 'details-head' },
        h('h2', null, t('details')),
        iconButton('close', t('close_details'), () => conversation.closeDetails()),
      ),
      this.body,
    );
    this.show();
    this.#loadPinned();
    if (section === 'pinned') this.body.querySelector('[data-section="pinned"]')?.scrollIntoView();
    // Only if the user has not gone on while this was loading.
    const { activeElement } = document;
    if (activeElement === document.body || conversation.head.element.contains(activeElement))
      element.querySelector('.icon-btn').focus({ preventScroll: true });
  }

  get state() {
    return this.conversation.state;
  }

  show() {
    const { state } = this;
    if (!state) return;
    const other = otherOf(state);
    const action = (symbol, label, run) =>
      h('button', { type: 'button', class: 'quick-action', onclick: run }, icon(symbol), h('span', null, label));
    this.pinned ??= h('div', { class: 'people' });
    this.shared ??= h('div');
    if (!this.sharedButton) {
      this.sharedButton = h(
        'button',
        { type: 'button', class: 'btn plain small', onclick: () => this.#loadFiles() },
        t('show_files'),
      );
      fill(this.shared, this.sharedButton);
    }
    fill(
      this.body,
      h(
        'div',
        { class: 'profile-head' },
        avatar(pictureOf(state), 'l'),
        h('h2', { dir: 'auto' }, titleOf(state)),
        h(
          'p',
          { class: 'muted small' },
          other
            ? [other.username && `@${other.username}`, presenceText(other, ago)].filter(Boolean).join(' · ')
            : t('members_n', { n: state.chat.member_count }),
        ),
        state.chat.description && h('p', { class: 'description', dir: 'auto' }, state.chat.description),
      ),
      h(
        'div',
        { class: 'quick-actions' },
        other && !other.deleted && action('person', t('profile'), () => openProfile(other)),
        canManage(state) && action('edit', t('edit'), () => editGroup(state)),
        canManage(state) && action('person-plus', t('add'), () => addMembers(state)),
        canManage(state) && action('link', t('invite'), () => openInvites(state)),
      ),
      state.chat.is_group &&
        h('section', null, h('h3', { class: 'section-title' }, t('members')), this.members.element()),
      canManage(state) &&
        h(
          'section',
          null,
          h('h3', { class: 'section-title' }, t('manage')),
          h(
            'div',
            { class: 'people' },
            this.#line('person-plus', t('join_requests'), () => openJoinRequests(state)),
            this.#line('ban', t('banned'), () => openBans(state)),
          ),
        ),
      h(
        'section',
        { 'data-section': 'pinned' },
        h('h3', { class: 'section-title' }, t('pinned_messages')),
        this.pinned,
      ),
      h('section', null, h('h3', { class: 'section-title' }, t('shared_files')), this.shared),
      state.chat.is_group &&
        h(
          'section',
          null,
          h(
            'button',
            { type: 'button', class: 'person danger', onclick: () => leave(state) },
            icon('logout'),
            t('leave_group'),
          ),
          state.my.role === 'owner' &&
            h(
              'button',
              { type: 'button', class: 'person danger', onclick: () => this.#deleteGroup() },
              icon('trash'),
              t('delete_group'),
            ),
        ),
    );
  }

  #line(symbol, label, run) {
    return h(
      'button',
      { type: 'button', class: 'person line', onclick: run },
      icon(symbol),
      h('span', { class: 'grow' }, label),
      icon('next', 's'),
    );
  }

  async #loadPinned() {
    try {
      const { items } = await session.client.pinnedMessages(this.state.id, { limit: 50 });
      fill(
        this.pinned,
        items.length
          ? items.map((message) =>
              h(
                'button',
                { type: 'button', class: 'person', onclick: () => this.#jump(message.seq) },
                avatar({ ...message.user, name: nameOf(message.user) }, 's'),
                h(
                  'span',
                  { class: 'grow' },
                  h(
                    'span',
                    { class: 'row' },
                    h('b', { class: 'cut grow' }, nameOf(message.user)),
                    h('small', { class: 'num' }, shortTime(message.created_at)),
                  ),
                  h('small', { class: 'cut', dir: 'auto' }, excerptOf(message)),
                ),
              ),
            )
          : h('p', { class: 'muted small' }, t('no_pinned')),
      );
    } catch {
      fill(this.pinned, h('p', { class: 'muted small' }, t('cannot_load')));
    }
  }

  #jump(seq) {
    if (matchMedia('(max-width: 1180px)').matches) this.conversation.closeDetails();
    this.conversation.jumpTo(seq);
  }

  /** Looks through the history for files, newest first; the server has no list of them. */
  async #loadFiles() {
    this.sharedButton.disabled = true;
    const known = this.#files.length;
    try {
      for (let page = 0; page < PAGES; page += 1) {
        const { messages, hasMore } = await session.client.history(this.state.id, {
          before: this.#filesBefore,
          limit: 200,
        });
        for (const message of messages.toReversed())
          for (const it of message.attachments) this.#files.push({ ...it, seq: message.seq });
        this.#filesBefore = messages[0]?.seq;
        this.filesEnd = !hasMore;
        if (!hasMore || this.#files.length - known > 20) break;
      }
    } catch (error) {
      failed(error);
    }
    const isImage = (it) => /^image\//.test(it.mime) && it.width;
    const images = this.#files.filter(isImage);
    const others = this.#files.filter((it) => !isImage(it));
    this.sharedButton.disabled = false;
    this.sharedButton.textContent = t('look_further_back');
    fill(
      this.shared,
      images.length > 0 &&
        h(
          'div',
          { class: 'shared-pics' },
          images.map((it) =>
            h(
              'button',
              {
                type: 'button',
                'aria-label': t('open_image', { name: it.name }),
                onclick: async () => (await import('./viewer.js')).openViewer(it, images),
              },
              h('img', { src: urlOf(it, true), alt: '', loading: 'lazy' }),
            ),
          ),
        ),
      others.map((it) => fileCard(it)),
      !this.#files.length && h('p', { class: 'muted small' }, t('no_files')),
      !this.filesEnd && this.sharedButton,
    );
  }

  async #deleteGroup() {
    const { state } = this;
    if (
      !(await confirmDialog({
        title: t('delete_group_title', { name: titleOf(state) }),
        text: t('delete_group_text'),
        action: t('delete_group'),
        danger: true,
      }))
    )
      return;
    session.client
      .call('delete_chat', { chat: { id: state.id } })
      .then(() => navigate('#/', { replace: true }), failed);
  }
}
