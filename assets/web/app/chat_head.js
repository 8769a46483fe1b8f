// The head of a conversation: picture, name, who is online, and its buttons.
import { attr, fill, h, text } from '../shared/dom.js';
import { t } from '../shared/i18n.js';
import { load } from '../shared/page.js';
import { iconButton } from '../shared/form.js';
import { goBack } from '../shared/router.js';
import { avatar } from '../shared/avatar.js';
import { ago } from '../shared/time.js';
import { isMuted, isOnline, otherOf, pictureOf, presenceText, titleOf } from './chat_info.js';
import { session } from './session.js';

export class ChatHead {
  constructor(conversation) {
    this.conversation = conversation;
    this.title = h('h1', { class: 'cut', dir: 'auto' });
    this.status = h('div', { class: 'status cut' });
    this.picture = h('span');
    const toggle = () => conversation.toggleDetails();
    this.info = iconButton('info', t('details'), toggle, { 'aria-pressed': 'false', class: 'icon-btn details-button' });
    this.element = h(
      'header',
      { class: 'chat-head' },
      !conversation.isSingle && iconButton('back', t('back'), () => goBack('#/'), { class: 'icon-btn back' }),
      h('button', { type: 'button', class: 'about', 'aria-label': t('chat_details'), onclick: toggle }, this.picture),
      h('div', { class: 'grow titles', onclick: toggle }, this.title, this.status),
      iconButton('search', t('search_in_chat'), () => this.#search()),
      this.info,
      iconButton('more', t('chat_menu'), (event) => this.#menu(event.currentTarget), { 'aria-haspopup': 'menu' }),
    );
  }

  /** Shows whether the details are open. */
  setDetails(isOpen) {
    attr(this.info, 'aria-pressed', String(isOpen));
  }

  refresh() {
    const { state } = this.conversation;
    if (!state) return;
    const title = titleOf(state);
    const picture = pictureOf(state);
    text(this.title, title);
    const key = `${picture.photo} ${title} ${isOnline(state)}`;
    if (this.picture.dataset.shown !== key) {
      this.picture.dataset.shown = key;
      fill(this.picture, avatar(picture, 'm', { online: isOnline(state) }));
    }
    text(this.status, [this.#presence(state), isMuted(state) && t('muted')].filter(Boolean).join(' · '));
    this.status.classList.toggle('is-online', isOnline(state));
  }

  #presence(state) {
    const other = otherOf(state);
    if (other) return other.deleted ? '' : presenceText(other, ago);
    const count = t('members_n', { n: state.chat.member_count });
    const online = state.chat.members.filter(({ user }) => session.client.presence.get(user.id)?.online).length + 1;
    return online > 1 ? `${count}, ${t('online_n', { n: online })}` : count;
  }

  async #search() {
    const { openChatSearch } = await load(() => import('./chat_search.js'));
    openChatSearch(this.conversation);
  }

  async #menu(anchor) {
    const { openChatMenu } = await load(() => import('./chat_menu.js'));
    openChatMenu(this.conversation.state, anchor, { align: 'end', conversation: this.conversation });
  }
}
