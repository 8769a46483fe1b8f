import { Commands, randomId } from './commands.js';
import { Connector } from './connector.js';
import { MangoError } from './errors.js';
import { Listeners } from './listeners.js';
import { CONTACT, Replica } from './replica.js';
import { Requests } from './requests.js';
import { Rest, address } from './rest.js';
import { Sender } from './sender.js';
import { Synchronizer } from './synchronizer.js';
import { cookieTokens } from './tokens.js';

/** The chats of one user, kept up to date over one connection at a time. */
export class MangoChat extends Commands {
  #listeners = new Listeners();
  #replica;
  #synchronizer;
  #connector;
  #requests;
  #sender;
  #watched = null;

  /**
   * @param {object} options
   * @param {string} [options.url] URL of the server; default: the page's own origin.
   * @param {object} [options.socket] Instead of `url`, a socket of socket.io-client, created with `autoConnect: false`.
   * @param {string|GetToken|((why: {refresh: boolean}) => string|Promise<string>)} [options.token] An access token, or a
   *   function that returns one, such as `sessionTokens()`; with `refresh` the last one has expired or is about to. To
   *   give up, it throws an error with the `code` `session_ended`. Without this option, the cookies of a login are used,
   *   or the authentication of the given socket.
   * @param {typeof globalThis.WebSocket} [options.WebSocket] For Node.js before 22: the class of the package `ws`.
   * @param {*} [options.state] The result of an earlier `snapshot()`.
   * @param {OutboxStore} [options.outbox] Keeps unsent messages beyond the life of this object.
   * @param {number} [options.keep] Number of messages kept per chat, the newest; default 1000.
   * @param {number} [options.maxBehind] A chat with more changes than this is fetched again; default `keep`.
   * @param {{min?: number, max?: number}} [options.backoff] Milliseconds between attempts; default 500 to 30000.
   * @param {boolean} [options.tellUnread] Emit `message` for the unread messages of a chat that is seen for the first time.
   * @param {number} [options.timeoutMs] How long to wait for a response before the connection counts as lost,
   *   milliseconds; default 20000.
   * @param {number} [options.aliveMs] After this time without data the server is pinged, milliseconds;
   *   default 30000.
   */
  constructor(options = {}) {
    super();
    const {
      url = '/', socket, WebSocket = globalThis.WebSocket, state, outbox, keep = 1000, maxBehind = keep,
      backoff = {}, tellUnread = false, timeoutMs = 20_000, aliveMs = 30_000,
    } = options;
    // An explicit `token: undefined` is an error, not cookie mode.
    const usesCookies = !('token' in options) && !socket && globalThis.location !== undefined;
    const token = usesCookies ? cookieTokens(url) : options.token;
    const settings = { socket, token, usesCookies, WebSocket, timeoutMs, aliveMs, backoff: { min: 500, max: 30_000, ...backoff } };
    if (!socket) {
      if (!WebSocket) throw new TypeError('there is no WebSocket here: pass the class as an option');
      settings.url = address(url, '/ws');
      settings.url.protocol = settings.url.protocol.replace('http', 'ws');
    }
    const emit = (name, ...data) => this.#listeners.emit(name, ...data);
    this._replica = this.#replica = new Replica({ keep, emit });
    this._rest = new Rest(socket ? null : url, token);
    const onUpToDate = () => this.#connector.setOnline();
    this.#synchronizer = new Synchronizer(this.#replica, emit, { maxBehind, tellUnread, onUpToDate });
    this.#connector = new Connector(settings, {
      emit,
      prepare: () => this.#sender.load(),
      onOpening: () => this.#synchronizer.hold(),
      onReady: (ready) => { this.#setUser(ready.user_id); emit('ready', ready); },
      onOpen: (connection) => this.#resume(connection),
      onEvent: (name, data) => this.#handleEvent(name, data),
      onLost: () => this.#synchronizer.stop(),
      onStop: (why) => this.#end(why),
    });
    this._requests = this.#requests = new Requests(this.#connector, this.#synchronizer, () => this.userId);
    this.#sender = new Sender({
      outbox, connection: () => this.#connector.connection, apply: (ack) => this.#applySent(ack),
      userId: () => this.userId, onError: (error) => emit('error', error),
    });
    if (state?.version === 1) {
      const { outbox: unsent, ...replicaState } = structuredClone(state);
      this.#replica.restore(replicaState);
      for (const entry of unsent) this.#sender.enqueue(entry);
    }
  }

  /** @returns {Status} */
  get status() { return this.#connector.status; }

  /**
   * Calls `listener` for every event of this name.
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...what: Events[Name]) => void} listener
   * @returns {this}
   */
  on(name, listener) {
    this.#listeners.add(name, listener);
    return this;
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(...what: Events[Name]) => void} listener
   * @returns {this}
   */
  off(name, listener) {
    this.#listeners.remove(name, listener);
    return this;
  }

  /**
   * Connects and stays connected until `close`. Resolves when everything is up to date, rejects if the client is dismissed.
   * @returns {Promise<void>}
   */
  connect() {
    return this.#connector.connect();
  }

  /** Ends the connection. Unsent messages are rejected with `closed`; an outbox store keeps them. */
  close() {
    this.#connector.close();
  }

  /** Drops everything that belongs to another user. */
  #setUser(userId) {
    const isSame = this.#replica.setUser(userId);
    this.#sender.keepOnly(userId);
    if (isSame) return;
    this.#watched = null;
    this.#sender.rejectAll(new MangoError({ code: 'closed', message: 'another user has logged in' }));
  }

  #resume(connection) {
    this.#synchronizer.start(connection);
    if (this.#watched) this.watchPresence(this.#watched).catch(() => {});
    this.#sender.resume();
  }

  #end(why) {
    this.#sender.rejectAll(why);
    for (const chat of this.chats.values()) chat.notify(null);
  }

  #handleEvent(name, data) {
    switch (name) {
      case 'typing': this.#replica.setTyping(data); return;
      case 'presence': this.#replica.setPresence(data); return;
      case 'sync_hint':
        if (data.rev > (this.chats.get(data.chat)?.rev ?? 0)) this.#synchronizer.fetch(data.chat);
        return;
      default: if (data?.chat || data?.user || name in CONTACT) this.#synchronizer.take({ name, data });
    }
  }

  /** Applies a send's acknowledgement in place of the event, which the sending connection does not get. */
  #applySent({ message, prev, duplicate }) {
    if (duplicate) return this.#synchronizer.applied(null, { chat: message.chat_id, message, upto: message.rev });
    const data = { ...message, prev, by: this.userId, at: message.created_at };
    return this.#synchronizer.applied('new_message', data);
  }

  /**
   * Sends any command; resolves with its response. Rejects with `connection_lost` if the response was lost.
   * @template {keyof ClientEvents} Name
   * @param {Name} event
   * @param {ClientEvents[Name]['payload']} payload
   * @returns {Promise<ClientEvents[Name]['ack']>}
   */
  call(event, payload = {}) {
    return this.#requests.send(event, payload, false);
  }

  /**
   * Sends a message now, or after a reconnect: in the order of calls, exactly once.
   * @param {number} chatId
   * @param {string} content
   * @param {{messageType?: string, replyTo?: ?number, attachments?: number[], clientId?: string}} [options]
   * @returns {Promise<Message>}
   */
  send(chatId, content, { messageType = 'text', replyTo = null, attachments = [], clientId = randomId() } = {}) {
    return this.#sender.send({ clientId, chatId, content, messageType, replyTo, attachments });
  }

  /**
   * @param {number} [chatId]
   * @returns {OutboxEntry[]} Unsent messages, of one chat or of all.
   */
  pending(chatId) {
    return this.#sender.pending(chatId);
  }

  /**
   * @param {number} messageId
   * @param {string} content
   * @returns {Promise<Message>}
   */
  async edit(messageId, content) {
    const toEvent = ({ message }, position) => position && ['message_edited', { ...position, message }];
    return (await this.#requests.change('edit_message', { message: { id: messageId, content } }, toEvent)).message;
  }

  /**
   * @param {number} messageId
   * @returns {Promise<Message>} The deleted message.
   */
  async delete(messageId) {
    const toEvent = ({ message }, position) => position && ['message_deleted', { ...position, message }];
    return (await this.#requests.change('delete_message', { message: { id: messageId } }, toEvent)).message;
  }

  /**
   * @param {number} messageId
   * @param {boolean} [liked]
   * @returns {Promise<{liked: boolean, likes: number}>}
   */
  async like(messageId, liked = true) {
    const toEvent = (ack, position) => position && ['message_liked', { ...ack, ...position, message_id: messageId }];
    const ack = await this.#requests.change('toggle_like_message', { message: { id: messageId, liked } }, toEvent);
    return { liked: ack.liked, likes: ack.likes };
  }

  /**
   * Marks messages up to `seq` as read; default: up to the newest known message.
   * @param {number} chatId
   * @param {number} [seq]
   * @returns {Promise<{unread: number, seq: number}>}
   */
  async markRead(chatId, seq = this.chats.get(chatId)?.messages.at(-1)?.seq) {
    return this.#requests.send('mark_read', { chat: { id: chatId }, seq });
  }

  /**
   * Tells the server that the user is typing, or has stopped. Without a connection nothing is sent.
   * @param {number} chatId
   * @param {boolean} [isTyping]
   */
  typing(chatId, isTyping = true) {
    this.#connector.connection?.tell('typing', { chat: { id: chatId }, is_typing: isTyping });
  }

  /**
   * Creates a group, or without a `name` a direct chat; the direct chat of two users exists once.
   * @param {{name?: string, members: number[], description?: string, clientId?: string}} chat
   * @param {string} [content] The first message.
   * @returns {Promise<ChatState>}
   */
  async createChat({ name, members, description, clientId = randomId() }, content = undefined) {
    const chat = { name, is_group: name !== undefined, members_array: members, description, client_id: clientId };
    const message = content === undefined ? undefined : { content, message_type: 'text', client_id: clientId };
    const ack = await this.#requests.change('create_chat', { chat, message }, ({ chat: created }, position) => {
      if (!position) return [null, { chat: created.id, upto: 1 }];
      if (position.prev === 0) return ['chat_created', { ...position, details: created }];
      return ['new_message', { ...created.last_message, ...position }];
    });
    return this.chats.get(ack.chat.id);
  }

  /**
   * Returns a page of messages, oldest first. A page that is adjacent to the known messages of the chat is added to them.
   * @param {number} chatId
   * @param {{before?: number, after?: number, around?: number, date?: string, limit?: number}} [range] One `seq`, or a
   *   time; `before` and `after` are exclusive. A page `around` a message, or the first one not older than `date`, is not
   *   added to the chat's `messages`.
   * @returns {Promise<{messages: Message[], hasMore: boolean}>}
   */
  async history(chatId, { before, after, around, date, limit } = {}) {
    const ack = await this.#requests.send('history', { chat: { id: chatId }, before, after, around, date, limit });
    const messages = ack.messages.sort((a, b) => a.seq - b.seq);
    if (around === undefined && date === undefined) this.chats.get(chatId)?.mergePage(messages, { before, after, hasMore: ack.has_more });
    return { messages, hasMore: ack.has_more };
  }

  /**
   * Watches which of these users are online, instead of those watched before. Resolves with their current presence.
   * @param {number[]} userIds
   * @returns {Promise<Map<number, {online: boolean, last_seen_at: ?string}>>}
   */
  async watchPresence(userIds) {
    this.#watched = userIds;
    const { presence } = await this.#requests.send('watch_presence', { users: userIds });
    this.presence.clear();
    presence.forEach((entry) => this.#replica.setPresence(entry));
    return this.presence;
  }

  /**
   * Everything known, as plain data for the option `state` of a later client.
   * @returns {object}
   */
  snapshot() {
    return structuredClone({ version: 1, ...this.#replica.snapshot(), outbox: this.pending() });
  }
}
