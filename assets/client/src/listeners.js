/** The event names that `on` accepts; a test compares them with the server's. */
const EVENTS = new Set(`
  status synced message change chat gone error contacts_truncated
  ready chat_created chat_updated chat_approved chat_declined chat_deleted member_added member_removed
  member_role_changed chat_pinned chat_unpinned chat_muted chat_unmuted chat_archived chat_unarchived new_message
  message_edited message_deleted message_liked message_reacted message_pinned message_unpinned draft_saved
  join_requested join_declined chat_read typing presence sync_hint user_updated followed unfollowed
  blocked unblocked token_expiring token_expired session_ended user_banned server_shutdown exception
`.trim().split(/\s+/));

/** The listeners of the client, by event. */
export class Listeners {
  #byName = new Map();

  add(name, listener) {
    if (!EVENTS.has(name)) throw new TypeError(`there is no event '${name}', only ${[...EVENTS].join(', ')}`);
    if (!this.#byName.has(name)) this.#byName.set(name, new Set());
    this.#byName.get(name).add(listener);
  }

  remove(name, listener) {
    this.#byName.get(name)?.delete(listener);
  }

  emit(name, ...data) {
    for (const listener of [...(this.#byName.get(name) ?? [])]) {
      try {
        listener(...data);
      } catch (error) {
        // A listener that throws must not stop the client; its error is reported like any uncaught one.
        queueMicrotask(() => { throw error; });
      }
    }
  }
}
