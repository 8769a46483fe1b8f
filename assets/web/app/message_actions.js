// What one can do with a message: the bar at its edge, its menu, and the keys.
import { fill, h, rove } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { at, load } from '../shared/page.js';
import { confirmDialog } from '../shared/dialog.js';
import { explain, iconButton } from '../shared/form.js';
import { onContextMenu, openFloating, openMenu } from '../shared/menu.js';
import { toast } from '../shared/toast.js';
import { urlOf } from './attachments.js';
import { canManage, canPin, isModerator } from './chat_info.js';
import { discard, retry } from './outgoing.js';
import { session } from './session.js';

const QUICK = ['👍', '❤️', '😂', '😮', '😢', '🥭'];
const failed = (error) => toast(explain(error));

export class MessageActions {
  constructor(conversation) {
    this.conversation = conversation;
    this.bar = h(
      'div',
      { class: 'actions', role: 'group', 'aria-label': t('message_actions') },
      iconButton('smile', t('react'), (event) => this.openReactions(this.#current(event), event.currentTarget), {
        class: 'icon-btn small',
      }),
      iconButton('reply', t('reply'), (event) => this.reply(this.#current(event)), { class: 'icon-btn small' }),
      iconButton('more', t('more'), (event) => this.openMenu(this.#current(event), event.currentTarget), {
        class: 'icon-btn small',
        'aria-haspopup': 'menu',
      }),
    );
  }

  get #client() {
    return session.client;
  }

  #current(event) {
    return event.currentTarget.closest('article').row.message;
  }

  /** Shows the bar on the message under the pointer or with focus, and handles keys. */
  attach(log) {
    const { list } = log;
    const show = (event) => {
      const article = event.target.closest?.('article');
      if (!article?.row || article.row.message.outgoing || article.row.message.deleted_at) return;
      if (this.bar.parentNode !== article && !this.isOpen) article.append(this.bar);
    };
    list.addEventListener('pointerover', (event) => {
      if (event.pointerType === 'mouse') show(event);
    });
    list.addEventListener('focusin', show);
    let active = null;
    list.addEventListener('focusin', (event) => {
      const article = event.target.closest('article');
      if (article === active) return;
      for (const [owner, index] of [
        [active, -1],
        [article, 0],
      ])
        for (const it of owner?.querySelectorAll('a[href], button') ?? []) it.tabIndex = index;
      active = article;
    });
    list.addEventListener('pointerleave', () => {
      if (!this.isOpen && !this.bar.contains(document.activeElement) && !this.bar.closest('article')?.matches(':focus'))
        this.bar.remove();
    });
    rove(list, 'article');
    list.addEventListener('keydown', (event) => {
      const article = event.target.closest('article');
      const message = article?.row?.message;
      if (!message || event.target !== article) return;
      if (message.outgoing) {
        if (event.key === 'Delete' && message.outgoing.error) discard(message.outgoing.clientId);
        if (event.key === 'Enter' && message.outgoing.error) retry(message.outgoing.clientId);
        return;
      }
      if (message.deleted_at || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        Enter: () => this.openMenu(message, article),
        ' ': () => this.openMenu(message, article),
        r: () => this.reply(message),
        e: () => this.#canEdit(message) && this.edit(message),
        Delete: () => this.#canDelete(message) && this.remove(message),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    });
    list.addEventListener('dblclick', (event) => {
      const article = event.target.closest('article');
      if (article?.row && !article.row.message.outgoing && !event.target.closest('button, a, .text, .code-card'))
        this.reply(article.row.message);
    });
    onContextMenu(list, 'article', (article, point) => {
      const { message } = article.row ?? {};
      if (message && !message.deleted_at && !message.outgoing) this.openMenu(message, point);
    });
  }

  #canEdit(message) {
    return (
      message.user.id === session.userId &&
      !message.forwarded_from &&
      (message.content || !message.attachments.length || true)
    );
  }
  #canDelete(message) {
    return message.user.id === session.userId || canManage(this.conversation.state) || isModerator();
  }

  openMenu(message, anchor) {
    const { state } = this.conversation;
    const isOwn = message.user.id === session.userId;
    this.isOpen = true;
    const quick = h(
      'div',
      { class: 'quick', role: 'group', 'aria-label': t('react') },
      QUICK.map((emoji) =>
        h(
          'button',
          {
            type: 'button',
            class: message.my.reactions.includes(emoji) ? 'on' : '',
            tabindex: '-1',
            'aria-label': emoji,
            onclick: () => {
              close();
              this.react(message, emoji);
            },
          },
          emoji,
        ),
      ),
    );
    const lead = anchor instanceof Element ? null : quick;
    const close = openMenu(
      anchor,
      [
        { label: t('reply'), icon: 'reply', key: 'R', run: () => this.reply(message) },
        this.#canEdit(message) && { label: t('edit'), icon: 'edit', key: 'E', run: () => this.edit(message) },
        (message.content || message.attachments.length > 0) && {
          label: t('copy'),
          icon: 'copy',
          run: () => this.copy(message),
        },
        { label: t('forward'), icon: 'forward', run: () => this.forward(message) },
        canPin(state) && {
          label: message.pinned ? t('unpin') : t('pin'),
          icon: 'pin',
          run: () => this.#client.pin(message.id, !message.pinned).then(() => this.conversation.pinned.fetch(), failed),
        },
        { label: t('copy_link'), icon: 'link', run: () => this.copyLink(message) },
        { label: t('message_info'), icon: 'info', run: () => this.info(message) },
        null,
        !isOwn && { label: t('report'), icon: 'flag', run: () => this.report(message) },
        this.#canDelete(message) && {
          label: t('delete'),
          icon: 'trash',
          danger: true,
          run: () => this.remove(message),
        },
      ],
      {
        label: t('message_actions'),
        align: 'end',
        lead,
        onClose: () => {
          this.isOpen = false;
        },
      },
    );
  }

