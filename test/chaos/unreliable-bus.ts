import type { PostgresPubSub } from '../../src/pubsub/postgres.js';
import type { PubSub } from '../../src/pubsub/pubsub.js';
import { asNewer } from './newer-version.js';

/** How likely a message is to be lost, doubled or held back on its way to one subscriber; 0 to 1. */
export interface Rates {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
  /** That it comes as a later version might say it. */
  readonly newer: number;
}

export const RELIABLE: Rates = { lost: 0, doubled: 0, late: 0, newer: 0 };

/** Milliseconds. Later than all that waits for it: what comes then was read from the rows before. */
const LONGEST_DELAY = 700;

/**
 * A real bus that loses, doubles, delays, reorders and alters what it brings, as much as it is told to, and never
 * says so.
 */
export class UnreliableBus {
  rates = RELIABLE;
  /** Called before each message that this process sends. */
  beforePublish: () => void = () => {};
  readonly counts = { lost: 0, doubled: 0, late: 0, newer: 0 };
  /** How many subscriptions this process has. */
  subscriptions = 0;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  over<Bus extends PubSub | PostgresPubSub>(bus: Bus): Bus {
    if (!('open' in bus)) return this.#wrap(bus) as Bus;
    const open: PostgresPubSub['open'] = (channel) => this.#wrap(bus.open(channel));
    return { ...bus, open };
  }

  #wrap(bus: PubSub): PubSub {
    return {
      payload: bus.payload,
      publish: (topic, message) => {
        this.beforePublish();
        return bus.publish(topic, message);
      },
      subscribe: async (topic, fn) => {
        let isOpen = true;
        const stop = await bus.subscribe(topic, (message) =>
          this.#bring(message, (brought) => isOpen && fn(brought)),
        );
        this.subscriptions += 1;
        return () => {
          if (isOpen) this.subscriptions -= 1;
          isOpen = false;
          stop();
        };
      },
      onConnection: (fn) => bus.onConnection?.(fn) ?? (() => {}),
      close: () => bus.close(),
    };
  }

  #bring(message: unknown, fn: (message: unknown) => void): void {
    if (this.happens('lost')) return;
    const brought = this.happens('newer') ? asNewer(message, this.#random) : message;
    const copies = this.happens('doubled') ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.happens('late')) setTimeout(() => fn(brought), this.#random() * LONGEST_DELAY).unref();
      else fn(brought);
    }
  }

  /** Whether it does now, by chance; counted. */
  happens(what: keyof Rates): boolean {
    const does = this.#random() < this.rates[what];
    if (does) this.counts[what] += 1;
    return does;
  }
}
