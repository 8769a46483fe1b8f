// What both identities have in common, for examples that work when they are sent.

/** A chat that both are in: best a group of the sender's own, where every command is allowed. */
export function sharedChat(sender, receiver) {
  if (!sender.client || !receiver.client) return null;
  const both = [...sender.client.chats.values()].filter((it) => receiver.client.chats.has(it.id));
  const rank = (chat) =>
    (chat.is_group ? 0 : 2) + (chat.my?.role === 'owner' || chat.owner_id === sender.me?.id ? 0 : 1);
  return both.sort((a, b) => rank(a) - rank(b) || b.id - a.id)[0] ?? null;
}

/** The ids to fill into an example, as far as they are known. */
export function knownTo(sender, receiver) {
  const chat = sharedChat(sender, receiver) ?? (sender.client ? [...sender.client.chats.values()][0] : null);
  // Not every message can be edited by the sender; the newest own one suits all commands.
  const messages = (chat?.messages ?? []).filter((it) => !it.deleted_at);
  const message = messages.findLast((it) => it.user?.id === sender.me?.id) ?? messages.at(-1);
  return {
    chatId: chat?.id,
    messageId: message?.id,
    seq: chat?.last_seq,
    userId: sender.me?.id,
    otherId: receiver.me?.id ?? chat?.members?.find((it) => it.user.id !== sender.me?.id)?.user.id,
  };
}
