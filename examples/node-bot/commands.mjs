// What the bot says. Knows nothing about the connection.

const MAX_DICE = 20;

/** Returns the answer to a message, or null if it is not for the bot. */
export function answerTo(text) {
  if (text.trim() === '!time') return `It is ${new Date().toISOString()}.`;
  const roll = /^!roll (\d{1,2})d(\d{1,4})$/.exec(text.trim());
  if (!roll) return null;
  const [count, sides] = roll.slice(1).map(Number);
  if (count < 1 || count > MAX_DICE || sides < 2) return `I roll 1 to ${MAX_DICE} dice with at least 2 sides, such as !roll 2d6.`;
  const dice = Array.from({ length: count }, () => 1 + Math.floor(Math.random() * sides));
  return `${dice.join(' + ')} = ${dice.reduce((sum, die) => sum + die)}`;
}

/** Both names may be missing: a user can register with a phone number alone. */
export const greeting = ({ name, username }) => `Welcome, ${name ?? username ?? 'friend'}! Try !time or !roll 2d6.`;
