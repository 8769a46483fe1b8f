/** A new `client_id`. */
export const randomId = () =>
  Array.from(globalThis.crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The commands of a client that need nothing but its requests, and what it knows. */
export class Commands {
  /** @internal */
  _replica;
  /** @internal */
  _requests;
  /** @internal */
  _rest;

  /** @returns {Map<number, ChatState>} The user's chats, by id. */
  get chats() { return this._replica.chats; }

  /** @returns {Map<number, {online: boolean, last_seen_at: ?string}>} Presence of the watched users, by id. */
  get presence() { return this._replica.presence; }

  /** @returns {Map<number, {following: boolean, blocked: boolean}>} Users whom the user follows or blocks, by id. */
  get contacts() { return this._replica.contacts; }

  /** @returns {?number} The user's own id. */
  get userId() { return this._replica.userId; }

  /**
   * Uploads a file for a message to a chat; send its `id` in `attachments`.
   * @param {number} chatId
   * @param {Blob} file
   * @param {{name?: string, asFile?: boolean, timeoutMs?: number, onProgress?: (share: number) => void,
   *   signal?: AbortSignal}} [options] With `asFile` a picture is stored as it is. `onProgress` gets the sent share, 0 to 1;
   *   in a browser as it grows. `signal` cancels: the promise is rejected with `closed`.
   * @returns {Promise<Attachment>}
   */
  upload(chatId, file, { name, asFile = false, timeoutMs = 300_000, onProgress, signal } = {}) {
    const form = new FormData();
    form.append('file', file, name ?? /** @type {File} */ (file).name ?? '');
    return this._rest.upload(`/chat/${chatId}/attachment?as_file=${asFile}`, form, { timeoutMs, onProgress, signal });
  }

  /**
   * Sends a REST request with the token of the connection; resolves with the JSON or text of the response.
   * @param {string} method
   * @param {string} path Such as `/user/me`.
   * @param {object} [body] Sent as JSON.
   * @param {{form?: FormData, signal?: AbortSignal}} [options] A form instead of `body`.
   * @returns {Promise<any>}
   */
  async rest(method, path, body, { form, signal } = {}) {
    const init = { ...(form && { form }), ...(signal && { signal }) };
    return (await this._rest.send(method, path, body, init)).data;
  }

  /**
   * Fetches a page of a list over REST.
   * @param {string} path Such as `/user?query=bob`, or `next` of the page before.
   * @returns {Promise<{items: object[], next: ?string}>}
   */
  list(path) {
    return this._rest.list(path);
  }

  /**
   * Reacts to a message with an emoji, or removes the reaction.
   * @param {number} messageId
   * @param {string} emoji
   * @param {boolean} [on]
   * @returns {Promise<Reaction[]>} The message's reactions.
   */
  async react(messageId, emoji, on = true) {
    const toEvent = (ack, position) => position && ['message_reacted', { ...ack, ...position, message_id: messageId }];
    const ack = await this._requests.change('toggle_reaction', { message: { id: messageId, emoji }, on }, toEvent);
    return ack.reactions;
  }

  /**
   * Pins or unpins a message for all members of its chat.
   * @param {number} messageId
   * @param {boolean} [pinned]
   * @returns {Promise<void>}
   */
  async pin(messageId, pinned = true) {
    const toEvent = (_, position) => position && [null, { chat: position.chat, upto: position.rev }];
    await this._requests.change('toggle_message_pin', { message: { id: messageId, pinned } }, toEvent);
  }

  /**
   * Sends a copy of a message to another chat.
   * @param {number} messageId
   * @param {number} chatId
   * @param {{clientId?: string}} [options]
   * @returns {Promise<Message>} The copy.
   */
  async forward(messageId, chatId, { clientId = randomId() } = {}) {
    const payload = { message: { id: messageId, client_id: clientId }, chat: { id: chatId } };
    const toEvent = ({ message, duplicate }, position) => {
      if (!position || duplicate) return [null, { chat: chatId, message, upto: message.rev }];
      return ['new_message', { ...message, prev: position.prev, by: this.userId, at: message.created_at }];
    };
    return (await this._requests.change('forward_message', payload, toEvent)).message;
  }

  /**
   * Saves what the user has begun to write, for all of their devices; an empty text removes it.
   * @param {number} chatId
   * @param {string} content
   * @param {{replyTo?: ?number}} [options]
   * @returns {Promise<?SavedDraft>}
   */
  async saveDraft(chatId, content, { replyTo = null } = {}) {
    const payload = { chat: { id: chatId }, content, reply_to: replyTo };
    return (await this._requests.send('save_draft', payload)).draft;
  }

  /**
   * Reports a message or a user to the moderators.
   * @param {{messageId?: number, userId?: number}} subject one of them
   * @param {string} reason
   * @returns {Promise<Report>}
   */
  async report({ messageId, userId }, reason) {
    const message = messageId === undefined ? undefined : { id: messageId };
    const user = userId === undefined ? undefined : { id: userId };
    return (await this._requests.send('report', { message, user, reason })).report;
  }

  /**
   * Creates an invite link of a group.
   * @param {number} chatId
   * @param {{expiresInSecs?: number, maxUses?: number, approval?: boolean}} [options]
   * @returns {Promise<Invite>}
   */
  async createInvite(chatId, { expiresInSecs, maxUses, approval = false } = {}) {
    const body = { expires_in_secs: expiresInSecs, max_uses: maxUses, approval };
    return (await this._rest.send('POST', `/chat/${chatId}/invite`, body)).data;
  }

  /**
   * @param {number} chatId
   * @param {number} inviteId
   */
  async revokeInvite(chatId, inviteId) {
    await this._rest.send('DELETE', `/chat/${chatId}/invite/${inviteId}`);
  }

  /**
   * Shows the group that an invite link leads to.
   * @param {string} token
   * @returns {Promise<InvitePreview>}
   */
  async previewInvite(token) {
    return (await this._rest.send('GET', `/invite/${encodeURIComponent(token)}`)).data;
  }

  /**
   * Joins a group by an invite link; resolves with null if the group's admins have to approve first.
   * @param {string} token
   * @returns {Promise<?ChatState>}
   */
  async acceptInvite(token) {
    const toEvent = ({ chat }) => chat && [null, { chat: chat.id, upto: chat.rev }];
    const { chat } = await this._requests.change('accept_invite', { invite: { token } }, toEvent);
    return chat ? this.chats.get(chat.id) ?? null : null;
  }

  /**
   * Lets a user join who has asked for it, or declines.
   * @param {number} chatId
   * @param {number} userId
   * @param {boolean} [approve]
   */
  async answerJoinRequest(chatId, userId, approve = true) {
    await this._requests.send(approve ? 'approve_join' : 'decline_join', { chat: { id: chatId }, user: { id: userId } });
  }

  /**
   * Bans a user from a group; a member is removed.
   * @param {number} chatId
   * @param {number} userId
   * @param {{reason?: string, seconds?: number}} [options] Without `seconds` the ban has no end.
   * @returns {Promise<ChatBan>}
   */
  async ban(chatId, userId, { reason, seconds } = {}) {
    const payload = { chat: { id: chatId }, user: { id: userId }, reason, seconds };
    return (await this._requests.send('ban_member', payload)).ban;
  }

  /**
   * @param {number} chatId
   * @param {number} userId
   */
  async unban(chatId, userId) {
    await this._requests.send('unban_member', { chat: { id: chatId }, user: { id: userId } });
  }

  /**
   * A page of what belongs to a group, for its owner and admins.
   * @param {number} chatId
   * @param {'invite'|'join_request'|'ban'} what
   * @param {{next?: string, limit?: number}} [options] `next` of the page before.
   * @returns {Promise<{items: object[], next: ?string}>}
   */
  ofChat(chatId, what, { next, limit = 50 } = {}) {
    return this._rest.list(next ?? `/chat/${chatId}/${what}?limit=${limit}`);
  }

  /**
   * A page of the users who like a message, of its reactions, of the members who have read it, or of its earlier versions.
   * @param {number} messageId
   * @param {'likes'|'reactions'|'reads'|'edits'} what
   * @param {{next?: string, limit?: number}} [options] `next` of the page before.
   * @returns {Promise<{items: object[], next: ?string}>}
   */
  about(messageId, what, { next, limit = 50 } = {}) {
    return this._rest.list(next ?? `/message/${messageId}/${what}?limit=${limit}`);
  }

  /**
   * A message's content as HTML that is safe to insert into a page.
   * @param {number} messageId
   * @returns {Promise<string>}
   */
  async rendered(messageId) {
    return (await this._rest.send('GET', `/message/${messageId}/rendered`)).data;
  }

  /**
   * A page of the messages that contain all words, best first. Each result has the `message`, a `snippet` of parts
   * `{text, hit}`, which is plain text, and a `rank` from 0 to 1.
   * @param {string} q The words; there are no operators.
   * @param {{chatId?: number, author?: number, type?: string, from?: string, to?: string, prefix?: boolean,
   *   sort?: 'rank'|'date', next?: string, limit?: number}} [options] `from` and `to` are times or dates; `prefix` says
   *   that the last word is still being typed; `next` of the page before.
   * @returns {Promise<{items: {message: Message, snippet: {text: string, hit: boolean}[], rank: number}[], next: ?string}>}
   */
  search(q, { chatId, next, ...options } = {}) {
    const query = new URLSearchParams({ q });
    for (const [name, value] of Object.entries(options)) if (value !== undefined) query.set(name, value);
    return this._rest.list(next ?? `${chatId === undefined ? '' : `/chat/${chatId}`}/search?${query}`);
  }

  /**
   * A page of the pinned messages of a chat, latest pin first.
   * @param {number} chatId
   * @param {{next?: string, limit?: number}} [options] `next` of the page before.
   * @returns {Promise<{items: Message[], next: ?string}>}
   */
  pinnedMessages(chatId, { next, limit = 50 } = {}) {
    return this._rest.list(next ?? `/chat/${chatId}/pinned_messages?limit=${limit}`);
  }
}