  openReactions(message, anchor) {
    this.isOpen = true;
    const row = h('div', { class: 'menu reactions', role: 'group', 'aria-label': t('react') });
    const pick = (emoji) => {
      close();
      this.react(message, emoji);
    };
    fill(
      row,
      QUICK.map((emoji) =>
        h(
          'button',
          {
            type: 'button',
            class: message.my.reactions.includes(emoji) ? 'on' : '',
            'aria-label': emoji,
            'aria-pressed': String(message.my.reactions.includes(emoji)),
            onclick: () => pick(emoji),
          },
          emoji,
        ),
      ),
      h(
        'button',
        {
          type: 'button',
          class: 'icon-btn',
          'aria-label': t('more_emoji'),
          onclick: () => {
            close();
            this.#pickEmoji(message, anchor);
          },
        },
        icon('plus'),
      ),
    );
    rove(row, 'button', { vertical: false });
    const close = openFloating(row, anchor, {
      align: 'end',
      onClose: () => {
        this.isOpen = false;
      },
    });
    row.querySelector('button').focus();
  }

  async #pickEmoji(message, anchor) {
    const { openEmojiPicker } = await load(() => import('./emoji_picker.js'));
    this.isOpen = true;
    openEmojiPicker(anchor, {
      onPick: (emoji) => this.react(message, emoji),
      onClose: () => {
        this.isOpen = false;
      },
    });
  }

  react(message, emoji) {
    const isOn = !message.my.reactions.includes(emoji);
    this.#client.react(message.id, emoji, isOn).catch(failed);
  }

  async like(message) {
    try {
      const { liked, likes } = await this.#client.like(message.id, !message.my.liked);
      if (this.conversation.timeline.patch(message.id, (it) => ({ likes, my: { ...it.my, liked } })))
        this.conversation.log.draw();
    } catch (error) {
      failed(error);
    }
  }

  reply(message) {
    this.conversation.composer.replyTo(message);
  }
  edit(message) {
    this.conversation.composer.edit(message);
  }

  async copy(message) {
    try {
      await navigator.clipboard.writeText(message.content || message.attachments.map((it) => urlOf(it)).join('\n'));
      toast(t('copied'));
    } catch {
      toast(t('cannot_copy'));
    }
  }

  async copyLink(message) {
    try {
      await navigator.clipboard.writeText(at(`#/chat/${message.chat_id}?at=${message.seq}`));
      toast(t('link_copied'));
    } catch {
      toast(t('cannot_copy'));
    }
  }

  async forward(message) {
    const { pickChat } = await load(() => import('./forward.js'));
    pickChat(message);
  }

  async info(message) {
    const { openMessageInfo } = await load(() => import('./message_info.js'));
    openMessageInfo(this.conversation, message);
  }

  async whoReacted(message) {
    const { openReactors } = await load(() => import('./message_info.js'));
    openReactors(this.conversation, message);
  }

  async report(message) {
    const { openReport } = await load(() => import('./report.js'));
    openReport({ messageId: message.id });
  }

  async remove(message) {
    const isOwn = message.user.id === session.userId;
    if (
      !(await confirmDialog({
        title: t('delete_message_title'),
        text: t(isOwn ? 'delete_message_text' : 'delete_message_text_other'),
        action: t('delete'),
        danger: true,
      }))
    )
      return;
    try {
      const deleted = await this.#client.delete(message.id);
      if (this.conversation.timeline.patch(message.id, () => deleted)) this.conversation.log.draw();
      this.conversation.focus();
    } catch (error) {
      failed(error);
    }
  }

  jumpTo(seq) {
    this.conversation.jumpTo(seq);
  }
  startOf(state) {
    return this.conversation.startOf(state);
  }
  onResize = () => {};

  async openProfile(user) {
    const { openProfile } = await load(() => import('./profile.js'));
    openProfile(user);
  }

  async openViewer(attachment, all) {
    const { openViewer } = await load(() => import('./viewer.js'));
    openViewer(attachment, all);
  }

  async pickDay(day) {
    const { pickDay } = await load(() => import('./chat_search.js'));
    pickDay(this.conversation, day);
  }
}
