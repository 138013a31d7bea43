import { PgFlowError } from '../../src/index.js';

/** The error that something is refused with; what is not refused, or with another error, fails the test. */
export async function rejection(promise: Promise<unknown>): Promise<PgFlowError> {
  const result = await promise.then(
    () => 'It was not refused.',
    (error) => error,
  );
  if (result instanceof PgFlowError) return result;
  throw result instanceof Error ? result : new Error(String(result));
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await rejection(promise)).code;
}
