import type { PubSub } from '../../src/pubsub/pubsub.js';
import type { Change } from '../../src/run/change.js';
import { decodeMessage } from '../../src/run/codec.js';

/** Random numbers in [0, 1) that a seed decides (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export interface Faults {
  /** How likely a message is to be lost, doubled or held back on its way to one subscriber; 0 to 1. */
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
}

interface Subscriber {
  readonly topic: string;
  readonly fn: (message: unknown) => void;
}

const LONGEST_DELAY = 40;

/**
 * A bus between two processes' worth of pgflow that does all that a bus may do: it loses, doubles,
 * delays and reorders. It remembers the changes that were published.
 */
export class FlakyBus {
  readonly changes: Change[] = [];
  readonly #random: () => number;
  readonly #faults: Faults;
  readonly #subscribers = new Set<Subscriber>();
  readonly #watchers = new Set<(connected: boolean) => void>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(seed: number, faults: Faults) {
    this.#random = randomFrom(seed);
    this.#faults = faults;
  }

  /** The end of one pgflow; closing it leaves the others. */
  end(): PubSub {
    const own = new Set<Subscriber>();
    return {
      publish: async (topic, message) => this.#publish(topic, JSON.stringify(message)),
      subscribe: async (topic, fn) => {
        const subscriber = { topic, fn };
        own.add(subscriber);
        this.#subscribers.add(subscriber);
        return () => this.#subscribers.delete(subscriber);
      },
      onConnection: (fn) => {
        this.#watchers.add(fn);
        return () => this.#watchers.delete(fn);
      },
      close: async () => {
        for (const subscriber of own) this.#subscribers.delete(subscriber);
      },
    };
  }

  /** Drops what is still on its way, and says to all that the connection was away for a moment. */
  reconnect(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    for (const connected of [false, true]) for (const watcher of this.#watchers) watcher(connected);
  }

  #publish(topic: string, json: string): void {
    const message = decodeMessage(JSON.parse(json));
    if (message?.kind === 'change') this.changes.push(message.change);
    for (const subscriber of this.#subscribers) {
      if (subscriber.topic !== topic || this.#happens(this.#faults.lost)) continue;
      this.#send(subscriber, json);
      if (this.#happens(this.#faults.doubled)) this.#send(subscriber, json);
    }
  }

  #send(subscriber: Subscriber, json: string): void {
    const deliver = () => {
      if (this.#subscribers.has(subscriber)) subscriber.fn(JSON.parse(json));
    };
    if (!this.#happens(this.#faults.late)) {
      queueMicrotask(deliver);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      deliver();
    }, this.#random() * LONGEST_DELAY);
    this.#timers.add(timer);
  }

  #happens(likelihood: number): boolean {
    return this.#random() < likelihood;
  }
}
