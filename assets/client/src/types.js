/**
 * The payloads of commands and events are typed in events.d.ts, which is generated from the server's AsyncAPI document.
 * @typedef {import('./events.js').Author} Author
 * @typedef {import('./events.js').MyMessage} MyMessage
 * @typedef {import('./events.js').Message & {my: MyMessage}} Message
 * @typedef {import('./events.js').Member} Member
 * @typedef {import('./events.js').Reaction} Reaction
 * @typedef {import('./events.js').ChatBan} ChatBan
 * @typedef {import('./events.js').Attachment} Attachment
 * @typedef {{id: number, chat_id: number, token: string, url: string, created_by: number, approval: boolean,
 *   max_uses: ?number, uses: number, expires_at: ?string, created_at: string}} Invite
 * @typedef {{chat_id: number, name: ?string, description: ?string, photo: ?string, member_count: number,
 *   approval: boolean, is_member: boolean, is_requested: boolean}} InvitePreview
 * @typedef {import('./events.js').SavedDraft} SavedDraft
 * @typedef {import('./events.js').MyChat} MyChat
 * @typedef {Omit<import('./events.js').Chat, 'my'>} Chat
 * @typedef {import('./events.js').ClientEvents} ClientEvents
 * @typedef {import('./events.js').ServerEvents} ServerEvents
 * @typedef {{type: string, chat: ChatState, message?: Message, data?: object, synced: boolean}} Change
 *   `type` is the name of the server event. With `synced` the change arrived through `sync`, and `type` is `new_message`,
 *   `message_edited`, `message_deleted`, `chat_updated`, or `reset` (the chat was fetched again: render it again).
 * @typedef {{clientId: string, chatId: number, content: string, messageType: string, replyTo: ?number,
 *   attachments?: number[], userId?: number}} OutboxEntry
 * @typedef {{load(): OutboxEntry[]|Promise<OutboxEntry[]>, save(entry: OutboxEntry): *, remove(clientId: string): *}} OutboxStore
 * @typedef {'closed'|'connecting'|'syncing'|'online'|'waiting'|'dismissed'} Status
 * @typedef {{
 *   status: [Status], synced: [{full: boolean}], message: [Message, ChatState], change: [Change], chat: [ChatState],
 *   gone: [{chatId: number, reason: string, chat: ChatState}], error: [MangoError], contacts_truncated: [{}],
 * }} OwnEvents Events of the client itself.
 * @typedef {OwnEvents & {[Name in keyof ServerEvents]: [ServerEvents[Name]]}} Events Listener arguments by event.
 * @typedef {{access_token: string, refresh_token: string, expires_in: number}} TokenPair The response of a login.
 * @typedef {{getItem(key: string): ?string|Promise<?string>, setItem(key: string, value: string): *,
 *   removeItem(key: string): *}} TokenStorage Such as `localStorage`.
 * @typedef {(why?: {refresh?: boolean}) => Promise<string>} GetToken
 */
