/** Far more than an app has slugs; with the longest slugs about 1 MB. */
const MOST_TEXTS = 5_000;

const texts = new Map<string, string>();

/**
 * The same string for equal ones. What is read off a wire is a new string each time, so the slugs of the same few steps
 * would be kept again by every run: 32 bytes or more for each step. Once full, texts that are new stay as they are.
 */
export function sameText(text: string): string {
  const same = texts.get(text);
  if (same !== undefined) return same;
  if (texts.size < MOST_TEXTS) texts.set(text, text);
  return text;
}
