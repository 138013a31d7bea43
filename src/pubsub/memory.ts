import { PgFlowError } from '../errors.js';
import { callWatcher } from '../run/call-watcher.js';
import type { PubSub } from './pubsub.js';

/**
 * Pubsub within one process: the default on the embedded database, and for tests.
 *
 * Each message is delivered once, in the order of publishing, in a microtask after `publish`. It is
 * handed over as it is, not copied, so neither side may alter it afterwards. What a subscriber throws is
 * reported and stays with it.
 *
 * Modes: `open → closed`. Closed, it has forgotten all subscribers, and `publish` and `subscribe`
 * reject with `CLOSED`.
 *
 * @example
 * const pubsub = memoryPubSub();
 * const stop = await pubsub.subscribe('news', (message) => console.log(message));
 * await pubsub.publish('news', { seq: 1 });
 */
export function memoryPubSub(): PubSub {
  return new MemoryPubSub();
}

interface Subscriber {
  readonly fn: (message: unknown) => void;
}

class MemoryPubSub implements PubSub {
  #mode: 'open' | 'closed' = 'open';
  readonly #topics = new Map<string, Set<Subscriber>>();

  async publish(topic: string, message: unknown): Promise<void> {
    this.#refuseIfClosed('publish');
    if (this.#topics.has(topic)) queueMicrotask(() => this.#deliver(topic, message));
  }

  async subscribe(topic: string, fn: (message: unknown) => void): Promise<() => void> {
    this.#refuseIfClosed('subscribe');
    const subscriber = { fn };
    const subscribers = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, subscribers.add(subscriber));
    return () => {
      subscribers.delete(subscriber);
      if (subscribers.size === 0 && this.#topics.get(topic) === subscribers) this.#topics.delete(topic);
    };
  }

  async close(): Promise<void> {
    this.#enter('closed');
  }

  #deliver(topic: string, message: unknown): void {
    const subscribers = this.#topics.get(topic);
    if (subscribers === undefined) return;
    for (const subscriber of [...subscribers]) {
      if (subscribers.has(subscriber)) callWatcher(subscriber.fn, message);
    }
  }

  #refuseIfClosed(what: string): void {
    if (this.#mode === 'closed') {
      throw new PgFlowError('CLOSED', `Cannot ${what}: this memoryPubSub() is closed. Make a new one.`);
    }
  }

  #enter(mode: 'closed'): void {
    this.#mode = mode;
    for (const subscribers of this.#topics.values()) subscribers.clear();
    this.#topics.clear();
  }
}
