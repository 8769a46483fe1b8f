// One chat on the screen: header, log, composer, and what connects them.
import { fill, h } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { load } from '../shared/page.js';
import { navigate } from '../shared/router.js';
import { avatar, nameOf } from '../shared/avatar.js';
import { date } from '../shared/time.js';
import { toast } from '../shared/toast.js';
import { ChatHead } from './chat_head.js';
import { Composer } from './composer.js';
import { excerptOf, otherOf, pictureOf, titleOf, typingText } from './chat_info.js';
import { LogView } from './log_view.js';
import { MessageActions } from './message_actions.js';
import { PinnedBar } from './pinned_bar.js';
import { isLookedAt, isReadByAll, markRead } from './reads.js';
import { onOutgoing, outgoingOf } from './outgoing.js';
import { rowsOf } from './rows.js';
import { session } from './session.js';
import { Timeline } from './timeline.js';

/** Where one was in each chat. */
const positions = new Map();
const RAW = [
  'message_edited',
  'message_deleted',
  'message_pinned',
  'message_unpinned',
  'message_liked',
  'message_reacted',
];

export class Conversation {
  #off = [];
  #unreadAfter = null;
  #isOpen = false;

  constructor(chatId, { main, details, isSingle }) {
    Object.assign(this, { chatId, main, details, isSingle });
    const { client } = session;
    this.timeline = new Timeline(chatId, (what) => this.#timelineChanged(what));
    this.actions = new MessageActions(this);
    this.log = new LogView({
      timeline: this.timeline,
      actions: this.actions,
      onScroll: () => this.#seen(),
      label: t('messages'),
      rows: () =>
        rowsOf(this.timeline, outgoingOf(chatId), {
          unreadAfter: this.#unreadAfter,
          state: this.state,
          marks: (seq) => (isReadByAll(this.state, seq) ? 'ticks' : 'tick'),
        }),
    });
    this.actions.attach(this.log);
    this.log.down.addEventListener('click', () => this.toNewest());
    this.composer = new Composer(this);
    this.pinned = new PinnedBar(this);
    this.live = h('div', { class: 'vh', 'aria-live': 'polite', 'aria-atomic': 'false' });
    this.typing = h('div', { class: 'typing', 'aria-live': 'off' });
    this.head = new ChatHead(this);
    this.drop = h(
      'div',
      { class: 'drop', hidden: true, 'aria-hidden': 'true' },
      icon('clip'),
      h('b', null, t('drop_here')),
    );
    fill(
      main,
      this.head.element,
      this.pinned.element,
      h('div', { class: 'log-frame' }, this.log.element, this.log.down),
      this.typing,
      this.composer.element,
      this.live,
      this.drop,
    );
    main.id = 'main';
    this.composer.acceptDrops(main, this.drop);

    const on = (name, listener) => {
      client.on(name, listener);
      this.#off.push(() => client.off(name, listener));
    };
    on('change', (change) => {
      if (change.chat.id !== chatId) return;
      this.timeline.refresh(change);
      // Changed while away, and older than what the client keeps.
      if (change.synced && change.message && change.type !== 'new_message')
        this.timeline.applyEvent(change.type, change);
      if (change.type === 'new_message') this.#arrived(change.message);
      if (change.type !== 'typing') this.refresh();
    });
    for (const name of RAW)
      on(name, (data) => {
        if (data.chat === chatId && this.timeline.applyEvent(name, data)) this.log.draw();
      });
    on('synced', () => this.refresh());
    // The event is told before the client has applied it.
    for (const name of ['blocked', 'unblocked', 'followed', 'unfollowed'])
      on(name, () => setTimeout(() => this.refresh()));
    on('typing', (data) => {
      if (data.chat !== chatId) return;
      this.#showTyping();
      setTimeout(() => this.#showTyping(), 7200);
    });
    this.#off.push(
      onOutgoing((id) => {
        if (id === chatId) this.log.draw();
      }),
    );
    const look = () => this.#seen();
    const presence = () => this.head.refresh();
    for (const [target, name, listener] of [
      [window, 'focus', look],
      [window, 'mango-dialog-closed', look],
      [document, 'visibilitychange', look],
      [window, 'mango-presence', presence],
    ]) {
      target.addEventListener(name, listener);
      this.#off.push(() => target.removeEventListener(name, listener));
    }
    const timer = setInterval(presence, 30_000);
    this.#off.push(() => clearInterval(timer));
    dispatchEvent(new Event('mango-chat-opened'));
  }

  get state() {
    return session.client.chats.get(this.chatId);
  }

  leave() {
    const position = this.log.position();
    if (position) positions.set(this.chatId, position);
    else positions.delete(this.chatId);
    for (const off of this.#off) off();
    this.log.leave();
    this.composer.leave();
    this.pinned.leave();
    fill(this.main);
    fill(this.details);
    this.details.hidden = true;
  }

  focus() {
    this.composer.focus();
  }

  /** Opens the chat, or goes to a message of it. */
  async show({ seq }) {
    if (this.#isOpen && !seq) return;
    const isFirst = !this.#isOpen;
    this.#isOpen = true;
    this.head.refresh();
    if (isFirst) {
      const { my } = this.state;
      this.#unreadAfter = my.unread ? my.last_read_seq : null;
      this.composer.open();
      // A phone's keyboard would cover what one came to read.
      if (matchMedia('(hover: hover)').matches) this.composer.focus();
    }
    if (seq) {
      if (isFirst) this.log.showLoading();
      await this.jumpTo(seq);
      navigate(`#/chat/${this.chatId}`, { replace: true });
      return;
    }
    const position = positions.get(this.chatId);
    try {
      if (position) {
        await this.#openAround(position.seq);
        this.log.restore(position);
      } else if (this.#unreadAfter !== null) {
        await this.#openAround(this.#unreadAfter + 1);
        const divider = this.log.list.querySelector('.new');
        if (divider) this.log.showRow(divider, 0.15);
        else this.log.toBottom();
      } else {
        this.timeline.openLatest();
        this.log.isAtBottom = true;
        this.log.drawNow();
      }
    } catch {
      // Without a connection there is what is known.
      this.timeline.openLatest();
      this.log.drawNow();
    }
  }

  async #openAround(seq) {
    const isKnown = this.state.messages.some((it) => it.seq >= seq) && seq > this.state.floor;
    if (!isKnown) this.log.showLoading();
    this.log.isAtBottom = false;
    await this.timeline.openAround(seq);
    this.log.drawNow();
  }

  /** Shows a message, wherever it is in the history. */
  async jumpTo(seq) {
    try {
      if (!this.timeline.items.some((it) => it.seq === seq)) await this.#openAround(seq);
      this.log.drawNow();
      this.log.flash(seq);
    } catch (error) {
      toast(t('cannot_load'));
      if (!this.timeline.items.length) {
        this.timeline.openLatest();
        this.log.drawNow();
      }
      if (!error.code) throw error;
    }
  }

  toNewest() {
    if (!this.timeline.atEnd) this.timeline.openLatest();
    this.log.isAtBottom = true;
    this.log.drawNow();
    this.log.toBottom();
    this.composer.focus();
  }

  /** After the user has sent something: the end is what matters, and nothing is new any more. */
  sent() {
    this.#unreadAfter = null;
    if (!this.timeline.atEnd) this.timeline.openLatest();
    this.log.isAtBottom = true;
    this.log.draw();
  }

  refresh() {
    if (!this.state) return;
    this.head.refresh();
    this.#showTyping();
    this.composer.refresh();
    this.pinned.refresh();
    this.log.draw();
  }

  #timelineChanged(what) {
    if (what === 'open') return;
    this.log.draw();
  }

  #arrived(message) {
    if (message.user.id === session.userId) return;
    // What arrives while nobody looks is new when one comes back.
    if (this.#unreadAfter === null && !isLookedAt())
      this.#unreadAfter = Math.max(this.state.my.last_read_seq, message.seq - 1);
    if (this.log.isAtBottom) this.timeline.trimOld();
    this.live.append(h('p', null, `${nameOf(message.user)}: ${excerptOf(message)}`));
    while (this.live.childElementCount > 5) this.live.firstChild.remove();
  }

  /** Marks as read what has been seen, and shows how much is below. */
  #seen() {
    const { state } = this;
    if (!state || !this.#isOpen) return;
    if (isLookedAt() && this.log.list.knownElements) {
      const seen = this.log.isAtBottom && this.timeline.atEnd ? state.chat.last_seq : this.log.lastSeen();
      if (seen) markRead(state, seen);
    }
    this.log.showDown(state.my.unread);
  }

  #showTyping() {
    if (!this.state) return;
    const typing = typingText(this.state);
    if (this.typing.dataset.shown === (typing ?? '')) return;
    this.typing.dataset.shown = typing ?? '';
    fill(this.typing, typing && [h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), typing]);
  }

  async toggleDetails(section) {
    if (!this.details.hidden && typeof section !== 'string') {
      this.closeDetails();
      return;
    }
    const { Details } = await load(() => import('./details.js'));
    this.details.hidden = false;
    this.head.setDetails(true);
    new Details(this, this.details, { section });
  }

  closeDetails() {
    const hadFocus = this.details.contains(document.activeElement);
    this.details.hidden = true;
    fill(this.details);
    this.head.setDetails(false);
    if (hadFocus) this.head.info.focus();
  }

  /** The first row of a chat's history. */
  startOf(state) {
    const other = otherOf(state);
    return h(
      'div',
      { class: 'chat-start' },
      avatar(pictureOf(state), 'l'),
      h('b', { dir: 'auto' }, titleOf(state)),
      h(
        'p',
        { class: 'muted' },
        other ? t('direct_start', { name: titleOf(state) }) : t('group_start', { date: date(state.chat.created_at) }),
      ),
    );
  }
}
