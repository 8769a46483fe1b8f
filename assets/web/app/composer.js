// Where one writes: text, replies, edits, files, emoji and mentions.
import { fill, h, text } from '../shared/dom.js';
import { icon } from '../shared/icons.js';
import { t } from '../shared/i18n.js';
import { load } from '../shared/page.js';
import { explain, iconButton } from '../shared/form.js';
import { isMenuOpen } from '../shared/menu.js';
import { preference } from '../shared/preferences.js';
import { duration } from '../shared/time.js';
import { toast } from '../shared/toast.js';
import { nameOf } from '../shared/avatar.js';
import { Completion } from './completion.js';
import { acceptDrops } from './file_drop.js';
import { FileTray } from './file_tray.js';
import { excerptOf } from './chat_info.js';
import { barrierOf } from './barriers.js';
import { draftOf, dropDraft, keepDraft, onDrafts } from './drafts.js';
import { sendMessage } from './outgoing.js';
import { session } from './session.js';
import { TextType } from './text_type.js';

const TYPING_EVERY_MS = 3000;
/** A message may have at most so many files. */
const MOST_FILES = 10;

export class Composer {
  #left = new AbortController();
  #reply = null;
  #editing = null;
  #typingAt = 0;
  #barrier = '';
  #before = '';
  /** The draft as last shown: a text that differs was written here. */
  #known = '';

  constructor(conversation) {
    this.conversation = conversation;
    this.input = h('textarea', {
      class: 'message-input',
      rows: '1',
      'aria-label': t('message'),
      placeholder: t('message'),
      dir: 'auto',
      enterkeyhint: 'send',
      autocomplete: 'off',
    });
    this.files = h('input', {
      type: 'file',
      multiple: true,
      class: 'vh',
      tabindex: '-1',
      'aria-hidden': 'true',
      onchange: () => {
        this.addFiles(this.files.files);
        this.files.value = '';
      },
    });
    this.context = h('div', { class: 'context', hidden: true });
    this.tray = new FileTray(() => this.#changed(false));
    this.type = new TextType(this.input, () => this.focus());
    this.sendButton = h(
      'button',
      { type: 'button', class: 'send', 'aria-label': t('send'), title: t('send') },
      icon('send'),
    );
    this.attach = iconButton('clip', t('attach'), () => this.files.click());
    this.emoji = iconButton('smile', t('emoji'), (event) => this.#openEmoji(event.currentTarget), {
      'aria-haspopup': 'dialog',
    });
    this.completion = new Completion(
      this.input,
      () => conversation.state,
      () => this.#changed(),
    );
    this.box = h(
      'div',
      { class: 'composer-box' },
      this.attach,
      this.input,
      this.type.button,
      this.emoji,
      this.sendButton,
    );
    this.form = h(
      'div',
      { class: 'composer-form' },
      this.context,
      this.tray.element,
      this.completion.list,
      this.box,
      this.files,
    );
    this.barrier = h('div', { class: 'barrier', hidden: true });
    this.hint = h('p', { class: 'slow small muted', hidden: true });
    this.element = h('div', { class: 'composer' }, this.barrier, this.form, this.hint);
    this.#listen();
    this.offDrafts = onDrafts((chatId) => {
      if (chatId === conversation.chatId) this.#takeOver();
    });
  }

