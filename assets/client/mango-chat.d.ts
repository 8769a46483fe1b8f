// Made by tests/clients/make_types.mjs; do not edit.
export type Author = import('./events.js').Author;
export type MyMessage = import('./events.js').MyMessage;
export type Message = import('./events.js').Message & {
    my: MyMessage;
};
export type Member = import('./events.js').Member;
export type MyChat = import('./events.js').MyChat;
export type Chat = Omit<import('./events.js').Chat, 'my'>;
export type ClientEvents = import('./events.js').ClientEvents;
export type ServerEvents = import('./events.js').ServerEvents;
export type Change = {
    type: string;
    chat: ChatState;
    message?: Message;
    data?: object;
    synced: boolean;
};
export type OutboxEntry = {
    clientId: string;
    chatId: number;
    content: string;
    messageType: string;
    replyTo: number | null;
};
export type OutboxStore = {
    load(): OutboxEntry[] | Promise<OutboxEntry[]>;
    save(entry: OutboxEntry): void;
    remove(clientId: string): void;
};
export type Status = 'closed' | 'connecting' | 'syncing' | 'online' | 'waiting' | 'dismissed';
export type OwnEvents = {
    status: [Status];
    synced: [{
        full: boolean;
    }];
    message: [Message, ChatState];
    change: [Change];
    chat: [ChatState];
    gone: [{
        chatId: number;
        reason: string;
        chat: ChatState;
    }];
    error: [MangoError];
    contacts_truncated: [{}];
};
export type Events = OwnEvents & {
    [Name in keyof ServerEvents]: [ServerEvents[Name]];
};
export type TokenPair = {
    access_token: string;
    refresh_token: string;
    expires_in: number;
};
export type TokenStorage = {
    getItem(key: string): (string | null) | Promise<string | null>;
    setItem(key: string, value: string): any;
    removeItem(key: string): any;
};
export type GetToken = (why?: {
    refresh?: boolean;
}) => Promise<string>;
/** Why something failed. `code` is the server's error code, or `connection_lost`, `unreachable`, `closed`. */
export declare class MangoError extends Error {
    code: string;
    errors: Record<string, string[]>;
    retryAfterMs: number | undefined;
    /** @param {{code: string, message?: string, errors?: Object<string, string[]>, retry_after_ms?: number}} error */
    constructor({ code, message, errors, retry_after_ms }: {
        code: string;
        message?: string;
        errors?: Record<string, string[]>;
        retry_after_ms?: number;
    });
}
/**
 * The tokens of one session, in a storage that all tabs share; one tab at a time refreshes them. Pass it as the option
 * `token` of `MangoChat`; call it to get an access token for a REST request.
 * @param {object} [options]
 * @param {string} [options.url] URL of the server; default: the page's own origin.
 * @param {TokenStorage} [options.storage] Default: `localStorage`, or memory if there is none.
 * @param {string} [options.key] Name of the item in the storage.
 * @returns {GetToken & {
 *   login(credentials: {username: string, password: string}): Promise<void>,
 *   save(pair: TokenPair): Promise<void>,
 *   logout(): Promise<void>,
 *   isLoggedIn(): Promise<boolean>,
 * }}
 */
