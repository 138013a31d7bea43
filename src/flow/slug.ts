import { PgFlowError } from '../errors.js';
import { quoted } from './quoted.js';

const SLUG = /^[A-Za-z_][A-Za-z0-9_]*$/;
const LONGEST = 128;

/**
 * Checks the name of a flow, job or step: 1 to 128 letters, digits and underscores that do not begin with a
 * digit; not `run`, whose fields share a name space with the steps, and no name that every object has.
 *
 * @param what whose slug it is, for the message: "flow", "step of flow `a`".
 * @throws {PgFlowError} `INVALID_DEFINITION`
 */
export function checkSlug(slug: unknown, what: string): asserts slug is string {
  const reason = whyRefused(slug);
  if (reason === null) return;
  throw new PgFlowError(
    'INVALID_DEFINITION',
    `${quoted(slug)} cannot be the slug of a ${what}: ${reason} Use 1 to ${LONGEST} letters, digits and underscores, not beginning with a digit.`,
  );
}

/** Whether it could be a slug at all. */
export function isSlug(slug: unknown): slug is string {
  return whyRefused(slug) === null;
}

function whyRefused(slug: unknown): string | null {
  if (typeof slug !== 'string') return 'it is not a string.';
  if (slug === '') return 'it is empty.';
  if (slug.length > LONGEST) return `it has ${slug.length} characters.`;
  if (!SLUG.test(slug)) return 'it has a character that is not allowed where it stands.';
  if (slug === 'run') return 'that word is reserved.';
  if (Object.hasOwn(Object.prototype, slug)) return 'every JavaScript object has a property of that name.';
  return null;
}
