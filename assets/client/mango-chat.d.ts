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
/** Why something failed. `code` is the server's, or `connection_lost`, `unreachable`, `closed`. */
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
 * The tokens of one session, in a storage that all tabs share, exchanged by one tab at a time. It is the option
 * `token` of `MangoChat`; called by itself it gives an access token for a REST request.
 * @param {object} [options]
 * @param {string} [options.url] Where the server is; the page's own origin if left out.
 * @param {TokenStorage} [options.storage] Default `localStorage`, or memory where there is none.
 * @param {string} [options.key] The item in the storage.
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
/** A chat as it is here. Read it, do not change it. */
export declare class ChatState {
    #private;
    /** @type {Chat} As `GET /chat/{id}` answers it, without `my`. */
    chat: Chat;
    /** @type {MyChat} */
    my: MyChat;
    /** Counter value up to which everything is here. */
    rev: number;
    /** @type {Message[]} The newest, by `seq`, without a hole. */
    messages: Message[];
    /** @type {Map<number, *>} Who is typing, by user id. */
    typing: Map<number, any>;
    /** Messages with a higher `seq` are all in `messages`. */
    floor: number;
    get id(): number;
    /**
     * Changes of this chat from now on; ends when the chat is gone or the client is closed.
     * @returns {AsyncGenerator<Change>}
     */
    events(): AsyncGenerator<Change>;
}
/** The chats of one user, kept up to date over one connection at a time. */
export declare class MangoChat {
    #private;
    /** @internal */
    options: {
        socket: object | undefined;
        token: string | (({ refresh }: {
            refresh: any;
        }) => Promise<any>) | ((why: {
            refresh: boolean;
        }) => string | Promise<string>) | undefined;
        usesCookies: boolean;
        WebSocket: {
            new (url: string | URL, protocols?: string | string[]): WebSocket;
            prototype: WebSocket;
            readonly CONNECTING: 0;
            readonly OPEN: 1;
            readonly CLOSING: 2;
            readonly CLOSED: 3;
        };
        outbox: OutboxStore | undefined;
        keep: number;
        maxBehind: number;
        tellUnread: boolean;
        timeoutMs: number;
        aliveMs: number;
    };
    /** @type {Map<number, ChatState>} */
    chats: Map<number, ChatState>;
    /** @type {Map<number, {online: boolean, last_seen_at: ?string}>} Of those who are watched. */
    presence: Map<number, {
        online: boolean;
        last_seen_at: string | null;
    }>;
    /** Whom one follows or blocks. @type {Map<number, {following: boolean, blocked: boolean}>} */
    contacts: Map<number, {
        following: boolean;
        blocked: boolean;
    }>;
    /** @type {Status} */
    status: Status;
    /** @type {?number} Own id. */
    userId: number | null;
    /**
     * @param {object} options
     * @param {string} [options.url] Where the server is; the page's own origin if left out.
     * @param {object} [options.socket] A socket of socket.io-client instead, made with `autoConnect: false`.
     * @param {string|GetToken|((why: {refresh: boolean}) => string|Promise<string>)} [options.token] An access token, or a
     *   function that gives one, such as `sessionTokens()`; `refresh`: the last one has ended or is about to. It gives up
     *   by throwing an error with the `code` `session_ended`. Left out: the cookies of a login, or what the given socket
     *   shows by itself.
     * @param {typeof globalThis.WebSocket} [options.WebSocket] For Node.js before 22: the class of the package `ws`.
     * @param {*} [options.state] What `snapshot()` gave.
     * @param {OutboxStore} [options.outbox] Keeps unsent messages beyond the life of this object.
     * @param {number} [options.keep] Messages held per chat, the newest; default 1000.
     * @param {number} [options.maxBehind] A chat with more changes than this is read anew; default `keep`.
     * @param {{min?: number, max?: number}} [options.backoff] Milliseconds between attempts; default 500 to 30000.
     * @param {boolean} [options.tellUnread] Of a chat that is met for the first time, tell the unread messages as `message`.
     * @param {number} [options.timeoutMs] Silence after a question that means a dead connection; default 20000.
     * @param {number} [options.aliveMs] Silence after which the server is asked whether it is there; default 30000.
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
    /**
     * Calls `listener` at every event of this name.
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
     * Connects and stays connected until `close`; resolves when everything is up to date, rejects when dismissed.
     * @returns {Promise<void>}
     */
    connect(): Promise<void>;
    /** Ends the connection. What is not sent yet is rejected with `closed`; an outbox store keeps it. */
    close(): void;
    /**
     * Any client event; resolves with its ack. Rejects with `connection_lost` where the answer was lost.
     * @template {keyof ClientEvents} Name
     * @param {Name} event
     * @param {ClientEvents[Name]['payload']} payload
     * @returns {Promise<ClientEvents[Name]['ack']>}
     */
    call<Name extends keyof ClientEvents>(event: Name, payload?: ClientEvents[Name]['payload']): Promise<ClientEvents[Name]['ack']>;
    /**
     * Sends a message, now or when connected again, in the order of calls, once.
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
     * @returns {OutboxEntry[]} What is not sent yet, of one chat or of all.
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
     * @returns {Promise<Message>} What is left of it.
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
     * Marks everything up to `seq` as read; without it, up to the newest message that is here.
     * @param {number} chatId
     * @param {number} [seq]
     * @returns {Promise<{unread: number, seq: number}>}
     */
    markRead(chatId: number, seq?: number): Promise<{
        unread: number;
        seq: number;
    }>;
    /**
     * Says that one is typing, or no longer; forgotten where there is no connection.
     * @param {number} chatId
     * @param {boolean} [isTyping]
     */
    typing(chatId: number, isTyping?: boolean): void;
    /**
     * Makes a group, or a direct chat where there is no `name`; the direct chat of two exists once.
     * @param {{name?: string, members: number[], description?: string, clientId?: string}} chat
     * @param {string} [content] A first message.
     * @returns {Promise<ChatState>}
     */
    createChat({ name, members, description, clientId }: {
        name?: string;
        members: number[];
        description?: string;
        clientId?: string;
    }, content?: string): Promise<ChatState>;
    /**
     * A page of messages, oldest first; what joins on to what is held is held from then on.
     * @param {number} chatId
     * @param {{before?: number, after?: number, limit?: number}} [range] Exclusive `seq`.
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
     * Watches who of these is online, in place of whom was watched before; answers how they are now.
     * @param {number[]} userIds
     */
    watchPresence(userIds: number[]): Promise<Map<number, {
        online: boolean;
        last_seen_at: string | null;
    }>>;
    /**
     * All that is known, as plain data for the option `state` of a later client.
     * @returns {object}
     */
    snapshot(): object;
}
