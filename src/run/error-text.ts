const LONGEST = 8000;
const MOST_CAUSES = 4;
const REPLACEMENT = '\uFFFD';

/**
 * What to record of anything that was thrown: an error's message and those of its causes, a string as it is, of
 * other objects their JSON.
 *
 * Never throws, whatever the value does when it is read. The text is never empty, has at most 8,000 characters (cut
 * with `…`), and can be stored: NUL and lone surrogates become U+FFFD.
 *
 * @example
 * errorText(new Error('No answer', { cause: 'ECONNRESET' })); // 'No answer, caused by: ECONNRESET'
 */
export function errorText(thrown: unknown): string {
  const texts = [textOf(thrown)];
  let cause = property(thrown, 'cause');
  while (cause !== undefined && cause !== null && texts.length <= MOST_CAUSES) {
    const text = textOf(cause);
    if (texts.some((outer) => outer.includes(text))) break;
    texts.push(text);
    cause = property(cause, 'cause');
  }
  return storableText(texts.join(', caused by: '));
}

/** The text, cut with `…` to so many characters, so that it can be stored: NUL and lone surrogates become U+FFFD. */
export function storableText(text: string, longest = LONGEST): string {
  return cut(storable(text), longest);
}

function textOf(thrown: unknown): string {
  const text = firstWritten(
    () => thrown,
    () => property(thrown, 'message'),
    () => nameOf(thrown),
    () => (typeof thrown === 'object' && thrown !== null ? JSON.stringify(thrown) : undefined),
    () => (typeof thrown === 'function' ? 'A function was thrown' : undefined),
    () => (typeof thrown === 'object' && thrown !== null ? String(thrown) : undefined),
    () => (typeof thrown === 'string' ? undefined : `${String(thrown)} was thrown`),
  );
  return cut(text ?? `What was thrown has no text (${typeof thrown})`);
}

/** An error without a message, such as the AggregateError of a refused connection, has at least a name. */
function nameOf(thrown: unknown): string | undefined {
  if (typeof property(thrown, 'message') !== 'string') return undefined;
  return [property(thrown, 'name'), property(thrown, 'code')]
    .filter((part) => typeof part === 'string')
    .join(' ');
}

function property(thrown: unknown, name: string): unknown {
  if (typeof thrown !== 'object' && typeof thrown !== 'function') return undefined;
  try {
    return (thrown as Record<string, unknown> | null)?.[name];
  } catch {
    return undefined;
  }
}

/** The first answer that is a string with something in it. One that throws does not count. */
function firstWritten(...answers: readonly (() => unknown)[]): string | undefined {
  for (const answer of answers) {
    try {
      const text = answer();
      if (typeof text === 'string' && text.trim() !== '') return text;
    } catch {}
  }
  return undefined;
}

function cut(text: string, longest = LONGEST): string {
  if (text.length <= longest) return text;
  const end = isHighSurrogate(text.charCodeAt(longest - 2)) ? longest - 2 : longest - 1;
  return `${text.slice(0, end)}…`;
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

/** With the `u` flag a surrogate pair is one character, so only lone halves match. */
function storable(text: string): string {
  return text.replaceAll('\0', REPLACEMENT).replace(/\p{Surrogate}/gu, REPLACEMENT);
}
