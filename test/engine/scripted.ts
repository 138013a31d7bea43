import type { HandlerContext, StepContext } from '../../src/flow/flow.js';

/** One execution of a scripted handler, which goes on when the test says so. */
export interface Call {
  readonly context: HandlerContext;
  complete(output?: unknown): void;
  fail(thrown: unknown): void;
}

/**
 * A handler whose executions the test holds in its hands: it waits for the next one, looks at what
 * it was called with, and ends it.
 *
 * @example
 * const charge = scripted();
 * const flow = defineFlow({ slug: 'order' }).step('charge', charge.handler);
 * const call = await charge.next();
 * call.complete({ paid: true });
 */
export function scripted() {
  const calls: Call[] = [];
  const asking: ((call: Call) => void)[] = [];
  let asked = 0;

  return {
    /** All executions so far. */
    calls: calls as readonly Call[],
    /** Of a step or a map; both are called with the same. */
    handler(context: StepContext): Promise<unknown> {
      return new Promise((resolve, reject) => {
        const call = { context: context as HandlerContext, complete: resolve, fail: reject };
        calls.push(call);
        asking.shift()?.(call);
      });
    },
    /** The next execution that was not asked for yet, in the order in which they began. */
    next(): Promise<Call> {
      const call = calls[asked++];
      return call ? Promise.resolve(call) : new Promise((resolve) => asking.push(resolve));
    },
    /** The next so many executions, by the index of their tasks. */
    async nextByIndex(count: number): Promise<Call[]> {
      const next = await Promise.all(Array.from({ length: count }, () => this.next()));
      return next.sort((a, b) => a.context.index - b.context.index);
    },
  };
}

/** Resolves when the signal aborts, to its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(signal.reason);
    signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}