export declare function sessionTokens({ url, storage, key }?: {
    url?: string;
    storage?: TokenStorage;
    key?: string;
}): GetToken & {
    login(credentials: {
        username: string;
        password: string;
    }): Promise<void>;
    save(pair: TokenPair): Promise<void>;
    logout(): Promise<void>;
    isLoggedIn(): Promise<boolean>;
};
/** The local copy of a chat. Read it, do not change it. */
export declare class ChatState {
    #private;
    /** @type {Chat} As `GET /chat/{id}` returns it, without `my`. */
    chat: Chat;
    /** @type {MyChat} */
    my: MyChat;
    /** The value of the chat's counter up to which everything is known. */
    rev: number;
    /** @type {Message[]} The newest messages in the order of `seq`, without a gap. */
    messages: Message[];
    /** @type {Map<number, *>} Who is typing, by user id. */
    typing: Map<number, any>;
    /** All messages with a higher `seq` are in `messages`. */
    floor: number;
    get id(): number;
    /**
     * The changes of this chat from now on. Ends when the chat is gone or the client is closed.
     * @returns {AsyncGenerator<Change>}
     */
    events(): AsyncGenerator<Change>;
}
/** The chats of one user, kept up to date over one connection at a time. */
export declare class MangoChat {
    #private;
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
     * @param {number} [options.aliveMs] After this time without data the server is asked for a sign of life, milliseconds;
     *   default 30000.
     */
    constructor(options?: {
        url?: string;
        socket?: object;
        token?: string | GetToken | ((why: {
            refresh: boolean;
        }) => string | Promise<string>);
        WebSocket?: typeof globalThis.WebSocket;
        state?: any;
        outbox?: OutboxStore;
        keep?: number;
        maxBehind?: number;
        backoff?: {
            min?: number;
            max?: number;
        };
        tellUnread?: boolean;
        timeoutMs?: number;
        aliveMs?: number;
    });
    /** @returns {Map<number, ChatState>} The user's chats, by id. */
    get chats(): Map<number, ChatState>;
    /** @returns {Map<number, {online: boolean, last_seen_at: ?string}>} Presence of the watched users, by id. */
    get presence(): Map<number, {
        online: boolean;
        last_seen_at: string | null;
    }>;
    /** @returns {Map<number, {following: boolean, blocked: boolean}>} Users whom the user follows or blocks, by id. */
    get contacts(): Map<number, {
        following: boolean;
        blocked: boolean;
    }>;
    /** @returns {?number} The user's own id. */
    get userId(): number | null;
    /** @returns {Status} */
    get status(): Status;
    /**
     * Calls `listener` for every event of this name.
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(...what: Events[Name]) => void} listener
     * @returns {this}
     */
    on<Name extends keyof Events>(name: Name, listener: (...what: Events[Name]) => void): this;
    /**
     * @template {keyof Events} Name
     * @param {Name} name
     * @param {(...what: Events[Name]) => void} listener
     * @returns {this}
     */
    off<Name extends keyof Events>(name: Name, listener: (...what: Events[Name]) => void): this;
    /**
     * Connects and stays connected until `close`. Resolves when everything is up to date, rejects when dismissed.
     * @returns {Promise<void>}
     */
    connect(): Promise<void>;
    /** Ends the connection. Unsent messages are rejected with `closed`; an outbox store keeps them. */
    close(): void;
    /**
     * Sends any command; resolves with its response. Rejects with `connection_lost` if the response was lost.
     * @template {keyof ClientEvents} Name
     * @param {Name} event
     * @param {ClientEvents[Name]['payload']} payload
     * @returns {Promise<ClientEvents[Name]['ack']>}
     */
    call<Name extends keyof ClientEvents>(event: Name, payload?: ClientEvents[Name]['payload']): Promise<ClientEvents[Name]['ack']>;
    /**
     * Sends a message now, or after a reconnect: in the order of calls, exactly once.
     * @param {number} chatId
     * @param {string} content
     * @param {{messageType?: string, replyTo?: ?number, clientId?: string}} [options]
     * @returns {Promise<Message>}
     */
    send(chatId: number, content: string, { messageType, replyTo, clientId }?: {
        messageType?: string;
        replyTo?: number | null;
        clientId?: string;
    }): Promise<Message>;
    /**
     * @param {number} [chatId]
     * @returns {OutboxEntry[]} Unsent messages, of one chat or of all.
     */
    pending(chatId?: number): OutboxEntry[];
    /**
     * @param {number} messageId
     * @param {string} content
     * @returns {Promise<Message>}
     */
    edit(messageId: number, content: string): Promise<Message>;
    /**
     * @param {number} messageId
     * @returns {Promise<Message>} What is left of the message.
     */
    delete(messageId: number): Promise<Message>;
    /**
     * @param {number} messageId
     * @param {boolean} [liked]
     * @returns {Promise<{liked: boolean, likes: number}>}
     */
    like(messageId: number, liked?: boolean): Promise<{
        liked: boolean;
        likes: number;
    }>;
    /**
     * Marks messages up to `seq` as read; default: up to the newest known message.
     * @param {number} chatId
     * @param {number} [seq]
     * @returns {Promise<{unread: number, seq: number}>}
     */
    markRead(chatId: number, seq?: number): Promise<{
        unread: number;
        seq: number;
    }>;
    /**
     * Says that the user is typing, or has stopped. Without a connection nothing is sent.
     * @param {number} chatId
     * @param {boolean} [isTyping]
     */
    typing(chatId: number, isTyping?: boolean): void;
    /**
     * Creates a group, or without a `name` a direct chat; the direct chat of two users exists once.
     * @param {{name?: string, members: number[], description?: string, clientId?: string}} chat
     * @param {string} [content] The first message.
     * @returns {Promise<ChatState>}
     */
    createChat({ name, members, description, clientId }: {
        name?: string;
        members: number[];
        description?: string;
        clientId?: string;
    }, content?: string): Promise<ChatState>;
    /**
     * Returns a page of messages, oldest first. A page that is adjacent to the known messages of the chat is added to them.
     * @param {number} chatId
     * @param {{before?: number, after?: number, limit?: number}} [range] `seq`, exclusive.
     * @returns {Promise<{messages: Message[], hasMore: boolean}>}
     */
    history(chatId: number, { before, after, limit }?: {
        before?: number;
        after?: number;
        limit?: number;
    }): Promise<{
        messages: Message[];
        hasMore: boolean;
    }>;
    /**
     * Watches which of these users are online, instead of those watched before. Resolves with their current presence.
     * @param {number[]} userIds
     * @returns {Promise<Map<number, {online: boolean, last_seen_at: ?string}>>}
     */
    watchPresence(userIds: number[]): Promise<Map<number, {
        online: boolean;
        last_seen_at: string | null;
    }>>;
    /**
     * Everything known, as plain data for the option `state` of a later client.
     * @returns {object}
     */
    snapshot(): object;
}
