const LONGEST = 60;

/** A value as a message shows it: a string in backticks on one line, cut when long; else what kind of thing it is. */
export function quoted(value: unknown): string {
  if (typeof value === 'string') {
    const text = value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value;
    return `\`${JSON.stringify(text).slice(1, -1)}\``;
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}
