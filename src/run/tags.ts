import type { InputIssue } from '../errors.js';

/** The longest tag, in characters. */
const LONGEST_TAG = 128;
/** How many tags a run may have. */
const MOST_TAGS = 20;

/** Why it is no tag, for a message; null when it is one. */
export function whyNoTag(value: unknown): string | null {
  if (typeof value !== 'string' || value === '' || isLong(value)) {
    return `must be a text of 1 to ${LONGEST_TAG} characters`;
  }
  // With the `u` flag a surrogate pair is one character, so only lone halves match.
  if (/\0|\p{Surrogate}/u.test(value)) {
    return 'contains a NUL character or half of a surrogate pair, which Postgres cannot store';
  }
  return null;
}

/** An emoji is one character and two code units. */
function isLong(text: string): boolean {
  return text.length > 2 * LONGEST_TAG || [...text].length > LONGEST_TAG;
}

/** What is wrong with the tags of a run, each with its path (`tags.1`); empty when they are fine. */
export function issuesOfTags(tags: unknown): InputIssue[] {
  if (!Array.isArray(tags)) return [{ path: 'tags', message: 'must be an array of texts' }];
  if (new Set(tags).size > MOST_TAGS) {
    return [{ path: 'tags', message: `must be ${MOST_TAGS} at most, not ${new Set(tags).size}` }];
  }
  return Array.from(tags).flatMap((tag: unknown, index) => {
    const message = whyNoTag(tag);
    return message === null ? [] : [{ path: `tags.${index}`, message }];
  });
}