  #listen() {
    const { input } = this;
    input.addEventListener('input', () => this.#changed());
    input.addEventListener('keydown', (event) => this.#key(event));
    input.addEventListener('paste', (event) => {
      const { files, types } = event.clipboardData;
      // A spreadsheet copies its cells as text and as a picture; the text is meant.
      if (!files.length || types.includes('text/plain')) return;
      event.preventDefault();
      this.addFiles(files);
    });
    this.sendButton.addEventListener('click', () => {
      this.send();
      input.focus();
    });
    // Buttons beside the text leave the focus, and a phone's keyboard, where they are.
    for (const button of [this.sendButton, this.type.button])
      button.addEventListener('pointerdown', (event) => {
        if (document.activeElement === input) event.preventDefault();
      });
    this.element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !event.defaultPrevented) this.#escape(event);
    });
  }

  /** Files may be dropped anywhere on the conversation. */
  acceptDrops(area, overlay) {
    acceptDrops(area, overlay, {
      signal: this.#left.signal,
      isOpen: () => !this.form.hidden,
      onFiles: (files) => this.addFiles(files),
    });
  }

  open() {
    const draft = draftOf(this.conversation.state);
    this.input.value = this.#known = draft?.content ?? '';
    this.#reply = this.#findReply(draft?.reply_to);
    this.#showContext();
    this.refresh();
    this.#grow();
  }

  leave() {
    this.#stopTyping();
    this.#left.abort();
    this.offDrafts();
    this.completion.close();
  }

  focus() {
    if (!this.form.hidden) this.input.focus({ preventScroll: true });
    else this.barrier.querySelector('button')?.focus();
  }

  /** Shows what prevents writing, if anything does, and a draft of another device. */
  refresh() {
    this.#takeOver();
    const { chat, my } = this.conversation.state;
    this.hint.hidden = !(chat.is_group && chat.slow_mode_secs && my.role === 'member');
    if (!this.hint.hidden) text(this.hint, t('slow_mode_note', { time: duration(chat.slow_mode_secs) }));
    const barrier = barrierOf(this.conversation.state);
    const key = barrier?.key ?? '';
    if (key === this.#barrier) return;
    this.#barrier = key;
    this.form.hidden = Boolean(barrier) && barrier.isClosed;
    this.barrier.hidden = !barrier;
    fill(this.barrier, barrier?.content());
  }

  #findReply(id) {
    if (!id) return null;
    const found = this.conversation.timeline.find(id) ?? this.conversation.state.messages.find((it) => it.id === id);
    return found ?? null;
  }

  /** Another device or tab has saved a draft; what was written here since stays. */
  #takeOver() {
    if (this.#editing || !this.conversation.state) return;
    const draft = draftOf(this.conversation.state);
    const content = draft?.content ?? '';
    if (this.input.value === content) {
      this.#known = content;
      return;
    }
    if (this.input.value !== this.#known) return;
    this.input.value = this.#known = content;
    this.#reply = this.#findReply(draft?.reply_to);
    this.#showContext();
    this.#grow();
  }

  #key(event) {
    // An input method uses Enter, Escape and arrows itself; 229 is what some browsers report instead.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.completion.key(event)) return;
    const isCommand = event.ctrlKey || event.metaKey;
    if (event.key === 'Enter') {
      const sends =
        isCommand ||
        (preference('enter') === 'send' &&
          !event.shiftKey &&
          !event.altKey &&
          !matchMedia('(hover: none) and (pointer: coarse)').matches);
      if (!sends) return;
      event.preventDefault();
      if (!event.repeat) this.send();
    } else if (event.key === 'ArrowUp' && !this.input.value && !event.shiftKey && !isCommand && !this.#editing) {
      const own = this.conversation.timeline.items.findLast(
        (it) => it.user.id === session.userId && !it.deleted_at && !it.forwarded_from && it.content,
      );
      if (!own || !this.conversation.timeline.atEnd) return;
      event.preventDefault();
      this.edit(own);
    }
  }

  /** Closes one thing: the edit, then the reply, then the files. */
  #escape(event) {
    if (this.#editing) this.#endEdit();
    else if (this.#reply) {
      this.#reply = null;
      this.#showContext();
      this.#keep();
    } else if (this.tray.files.length) this.tray.clear();
    else return;
    event.preventDefault();
    this.focus();
  }

  #changed(isTyped = true) {
    this.#grow();
    if (isTyped) this.completion.update();
    if (this.#editing) return;
    // At once: the page may be left at any moment.
    this.#keep();
    const { value } = this.input;
    if (!value.trim()) this.#stopTyping();
    else if (Date.now() - this.#typingAt > TYPING_EVERY_MS) {
      this.#typingAt = Date.now();
      session.client.typing(this.conversation.chatId);
    }
  }

  #stopTyping() {
    if (!this.#typingAt) return;
    this.#typingAt = 0;
    session.client.typing(this.conversation.chatId, false);
  }

  #keep() {
    if (!this.#editing && this.conversation.state)
      keepDraft(this.conversation.chatId, this.input.value, this.#reply?.id ?? null);
  }

  #grow() {
    const { input } = this;
    input.style.setProperty('height', 'auto');
    input.style.setProperty('height', `${Math.min(input.scrollHeight, innerHeight * 0.4)}px`);
    this.sendButton.classList.toggle('is-ready', Boolean(input.value.trim() || this.tray.files.length));
  }

  replyTo(message) {
    if (this.#editing) this.#endEdit();
    this.#reply = message;
    this.#showContext();
    this.#keep();
    this.focus();
  }

  edit(message) {
    if (!this.#editing) this.#before = this.input.value;
    this.#editing = message;
    this.input.value = message.content;
    this.#showContext();
    this.#grow();
    this.focus();
    this.input.setSelectionRange(this.input.value.length, this.input.value.length);
  }

  #endEdit() {
    this.#editing = null;
    this.input.value = this.#before;
    this.#before = '';
    this.#showContext();
    this.#grow();
  }

  #showContext() {
    const message = this.#editing ?? this.#reply;
    this.context.hidden = !message;
    fill(this.sendButton, icon(this.#editing ? 'check' : 'send'));
    if (!message) {
      fill(this.context);
      return;
    }
    const isEdit = Boolean(this.#editing);
    fill(
      this.context,
      icon(isEdit ? 'edit' : 'reply', 's'),
      h(
        'div',
        { class: 'grow' },
        h('b', null, isEdit ? t('edit_message') : t('replying_to', { name: nameOf(message.user) })),
        h('span', { class: 'cut muted', dir: 'auto' }, excerptOf(message)),
      ),
      iconButton('close', isEdit ? t('cancel_edit') : t('cancel_reply'), () => {
        if (isEdit) this.#endEdit();
        else {
          this.#reply = null;
          this.#showContext();
          this.#keep();
        }
        this.focus();
      }),
    );
  }

  addFiles(files) {
    if (this.#editing) this.#endEdit();
    // The list may be cleared while it is read; its order is kept.
    const list = [...files];
    const room = MOST_FILES - this.tray.files.length;
    if (list.length > room) toast(t('too_many_files', { n: MOST_FILES }));
    this.tray.add(list.slice(0, room));
    this.focus();
  }

  send() {
    const content = this.input.value;
    if (this.#editing) {
      this.#saveEdit(content);
      return;
    }
    const files = this.tray.files;
    if (!content.trim() && !files.length) return;
    const { chatId } = this.conversation;
    const message = {
      content: content.trim() ? content : '',
      replyTo: this.#reply?.id ?? null,
      messageType: this.type.of(content, files),
      files,
    };
    // Empty at once: a second Enter or click finds nothing to send.
    this.input.value = this.#known = '';
    this.#reply = null;
    this.tray.clear({ isSent: true });
    this.type.set('text');
    this.#showContext();
    this.#grow();
    this.completion.close();
    this.#stopTyping();
    dropDraft(chatId);
    sendMessage(chatId, message);
    this.conversation.sent();
  }

  async #saveEdit(content) {
    const message = this.#editing;
    if (!content.trim() && !message.attachments.length) {
      toast(t('empty_edit'));
      return;
    }
    // It would be lost with the page: an edit is kept nowhere until the server has it.
    if (content !== message.content && session.client.status !== 'online') {
      toast(t('edit_needs_connection'));
      return;
    }
    this.#endEdit();
    if (content === message.content) return;
    try {
      const edited = await session.client.edit(message.id, content);
      if (this.conversation.timeline.patch(message.id, () => edited)) this.conversation.log.draw();
    } catch (error) {
      toast(explain(error));
      this.edit({ ...message, content });
    }
  }

  async #openEmoji(anchor) {
    const { openEmojiPicker } = await load(() => import('./emoji_picker.js'));
    openEmojiPicker(anchor, {
      keepOpen: true,
      onPick: (emoji) => this.insert(emoji),
      onClose: () => {
        if (!isMenuOpen()) this.focus();
      },
    });
  }

  insert(what) {
    const { input } = this;
    input.setRangeText(what, input.selectionStart, input.selectionEnd, 'end');
    this.#changed(false);
  }
}
